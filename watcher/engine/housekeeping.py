"""Drops raw points that nothing needs any more; decisions, looks and the audit log stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watcher.store import memory, retention
from watcher.store.database import Database

RETENTION = 30 * 86400.0
EVERY = 3600.0
_WATCHES = 5  # a transaction: those who accept deploys wait that long at most
_POINTS = 5000


class Housekeeper:
    """Keeps the store small, on one replica; `history` is the longest that any service reads back, in seconds."""

    def __init__(
        self, database: Database, history: float, owner: str, log: Any, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._database = database
        self._keep = max(RETENTION, history + 86400.0)
        self._owner = owner
        self._log = log
        self._stopping = stopping
        self._due = 0.0

    def step(self, now: float) -> bool:
        """Cleans up if it is time and no other replica does; whether it did."""
        if now < self._due and self._due - now <= EVERY:
            return False
        self._due = now + EVERY
        with self._database.write(alone=False) as tx:
            if memory.hold(tx, "housekeeping", self._owner, EVERY / 2) is None:
                return False
        points = self._drop_points(now - RETENTION)
        remembered = self._forget(now - self._keep)
        deliveries = self._drop_deliveries(now - RETENTION)
        if points or remembered or deliveries:
            self._log.info("points_dropped", points=points, remembered=remembered, deliveries=deliveries)
        return True

    def _drop_points(self, before: float) -> int:
        dropped, after = 0, (0.0, "")
        while not self._stopping():
            with self._database.read() as tx:
                ended = retention.ended_with_points(tx, before, after, _WATCHES)
            if not ended:
                break
            after = ended[-1]
            with self._database.write(alone=False) as tx:
                dropped += retention.drop_points(tx, [watch_id for _, watch_id in ended])
        return dropped

    def _forget(self, before: float) -> int:
        forgotten, stream = 0, ("", "")
        while not self._stopping():
            with self._database.read() as tx:
                following = retention.stream_after(tx, stream)
            if following is None:
                break
            stream = following
            dropped = _POINTS
            while dropped >= _POINTS and not self._stopping():
                with self._database.write(alone=False) as tx:
                    dropped = retention.forget(tx, stream, before, _POINTS)
                forgotten += dropped
        return forgotten

    def _drop_deliveries(self, before: float) -> int:
        total, dropped = 0, _POINTS
        while dropped >= _POINTS and not self._stopping():
            with self._database.write(alone=False) as tx:
                dropped = retention.drop_deliveries(tx, before, _POINTS)
            total += dropped
        return total
