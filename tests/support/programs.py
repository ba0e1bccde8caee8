"""Real programs for tests: found, or the test is skipped (in CI: fails); stopped together with their children."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_POSTGRESQL = map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))
_PLACES = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/sbin", "/usr/share/request-tracker5/libexec", *_POSTGRESQL)
)


def require(*names: str) -> list[str]:
    """Paths of the programs `names`; skips the test that lacks one, but fails it where CI is set."""
    paths = []
    for name in names:
        path = shutil.which(name, path=_PLACES)
        if path is None:
            if os.environ.get("CI"):
                pytest.fail(f"{name} is not installed")
            pytest.skip(f"{name} is not installed")
        paths.append(path)
    return paths


# Below the ports that systems give to connections, which could take one between the question and the answer; a slice
# for each of the processes that pytest-xdist starts ("gw0", "gw1", ...), begun anywhere.
_FIRST, _EACH = 10_000, 2_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
_PORTS = itertools.count(secrets.randbelow(_EACH))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that nobody else is given."""
    for number in itertools.islice(_PORTS, _EACH):
        port = _FIRST + _WORKER * _EACH + number % _EACH
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class Program:
    """A server as a process group of its own, its output kept in a file beside it."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ) | dict(env or {}),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_answers(self, url: str, seconds: float = 120.0) -> None:
        """Returns once `url` answers, with whatever status below 500 (503 means: still starting)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(url, timeout=10):
                    return
            except urllib.error.HTTPError as error:
                error.close()
                if error.code < 500:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"{url} does not answer:\n{self._log.read_text(errors='replace')[-4000:]}")

    def stop(self, seconds: float = 30.0) -> None:
        """Asks the whole group to end, then ends it."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # children that outlived their parent
