"""The demo's child processes: started with a log each, and always stopped."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_STOP = 15.0  # seconds to stop by itself; the watcher promises ten


class DemoError(Exception):
    """The demo cannot go on; the text says why. `log` is the child's log that tells more."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


@dataclass(slots=True)
class Child:
    """A running process; leaving the `with` block stops it."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def start(cls, name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Child:
        """Its own session, so that a Ctrl-C reaches the demo alone, which then stops it in order."""
        with log.open("a") as errors:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "shop" else errors,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                text=True,
                start_new_session=True,
            )
        return cls(name, process, log)

    def first_line(self) -> str:
        """The first line that it prints; DemoError if it ends without one."""
        line = self.process.stdout.readline().strip() if self.process.stdout else ""
        if not line:
            raise DemoError(f"the {self.name} did not start", self.log)
        return line

    def check(self) -> None:
        """DemoError if it is no longer there."""
        if (status := self.process.poll()) is not None:
            raise DemoError(f"the {self.name} ended by itself with status {status}", self.log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
