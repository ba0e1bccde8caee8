"""Drops raw points that nothing needs any more; decisions, looks and the audit log stay."""

from __future__ import annotations

from typing import Any

from watcher.store import looks, memory
from watcher.store.database import Database

RETENTION = 30 * 86400.0
_EVERY = 3600.0


class Housekeeper:
    """Keeps the store small; `history` is the longest that any service reads back, in seconds."""

    def __init__(self, database: Database, history: float, log: Any) -> None:
        self._database = database
        self._keep = max(RETENTION, history + 86400.0)
        self._log = log
        self._due = 0.0

    def step(self, now: float) -> bool:
        """Cleans up if it is time; whether it was."""
        if now < self._due and self._due - now <= _EVERY:
            return False
        self._due = now + _EVERY
        with self._database.write() as tx:
            points = looks.drop_points_before(tx, now - RETENTION)
            remembered = memory.forget_before(tx, now - self._keep)
        if points or remembered:
            self._log.info("points_dropped", points=points, remembered=remembered)
        return True
