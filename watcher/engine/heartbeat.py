"""The outside dead-man ping: a URL is called while all is well, so that somebody notices when it no longer is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from watcher.engine.guard import Guard
from watcher.engine.lease import LEASE_SECONDS, Keeper
from watcher.errors import ExternalError, StoreUnavailableError
from watcher.kit import text
from watcher.ports import Http
from watcher.store import memory, watches
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

_LATE = 300.0  # seconds by which a look may be late

# What is wrong at a moment (unix seconds), in words; None if nothing is.
Check = Callable[[float], str | None]


class Heartbeat:
    """Calls `url` about every `interval` seconds, but only while no check finds anything wrong.

    It has a loop of its own: however long the other side takes, nothing waits for it.
    """

    def __init__(
        self, http: Http, url: str, interval: float, checks: Iterable[Check], metrics: Metrics, log: Any
    ) -> None:
        self._http = http
        self._url = url
        self._interval = interval
        self._checks = tuple(checks)
        self._metrics = metrics
        self._log = log
        self._due = 0.0
        self._silent = ""  # the event that said why nothing arrives any more

    def step(self, now: float) -> bool:
        """Calls the URL if it is time; whether it was."""
        if now < self._due and self._due - now <= self._interval:  # a clock set back must not stop us
            return False
        self._due = now + self._interval
        wrong = next(filter(None, (check(now) for check in self._checks)), None)
        if wrong is not None:
            self._count("withheld")
            self._say("heartbeat_withheld", why=wrong)
            return True
        try:
            self._http.request("GET", self._url)
        except ExternalError as error:
            self._count("failed")
            self._say("heartbeat_failed", error=str(error))
            return True
        self._count("sent")
        if self._silent:
            self._log.info("heartbeat_resumed")
        self._silent = ""
        return True

    def _count(self, outcome: str) -> None:
        self._metrics.heartbeats_sent.labels(outcome).inc()

    def _say(self, event: str, **why: str) -> None:
        """Once, not at every beat that is left out."""
        if self._silent != event:
            self._log.warning(event, **why)
        self._silent = event


def checks(
    dead: Callable[[], Mapping[str, float]],
    database: Database,
    keeper: Keeper,
    guards: Mapping[str, Guard],
    blind_after: float,
) -> tuple[Check, ...]:
    """Everything that must be well."""
    return (
        loops_live(dead),
        store_takes_writes(database),
        leases_are_renewed(keeper.since_renewal, LEASE_SECONDS),
        looks_are_made(database),
        sources_answer({name: guard.down_for for name, guard in guards.items()}, blind_after),
    )


def loops_live(dead: Callable[[], Mapping[str, float]]) -> Check:
    """`dead`: loop -> seconds since its last beat, of those that are overdue."""

    def check(_now: float) -> str | None:
        found = dead()
        return f"loops do not beat: {', '.join(sorted(found))}" if found else None

    return check


def store_takes_writes(database: Database) -> Check:
    remembered = memory.StoreMemory(database, "heartbeat")

    def check(now: float) -> str | None:
        try:
            remembered.put("at", now)
        except StoreUnavailableError as error:
            return str(error)
        return None

    return check


def leases_are_renewed(since: Callable[[], float], limit: float) -> Check:
    """`since`: seconds since the leases were last renewed."""

    def check(_now: float) -> str | None:
        seconds = since()
        return f"leases were last renewed {text.duration(seconds)} ago" if seconds > limit else None

    return check


def looks_are_made(database: Database) -> Check:
    def check(now: float) -> str | None:
        try:
            with database.read() as tx:
                oldest = watches.oldest_due(tx)
        except StoreUnavailableError as error:
            return str(error)
        late = now - oldest if oldest is not None else 0.0
        return f"a look is {text.duration(late)} late" if late > _LATE else None

    return check


def sources_answer(down: Mapping[str, Callable[[], float]], limit: float) -> Check:
    """`down`: source -> for how many seconds it has not answered what it was asked."""

    def check(_now: float) -> str | None:
        silent = sorted(name for name, seconds in down.items() if seconds() > limit)
        return f"sources have not answered for {text.duration(limit)}: {', '.join(silent)}" if silent else None

    return check
