"""Drops what is raw and old; decisions, the looks at which something changed, and the audit log stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watcher.store import memory, retention
from watcher.store.database import Database

EVERY = 3600.0
_WATCHES = 5  # a transaction: those who accept deploys wait that long at most
_POINTS = 5000
_THINNED = "looks of watches up to"


class Housekeeper:
    """Keeps the store small, on one replica."""

    def __init__(
        self,
        database: Database,
        retention: float,
        history: float,
        owner: str,
        log: Any,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`retention`: seconds after its end in which everything about a watch is kept; `history`: the longest that any
        service reads back, in seconds.
        """
        self._database = database
        self._retention = retention
        self._keep = max(retention, history + 86400.0)
        self._thinned = memory.StoreMemory(database, "housekeeping")
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
        before = now - self._retention
        dropped = {
            "points": self._drop_points(before),
            "looks": self._drop_looks(before),
            "remembered": self._forget(now - self._keep),
            "deliveries": self._drop_deliveries(before),
            "drills": self._drop_drills(before),
        }
        if any(dropped.values()):
            self._log.info("points_dropped", **dropped)
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

    def _drop_looks(self, before: float) -> int:
        """Each watch once: where it has come to is remembered."""
        dropped = 0
        after = tuple(self._thinned.get(_THINNED) or (0.0, ""))
        while not self._stopping():
            with self._database.read() as tx:
                ended = retention.ended_after(tx, before, after, _WATCHES)
            if not ended:
                break
            after = ended[-1]
            with self._database.write(alone=False) as tx:
                dropped += retention.drop_quiet_looks(tx, [watch_id for _, watch_id in ended])
            self._thinned.put(_THINNED, after)
        return dropped

    def _drop_drills(self, before: float) -> int:
        with self._database.write(alone=False) as tx:
            return retention.drop_drills(tx, before)

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
