"""A rehearsal as a process of its own: its arithmetic must not take the interpreter's lock from the looks."""

from __future__ import annotations

import subprocess
import sys
from tempfile import TemporaryFile

_PATIENCE = 2.0
_WORDS = 400


class RehearsalProcess:
    """`watcher rehearse` at the lowest priority, with the daemon's own environment and configuration file."""

    def __init__(self, service: str, config: str) -> None:
        # A file, as a pipe that nobody reads could fill up and stop it; it lives as long as the process.
        self._said = TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603  # our own program; the name is one argument, no shell reads it
            [sys.executable, "-m", "watcher", "rehearse", "--config", config, "--low-priority", "--", service],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # a terminal that hangs up means the daemon, which reads its file anew
        )

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def words(self) -> str:
        """The last line that it wrote to standard error."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:_WORDS] if lines else ""

    def end(self) -> None:
        """Ends it, by force if it does not go."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.close()

    def close(self) -> None:
        self._said.close()
