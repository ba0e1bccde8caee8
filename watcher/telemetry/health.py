"""Heartbeats: a loop that no longer beats is dead, and a dead loop must be loud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock, current_thread


@dataclass(slots=True)
class _Beat:
    limit: float
    last: float


class Heartbeats:
    """When each loop last proved its life; safe to use from several threads."""

    def __init__(self, monotonic: Callable[[], float], on_beat: Callable[[str], None] = lambda _loop: None) -> None:
        self._monotonic = monotonic
        self._on_beat = on_beat
        self._beats: dict[str, _Beat] = {}
        self._lock = Lock()

    def expect(self, loop: str, limit: float) -> None:
        """From now on `loop` must beat at least every `limit` seconds."""
        with self._lock:
            self._beats[loop] = _Beat(limit, self._monotonic())
        self._on_beat(loop)

    def beat(self, loop: str) -> None:
        with self._lock:
            if loop not in self._beats:
                return  # forgotten while it made its last step
            self._beats[loop].last = self._monotonic()
        self._on_beat(loop)

    def progress(self) -> None:
        """Beats for the loop in whose thread this is called: a long step shows that it goes on."""
        self.beat(current_thread().name)

    def forget(self, loop: str) -> None:
        """The loop is no longer expected to beat."""
        with self._lock:
            self._beats.pop(loop, None)

    def kill(self, loop: str) -> None:
        """The loop has ended although it should not have: it counts as dead at once."""
        with self._lock:
            if loop in self._beats:
                self._beats[loop].limit = -1.0

    def dead(self) -> Mapping[str, float]:
        """Loops that are overdue -> seconds since their last beat; empty while all is well."""
        now = self._monotonic()
        with self._lock:
            return {name: now - beat.last for name, beat in self._beats.items() if now - beat.last > beat.limit}
