"""What a look's decision rests on beside the mathematics, made alike for the look itself and for its replay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from watcher import __version__
from watcher.engine.gather import Gathered
from watcher.model.decision import Decision
from watcher.model.finding import Findings, State
from watcher.model.record import Known, Record
from watcher.model.watch import Watch
from watcher.store import deploys
from watcher.store.database import Database
from watcher.store.deploys import Around
from watcher.verdict import Context, Nearby, shows_harm

NEARBY = 2 * 3600.0  # deploys this long before ours may still be what is seen


def context_of(
    watch: Watch, failures: Mapping[str, str], others: tuple[Nearby, ...], last_look: bool, last_ticket_look: bool
) -> Context:
    """What the verdict must know of `watch` at one look; `others` are the deploys around it."""
    return Context(
        service=watch.service,
        environment=watch.environment,
        version=watch.version,
        started_at=watch.started_at,
        finished_at=watch.finished_at,
        until=watch.until,
        ticket_until=watch.ticket_until,
        false_rollback_probability=watch.policy.false_rollback_probability,
        signals=watch.policy.signals,
        failed_sources=failures,
        nearby=others,
        depends_on=watch.policy.depends_on,
        warm_up=watch.policy.warm_up,
        last_look=last_look,
        last_ticket_look=last_ticket_look,
    )


def nearby(watch: Watch, others: Iterable[Around]) -> tuple[Nearby, ...]:
    """The other deploys around this one that can harm it, oldest first; of several services, one for each."""
    start, known = watch.started_at - NEARBY, watch.policy.depends_on
    able = None if known is None else {watch.service, *known}
    found = [
        Nearby(service, other.environment, other.version, other.started_at, other.finished_at)
        for other in others
        if other.started_at > start and other.environment == watch.environment and other.id != watch.deploy_id
        for service in other.services
        if able is None or service in able
    ]
    return tuple(sorted(found, key=lambda near: near.started_at))


class Surroundings:
    """Who else deployed around the watches of one batch, read once for all of them: it can be a whole fleet."""

    def __init__(self, database: Database, batch: Iterable[Watch]) -> None:
        self._database = database
        self._start = min((watch.started_at for watch in batch), default=math.inf) - NEARBY
        self._found: Sequence[Around] | None = None

    def of(self, watch: Watch, *, fresh: bool) -> tuple[Nearby, ...]:
        """Those near `watch`; `fresh`: as of now, for harm that something is about to be done about."""
        if fresh or self._found is None:
            with self._database.read() as tx:
                self._found = deploys.around(tx, self._start)
        return nearby(watch, self._found)


def certain(findings: Findings) -> bool:
    """Whether a signal is sure of its harm."""
    return any(finding.state is State.ALARM for finding in findings.signals)


def blames(findings: Findings) -> bool:
    """Whether there is harm that somebody did: only then does it matter who else deployed."""
    return any(map(shows_harm, findings.signals))


def record_of(gathered: Gathered, now: float, context: Context, decision: Decision) -> Record:
    """What a look made at `now` (its own time is never later) rests on, and what it decided."""
    known = {
        # What is complete beyond now is so for a look as if it were complete up to now; an infinity is not JSON.
        name: Known(min(series.complete_until, now), len(series), series.partial, series.totals is not None)
        for name, series in gathered.recent.items()
    }
    return Record(
        calibration=gathered.digest,
        signals=known,
        last_look=context.last_look,
        last_ticket_look=context.last_ticket_look,
        neighbours=tuple((near.service, near.version, near.started_at, near.finished_at) for near in context.nearby),
        decided=decision.signals,
        version=__version__,
    )


def recorded(record: Record, environment: str) -> tuple[Nearby, ...] | None:
    """The other deploys that a decision was given; None if they were not recorded."""
    if record.neighbours is None:
        return None
    return tuple(
        Nearby(service, environment, version, started_at, finished_at)
        for service, version, started_at, finished_at in record.neighbours
    )
