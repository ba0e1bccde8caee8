"""Has every service rehearsed before its first deploy and daily after, in another process that nothing waits for."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from watcher.errors import WatcherError
from watcher.kit import clock
from watcher.model.rehearsal import Rehearsal
from watcher.store import memory, rehearsals
from watcher.store.database import Database, Tx
from watcher.telemetry.metrics import Rehearsed, RehearsedSignal

EVERY = 86400.0
SOON = 3600.0  # until the next one, when there was too little history for a single placebo
LATER = 600.0  # until the next try, when one failed
ASK = 60.0  # at most until the store is asked again: reading what every service of a fleet has found costs a second
AFTER_START = 120.0  # a daemon that has just started has other things to do
LEASE = 60.0
LIMIT = 1800.0  # seconds after which a process that should long be done is ended


class Running(Protocol):
    """A rehearsal under way in another process."""

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        ...

    def words(self) -> str:
        """What it said went wrong."""
        ...

    def end(self) -> None:
        """Ends it now."""
        ...

    def close(self) -> None:
        """Lets go of what it said."""
        ...


class Rehearser:
    """Starts one rehearsal at a time, on one replica; `start(service)` begins one in a process of its own."""

    def __init__(
        self,
        database: Database,
        services: Sequence[str],
        start: Callable[[str], Running],
        owner: str,
        log: Any,
        after_start: float = AFTER_START,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._database = database
        self._services = services
        self._start = start
        self._owner = owner
        self._log = log
        self._monotonic = monotonic
        self._from = monotonic() + after_start  # nothing is begun before
        self._running: tuple[str, float, Running] | None = None  # the service, and when it was begun
        self._not_before: dict[str, float] = {}  # monotonic, as all here but when a rehearsal was made

    def step(self, now: float) -> bool:
        """Begins what is due, or looks after what runs; never waits for it."""
        if not self._services or self._monotonic() < self._from:
            return False
        if self._running is None and self._due(now) is None:
            return False
        with self._database.write() as tx:
            held = memory.hold(tx, "rehearse", self._owner, LEASE)
        if self._running is not None:
            self._look_after(*self._running)
        elif held and (due := self._due(now)) is not None:  # asked again: another replica may just have done it
            self._running = due, self._monotonic(), self._start(due)
        return False

    def stop(self) -> None:
        """Ends what runs; it is begun again elsewhere, or after the next start."""
        if self._running is not None:
            self._running[2].end()
            self._running = None

    def _due(self, now: float) -> str | None:
        """The first service that is due; if none is, the store is not asked again before one can be."""
        with self._database.read() as tx:
            done = rehearsals.latest_times(tx)
        at, soonest = self._monotonic(), ASK
        for service in self._services:
            made_at, placebos = done.get(service, (0.0, 0))
            until = made_at + (EVERY if placebos else SOON)
            # A clock that was set back must not put it off for ever.
            fresh = made_at - EVERY < now < until
            left = max(until - now if fresh else 0.0, self._not_before.get(service, 0.0) - at)
            if left <= 0:
                return service
            soonest = min(soonest, left)
        self._from = at + soonest
        return None

    def _look_after(self, service: str, began: float, running: Running) -> None:
        status, at = running.poll(), self._monotonic()
        if status is None and at - began < LIMIT:
            return
        self._running = None
        self._not_before[service] = at + LATER
        if status is None:
            running.end()
            self._log.warning("rehearsal_postponed", service=service, error=f"not done within {LIMIT:g} s")
            return
        error = running.words() or f"exit status {status}"
        running.close()
        if status:
            self._log.warning("rehearsal_postponed", service=service, error=error)
        else:
            self._tell(service)

    def _tell(self, service: str) -> None:
        with self._database.read() as tx:
            made = rehearsals.latest(tx, service)
        if made is None:
            raise WatcherError(f"the rehearsal of {service} ended well and stored nothing")
        self._log.info(
            "rehearsed",
            service=service,
            placebos=made.placebos,
            called=made.false_calls.hits,
            seconds=round(made.cost, 1),
            detectable=detectable(made),
        )


def detectable(made: Rehearsal) -> dict[str, float | None]:
    """Signal -> the smallest harm that shows, to three digits; None: none that was tried."""
    return {one.name: None if one.detectable is None else float(f"{one.detectable:.3g}") for one in made.signals}


def exposed(tx: Tx, services: Container[str]) -> Mapping[str, Rehearsed]:
    """Service -> its newest rehearsal, as metrics show it; of `services` alone."""
    return {service: _exposed(made) for service, made in rehearsals.latest_of_all(tx, services).items()}


def _exposed(made: Rehearsal) -> Rehearsed:
    known, beyond = made.known_false, made.extrapolated
    return Rehearsed(
        made_at=made.made_at,
        promised=made.false_rollback_probability,
        false_rollback_probability=known.value,
        low=known.low if known.trials else None,
        high=known.high if known.trials else None,
        resolved=made.known_resolved is not None and made.known_resolved <= made.false_rollback_probability,
        extrapolated=beyond.value if beyond is not None else None,
        signals={
            one.name: RehearsedSignal(
                detectable=None if one.tried is None else one.detectable or math.inf,
                seconds=one.seconds,
                vetoed=one.vetoed.value,
                false_calls=one.false_calls.value,
            )
            for one in made.signals
        },
    )
