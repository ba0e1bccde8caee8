"""How states read on the page: a word, a shape and a tone for each, so that colour alone never carries meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from watcher.model.decision import Outcome
from watcher.model.deploy import Deploy, Phase
from watcher.model.finding import State
from watcher.model.order import RollbackState
from watcher.model.service import Mode, Role
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, watches
from watcher.store.database import Tx
from watcher.web.schemas import SignalView


@dataclass(frozen=True, slots=True)
class Badge:
    """`tone`: bad, good, unsure, busy or off; `mark`: a shape that differs for each tone."""

    word: str
    tone: str
    mark: str


_OUTCOMES = MappingProxyType(
    {
        Outcome.REGRESSED: Badge("Regressed", "bad", "✕"),
        Outcome.ERROR: Badge("Error", "unsure", "!"),
        Outcome.INCONCLUSIVE: Badge("Inconclusive", "unsure", "?"),
        Outcome.HEALTHY: Badge("Healthy", "good", "✓"),
    }
)
_STATES = MappingProxyType(
    {
        WatchState.SCHEDULED: Badge("Watching", "busy", "◔"),
        WatchState.WATCHING: Badge("Watching", "busy", "◔"),
        WatchState.RECOVERING: Badge("Recovering", "busy", "◔"),
        WatchState.DONE: Badge("Done", "off", "○"),
        WatchState.SUPERSEDED: Badge("Superseded", "off", "»"),
        WatchState.STOPPED: Badge("Stopped", "off", "■"),
    }
)
_PHASES = MappingProxyType(
    {
        Phase.ANNOUNCED: Badge("Announced", "busy", "◔"),
        Phase.STARTED: Badge("Deploying", "busy", "◔"),
        Phase.FAILED: Badge("Deploy failed", "off", "○"),
    }
)
_UNWATCHED = Badge("Not watched", "off", "○")
_RECEIPT = Badge("Our rollback", "off", "↩")


@dataclass(frozen=True, slots=True)
class RollbackLine:
    """A rollback in a few words; `waits`: for a person."""

    text: str
    tone: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list: a watch, or a deploy that nobody watches."""

    id: str
    at: float
    badge: Badge
    services: str
    environment: str
    version: str
    sentence: str
    href: str | None = None
    rollback: RollbackLine | None = None
    live: bool = False


def badge(watch: Watch) -> Badge:
    return _OUTCOMES[watch.outcome] if watch.outcome is not None else _STATES[watch.state]


_ROLLBACKS = MappingProxyType(
    {
        RollbackState.PLANNED: RollbackLine("Rollback to {} is about to be asked for", "busy"),
        RollbackState.APPROVED: RollbackLine("Rollback to {} is approved and about to be asked for", "busy"),
        RollbackState.ATTEMPTED: RollbackLine("Rollback to {} is being asked for", "busy"),
        RollbackState.ACCEPTED: RollbackLine("Rollback to {} accepted by the pipeline", "off"),
        RollbackState.VERIFIED: RollbackLine("Rolled back to {}", "off"),
        RollbackState.REFUSED: RollbackLine("Rollback refused", "off"),
        RollbackState.EXPIRED: RollbackLine("Rollback expired: nothing was rolled back", "unsure"),
        RollbackState.FAILED: RollbackLine("Rollback to {} FAILED: act by hand", "bad"),
        RollbackState.UNKNOWN: RollbackLine("Rollback to {} may or may not have happened: check by hand", "bad"),
    }
)
_WAITS = RollbackLine("Rollback to {} waits for approval", "bad", waits=True)
_CARRIED_OUT = (RollbackState.ACCEPTED, RollbackState.VERIFIED)


def rollback_line(watch: Watch) -> RollbackLine | None:
    """What became of the rollback, with the recovery; None if there is none."""
    if watch.rollback_state is None:
        return None
    waits = watch.rollback_state is RollbackState.PLANNED and watch.policy.mode is Mode.ASK and not watch.ended
    line = _WAITS if waits else _ROLLBACKS[watch.rollback_state]
    line = replace(line, text=line.text.format(watch.target_version or "the version before"))
    return _with_recovery(watch, line) if watch.rollback_state in _CARRIED_OUT else line


