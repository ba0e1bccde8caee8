"""When workers take what is due: together with what falls due a moment later, for a question or a commit of many costs
hardly more than of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from watcher.kit import clock

_SHARE = 1 / 20  # of the time between two looks at a watch, by which a look may be late for the sake of others


class Rhythm:
    """Shared by the workers of one kind; safe to use from several threads."""

    def __init__(self, least: float = 0.0, most: float = 0.0) -> None:
        """Seconds between two claims: `most` where that is little beside the steps of what is claimed."""
        self._least = least
        self._most = most
        self._next = 0.0
        self._lock = Lock()

    def admits(self) -> bool:
        """Whether it is time to claim; whoever is told so does it and says what it got."""
        with self._lock:
            now = clock.monotonic()
            if now < self._next:
                return False
            self._next = now + self._least
            return True

    def claimed(self, steps: Iterable[float], *, full: bool) -> None:
        """`steps`: of the watches that were claimed, in seconds; `full`: there may be more that are due."""
        wait = 0.0 if full else max(self._least, min(self._most, _SHARE * min(steps, default=0.0)))
        with self._lock:
            self._next = clock.monotonic() + wait
