"""A clock of its own for a process, which may be set while it runs (libfaketime); durations go on truly."""

from __future__ import annotations

import os
import time
from pathlib import Path

from support.programs import require

_NOTICED = 1  # seconds until a process sees that its clock was set
# libfaketime refuses the absolute times with which Python sleeps; as such a module it comes before all others.
_SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"


class FalseClock:
    """`environment` is what the process needs; `now` is what it believes."""

    def __init__(self, directory: Path, offset: float = 0.0) -> None:
        require("faketime")
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        self._file = directory / "clock"
        self._offset = offset
        directory.mkdir(parents=True, exist_ok=True)
        self.set(offset)
        (directory / "sitecustomize.py").write_text(_SLEEP)
        self.environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH")))),
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(_NOTICED),
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: float) -> None:
        """The clock is `offset` seconds ahead of the true one when this returns."""
        self._offset = offset
        self._file.write_text(f"{offset:+.3f}\n")
        # Whole seconds are compared: the second after the cache's own may still be by the old clock.
        time.sleep(_NOTICED + 1.2)

    def now(self) -> float:
        return time.time() + self._offset