def _with_recovery(watch: Watch, line: RollbackLine) -> RollbackLine:
    if watch.recovered is None:
        going_on = watch.state is WatchState.RECOVERING
        return RollbackLine(f"{line.text}, watching for recovery", "busy") if going_on else line
    if watch.recovered:
        return RollbackLine(f"{line.text}, and users recovered", "good")
    return RollbackLine(f"{line.text}, but users have NOT recovered: look at once", "bad")


def watch_row(watch: Watch) -> Row:
    return Row(
        id=watch.id,
        at=watch.finished_at,
        badge=badge(watch),
        services=watch.service,
        environment=watch.environment,
        version=watch.version,
        sentence=watch.sentence or _before_first_look(watch),
        href=f"/watches/{watch.id}",
        rollback=rollback_line(watch),
        live=not watch.ended,
    )


def _before_first_look(watch: Watch) -> str:
    return "The first look is yet to come." if watch.state is WatchState.SCHEDULED else ""


def deploy_row(deploy: Deploy) -> Row:
    """For a deploy without a watch."""
    return Row(
        id=deploy.id,
        at=deploy.received_at,
        badge=_deploy_badge(deploy),
        services=", ".join(deploy.services)
        or deploy.attributes.get("service", deploy.attributes.get("repository", "")),
        environment=deploy.environment,
        version=deploy.version,
        sentence=_deploy_sentence(deploy),
    )


def _deploy_badge(deploy: Deploy) -> Badge:
    if deploy.phase in _PHASES:
        return _PHASES[deploy.phase]
    return _RECEIPT if deploy.services else _UNWATCHED


def _deploy_sentence(deploy: Deploy) -> str:
    if not deploy.services:
        return "No configured service matches this deploy, so nothing watches it."
    if deploy.phase is Phase.FAILED:
        return "The pipeline says that this deploy failed; there is nothing to watch."
    if deploy.phase is Phase.FINISHED:
        return "Announced as the version to which we rolled back; the watch of the bad deploy follows the recovery."
    return "The watch begins when the deploy has finished."


def listing(tx: Tx, *, limit: int, service: str | None, before: float | None) -> tuple[Sequence[Row], float | None]:
    """Watches and unwatched deploys together, newest first, and `before` of the next page."""
    found = [
        (one.created_at, watch_row(one)) for one in watches.listing(tx, limit=limit, service=service, before=before)
    ]
    found += [
        (one.received_at, deploy_row(one))
        for one in deploys.recent(tx, limit, before)
        if (service is None or service in one.services) and not watches.of_deploy(tx, one.id)
    ]
    found.sort(key=lambda pair: -pair[0])
    shown = found[:limit]
    return [row for _, row in shown], shown[-1][0] if len(found) > limit else None


_SIGNAL_BADGES = MappingProxyType(
    {
        State.ALARM: Badge("Harm", "bad", "✕"),
        State.SUSPECT: Badge("Suspect", "unsure", "?"),
        State.UNMEASURABLE: Badge("Not measurable", "unsure", "!"),
        State.QUIET: Badge("As expected", "good", "✓"),
    }
)


def signal_badge(signal: SignalView) -> Badge:
    if signal.failure:
        return Badge("Source failed", "unsure", "!")
    if signal.state is not None:
        return _SIGNAL_BADGES[signal.state]
    return Badge("Control", "off", "○") if signal.role is Role.CONTROL else Badge("No look yet", "off", "○")


def signal_rank(signal: SignalView) -> int:
    """The signal to look at first comes first; controls come last."""
    if signal.role is Role.CONTROL:
        return len(State) + 1
    return len(State) if signal.state is None else list(_SIGNAL_BADGES).index(signal.state)
