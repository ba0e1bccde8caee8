"""The clock by which rollbacks are counted and approvals run out: one for all replicas, and known to have been set.

On PostgreSQL it is the database's own. SQLite has one machine, whose clock it is. Either may be set forward by hours:
what it then calls an hour ago is a minute ago. A process that runs meanwhile sees it, for it has a clock that nobody
sets beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Connection, text

from watcher.kit import clock

_HOUR = 3600.0  # after it, what was before the clock was set is over an hour old by any clock
_UNSTEADY = 5.0  # seconds between two clocks that say nothing: read one after the other, or slewed
_POSTGRESQL = text("select extract(epoch from clock_timestamp())::float8")


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by the clock that all replicas share, unix seconds.

    Attributes:
        leapt: seconds by which that clock was set forward within the last hour, as far as this process saw it.
    """

    at: float
    leapt: float

    @property
    def surely(self) -> float:
        """What it is at least, counted from anything that was stamped before the clock was set."""
        return self.at - self.leapt


class SharedClock:
    """Safe to use from several threads; to be read often, for it sees only what is between two readings."""

    def __init__(self, wall: Callable[[], float] = clock.now, monotonic: Callable[[], float] = clock.monotonic) -> None:
        """`wall` is this machine's clock, which stands for SQLite's."""
        self._wall = wall
        self._monotonic = monotonic
        self._lock = Lock()
        self._last: tuple[float, float] | None = None  # what both clocks said
        self._leaps: deque[tuple[float, float]] = deque()  # when, by the clock that nobody sets, and by how much

    def read(self, tx: Connection, now: float) -> Moment:
        """`now`: what a step on SQLite believes the time to be."""
        if tx.dialect.name == "sqlite":
            return Moment(now, self._seen(self._wall))
        at: float = tx.execute(_POSTGRESQL).scalar_one()
        return Moment(at, self._seen(lambda: at))

    def _seen(self, wall: Callable[[], float]) -> float:
        with self._lock:
            at, steady = wall(), self._monotonic()
            if self._last is not None:
                lead = (at - self._last[0]) - (steady - self._last[1])
                if lead > _UNSTEADY:
                    self._leaps.append((steady, lead))
            self._last = at, steady
            while self._leaps and self._leaps[0][0] < steady - _HOUR:
                self._leaps.popleft()
            return sum(lead for _, lead in self._leaps)
