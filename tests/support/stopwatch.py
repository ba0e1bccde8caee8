"""Seconds without those in which the whole machine stood still, so that what is promised in seconds can be tested.

with Stopwatch() as stopwatch:
    ...
assert stopwatch.seconds < 10
"""

from __future__ import annotations

import threading
import time
from typing import Self

_TICK = 0.05
_LATE = 0.25  # a tick later than this is not slowness: nothing ran meanwhile


class Stopwatch:
    """Notes from a thread of its own when nothing ran."""

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        self._began = self._ended = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._began = time.time()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = time.time()
        self._stop.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """That the block took, once it is over."""
        return self.between(self._began, self._ended)

    def between(self, since: float, until: float) -> float:
        """Seconds between two moments of the block, unix seconds."""
        still = sum(max(min(end, until) - max(begin, since), 0.0) for begin, end in self._stalls)
        return until - since - still

    def _tick(self) -> None:
        last = time.time()
        while not self._stop.wait(_TICK):
            now = time.time()
            if now - last > _TICK + _LATE:
                self._stalls.append((last, now))
            last = now
