"""What a newer deploy means for a watch, the rollback that it had in mind, and those who were told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from watcher.engine import notes, plan
from watcher.model.decision import Outcome
from watcher.model.deploy import Deploy
from watcher.model.order import RollbackOrder, RollbackState, Topic
from watcher.model.watch import Watch
from watcher.store.orders import Order

_IN_FLIGHT = "a newer deploy came while the rollback was being attempted; it is not tried again"
_TOO_LATE = "a newer deploy took its place before it was carried out"


@dataclass(frozen=True, slots=True)
class Superseded:
    """What is to be written, all of it at once.

    Attributes:
        order: the rollback that is off, or whose outcome will not be known; None if nothing about one changes.
        notes: what people are told.
        events: lines of the watch's timeline: event, text.
    """

    watch: Watch
    order: Order | None
    notes: tuple[Order, ...]
    events: tuple[tuple[str, str], ...]


def supersede(watch: Watch, order: Order | None, deploy: Deploy, now: float, base_url: str) -> Superseded:
    """Ends `watch`, whose deploy is no longer what users meet; `order`: its rollback, if it has one."""
    after = plan.supersede(watch, deploy, now)
    took = ("superseded", f"deploy {deploy.version} took its place")
    if order is not None and order.state is RollbackState.ATTEMPTED:
        # Another attempt would undo the newer deploy.
        changed = replace(order, state=RollbackState.UNKNOWN, detail=_IN_FLIGHT, updated_at=now, next_at=None)
        sentence = (
            f"Going back from {watch.version} to {_target(order)} may or may not have happened: deploy {deploy.version}"
            f" came while it was being attempted, and may have been undone. It is not tried again: look now."
        )
        told = _note(after, Topic.ROLLBACK_UNKNOWN, sentence, now, base_url)
        return Superseded(after, changed, told, (took, ("rollback_unknown", _IN_FLIGHT)))
    if order is not None and order.state in (RollbackState.PLANNED, RollbackState.APPROVED):
        changed = replace(order, state=RollbackState.EXPIRED, detail=_TOO_LATE, updated_at=now, next_at=None)
        off = "is no longer asked for" if order.expires_at is not None else "is not carried out any more"
        sentence = f"Deploy {deploy.version} took the place of {watch.version}: going back to {_target(order)} {off}."
        told = _note(after, Topic.SUPERSEDED, sentence, now, base_url)
        return Superseded(after, changed, told, (took, ("rollback_expired", _TOO_LATE)))
    if watch.outcome is Outcome.REGRESSED:  # people were told, and an alert may be firing
        sentence = f"Deploy {deploy.version} took the place of {watch.version}, which is no longer watched."
        return Superseded(after, None, _note(after, Topic.SUPERSEDED, sentence, now, base_url), (took,))
    return Superseded(after, None, (), (took,))


def _target(order: Order) -> str:
    return order.payload.target_version if isinstance(order.payload, RollbackOrder) else "?"


def _note(watch: Watch, topic: Topic, sentence: str, now: float, base_url: str) -> tuple[Order, ...]:
    return notes.deliver(notes.note(watch, topic, sentence, now, base_url), watch.policy, now)
