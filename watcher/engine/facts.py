"""What a look's decision rests on beside the mathematics, made alike for the look itself and for its replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watcher.engine.gather import Gathered
from watcher.model.deploy import Deploy
from watcher.model.finding import Cause, Findings, State
from watcher.model.record import Known, Record
from watcher.model.watch import Watch
from watcher.verdict import Context, Nearby

NEARBY = 2 * 3600.0  # deploys this long before ours may still be what is seen


def context_of(
    watch: Watch, failures: Mapping[str, str], others: tuple[Nearby, ...], last_look: bool, last_ticket_look: bool
) -> Context:
    """What the verdict must know of `watch` at one look."""
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
        last_look=last_look,
        last_ticket_look=last_ticket_look,
    )


def nearby(watch: Watch, others: Sequence[Deploy]) -> tuple[Nearby, ...]:
    """The other deploys around this one in the same environment, those of the same service first."""
    found = [
        Nearby(service, other.environment, other.version, other.started_at, other.finished_at)
        for other in others
        if other.id != watch.deploy_id and other.environment == watch.environment
        for service in (other.services or (other.attributes.get("service") or other.attributes.get("repository", "?"),))
    ]
    return tuple(sorted(found, key=lambda near: (near.service != watch.service, near.started_at)))


def blames(findings: Findings) -> bool:
    """Whether there is harm that somebody did: only then does it matter who else deployed."""
    return any(
        finding.state in {State.ALARM, State.SUSPECT}
        or finding.cause in {Cause.PRE_EXISTING, Cause.SHARED_WITH_CONTROL}
        for finding in findings.signals
    )


def record_of(gathered: Gathered, now: float, *, last_look: bool, last_ticket_look: bool) -> Record:
    """What a look at `now` (its own time is never later) rests on."""
    known = {
        # What is complete beyond now is so for a look as if it were complete up to now; an infinity is not JSON.
        name: Known(min(series.complete_until, now), len(series), series.partial, series.totals is not None)
        for name, series in gathered.recent.items()
    }
    return Record(gathered.digest, known, last_look, last_ticket_look)
