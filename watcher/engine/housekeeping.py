"""Drops what is raw and old; decisions, the looks at which something changed, and the audit log stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from watcher.errors import StoreUnavailableError
from watcher.kit import clock
from watcher.store import memory, retention
from watcher.store.database import Database

EVERY = 3600.0
_WATCHES = 5  # a transaction: those who accept deploys wait that long at most
_POINTS = 5000
_SLICE = 5.0  # seconds of a step: its loop must beat
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
        self._chores: Iterator[tuple[str, int]] | None = None  # while there are some
        self._dropped: Counter[str] = Counter()

    def step(self, now: float) -> bool:
        """Some seconds of cleaning up, if it is time and no other replica does; whether it was done.

        What is left is done by the steps that follow, each of which prolongs the lease.
        """
        begins = now >= self._due or self._due - now > EVERY
        if not begins and self._chores is None:
            return False
        with self._database.write(alone=False) as tx:
            held = memory.hold(tx, "housekeeping", self._owner, EVERY / 2) is not None
        if begins:
            self._due = now + EVERY
            self._chores, self._dropped = self._clean(now), Counter()
        if self._chores is None or not held:
            self._chores = None
            return False
        try:
            self._go_on(self._chores)
        except StoreUnavailableError:
            self._chores = self._clean(now)  # from the start: what is gone costs little
            raise
        except Exception:
            self._chores = None  # it would only fail again
            raise
        return True

    def _go_on(self, chores: Iterator[tuple[str, int]]) -> None:
        until = clock.monotonic() + _SLICE
        for chore, number in chores:
            self._dropped[chore] += number
            if self._stopping():
                break
            if clock.monotonic() >= until:
                return
        self._chores = None
        if any(self._dropped.values()):
            self._log.info("points_dropped", **self._dropped)

    def _clean(self, now: float) -> Iterator[tuple[str, int]]:
        """All there is to do, a short transaction at a time: what it was, and how much it dropped."""
        before = now - self._retention
        drops = {
            "points": self._drop_points(before),
            "looks": self._drop_looks(before),
            "remembered": self._forget(now - self._keep),
            "deliveries": self._drop_deliveries(before),
            "drills": self._drop_drills(before),
        }
        for chore, pieces in drops.items():
            yield chore, 0
            for number in pieces:
                yield chore, number

    def _drop_points(self, before: float) -> Iterator[int]:
        after = (0.0, "")
        while ended := self._read(retention.ended_with_points, before, after, _WATCHES):
            after = ended[-1]
            with self._database.write(alone=False) as tx:
                number = retention.drop_points(tx, [watch_id for _, watch_id in ended])
            yield number

    def _drop_looks(self, before: float) -> Iterator[int]:
        """Each watch once: where it has come to is remembered."""
        after = tuple(self._thinned.get(_THINNED) or (0.0, ""))
        while ended := self._read(retention.ended_after, before, after, _WATCHES):
            after = ended[-1]
            with self._database.write(alone=False) as tx:
                number = retention.drop_quiet_looks(tx, [watch_id for _, watch_id in ended])
            self._thinned.put(_THINNED, after)
            yield number

    def _drop_drills(self, before: float) -> Iterator[int]:
        with self._database.write(alone=False) as tx:
            number = retention.drop_drills(tx, before)
        yield number

    def _forget(self, before: float) -> Iterator[int]:
        stream = ("", "")
        while following := self._read(retention.stream_after, stream):
            stream = following
            dropped = _POINTS
            while dropped >= _POINTS:
                with self._database.write(alone=False) as tx:
                    dropped = retention.forget(tx, stream, before, _POINTS)
                yield dropped

    def _drop_deliveries(self, before: float) -> Iterator[int]:
        dropped = _POINTS
        while dropped >= _POINTS:
            with self._database.write(alone=False) as tx:
                dropped = retention.drop_deliveries(tx, before, _POINTS)
            yield dropped

    def _read(self, question: Callable[..., Any], *given: Any) -> Any:
        with self._database.read() as tx:
            return question(tx, *given)
