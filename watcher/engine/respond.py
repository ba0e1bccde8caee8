"""What follows from a decision: the watch's next state, orders for the outbox, lines for the audit log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from watcher.engine import notes, plan, schedule
from watcher.kit import text
from watcher.model.decision import Decision, Outcome
from watcher.model.finding import Recovery
from watcher.model.order import Note, RollbackOrder, RollbackState, Topic
from watcher.model.service import Mode, Service
from watcher.model.watch import Watch, WatchState
from watcher.store.orders import Order
from watcher.verdict.restraint import Held


@dataclass(frozen=True, slots=True)
class Response:
    """All that one transaction writes beside the look itself. `events` are (event name, text)."""

    watch: Watch
    orders: tuple[Order, ...] = ()
    events: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the response rests on beside the decision.

    Attributes:
        history: earlier watches of the service, newest first.
        regressed: every version of the service in this environment that was ever judged regressed.
        last_look, last_ticket_look: as in `schedule`.
        base_url: of the page, for links.
        now: the tick's time; the decision's own time may lie long before it.
    """

    history: Sequence[Watch]
    last_look: bool
    last_ticket_look: bool
    base_url: str
    now: float
    regressed: AbstractSet[str] = frozenset()


def respond(watch: Watch, decision: Decision, facts: Facts) -> Response:
    """The response to a look's decision on a watch that is `scheduled` or `watching`."""
    seen = replace(
        watch,
        state=WatchState.WATCHING,
        last_look_at=decision.at,
        next_look_at=schedule.due(watch, decision.at, facts.now),
        score=decision.score,
    )
    if watch.outcome is Outcome.REGRESSED:  # nothing that comes later changes what was decided
        return Response(_watched_on(watch, seen, facts))
    if decision.outcome is Outcome.REGRESSED:
        return _regressed(_decided(seen, decision), facts)
    if facts.last_ticket_look or (facts.last_look and watch.outcome is None):
        return _window_over(watch, seen, decision, facts)
    if watch.outcome is not None:  # the metrics have spoken; the tickets go on
        return Response(replace(seen, score=watch.score))
    return Response(replace(seen, reason=decision.reason, sentence=decision.sentence))


def _watched_on(before: Watch, seen: Watch, facts: Facts) -> Watch:
    """A regressed watch that is not rolled back (yet) is watched to its end, for the record."""
    after = replace(seen, score=before.score)
    if facts.last_ticket_look and before.rollback_state is None:
        return replace(after, state=WatchState.DONE, ended_at=facts.now, next_look_at=None)
    return after


def _decided(watch: Watch, decision: Decision) -> Watch:
    return replace(
        watch,
        outcome=decision.outcome,
        reason=decision.reason,
        sentence=decision.sentence,
        decided_at=decision.at,
    )


def _window_over(before: Watch, seen: Watch, decision: Decision, facts: Facts) -> Response:
    outcome = decision.outcome or Outcome.INCONCLUSIVE
    after = _decided(seen, replace(decision, outcome=outcome))
    if before.outcome is not None:
        after = replace(after, decided_at=before.decided_at)
    if facts.last_ticket_look:
        after = replace(after, state=WatchState.DONE, ended_at=facts.now, next_look_at=None)
    else:
        after = replace(after, next_look_at=schedule.due(after, decision.at, facts.now))
    if before.outcome is outcome and before.reason is after.reason:
        return Response(after)
    topic = Topic.HEALTHY if outcome is Outcome.HEALTHY else Topic.INCONCLUSIVE
    return _told(after, topic, decision.sentence, facts, (("decided", _verdict_line(after)),))


def _regressed(watch: Watch, facts: Facts) -> Response:
    events = (("decided", _verdict_line(watch)),)
    policy = watch.policy
    if policy.mode is Mode.OBSERVE or policy.rollback is None:
        sentence = f"{watch.sentence} The watcher only observes this service: it does not roll back."
        return _told(watch, Topic.REGRESSED, sentence, facts, events)
    target = plan.target_version(watch, facts.history, facts.regressed)
    if target is None:
        why = plan.no_target(watch, facts.history, facts.regressed)
        sentence = f"{watch.sentence} Nothing is rolled back. {why} A person must act."
        return _told(watch, Topic.NO_ROLLBACK_TARGET, sentence, facts, (*events, ("no_rollback_target", why)))
    order = rollback_order(watch, target, facts)
    # A look that follows at once must know of it, although only the store's own join says so later.
    watch = replace(watch, rollback_id=order.id, rollback_state=RollbackState.PLANNED, target_version=target)
    if policy.mode is Mode.ASK:
        asked = _told(watch, Topic.APPROVAL_WANTED, asking(watch, target), facts, events)
        return replace(asked, orders=(waiting(order, policy, facts.now), *asked.orders))
    sentence = f"{watch.sentence} Rolling back to {target}."
    told = _told(replace(watch, state=WatchState.RECOVERING), Topic.REGRESSED, sentence, facts, events)
    return replace(told, orders=(order, *told.orders))


def hold_back(response: Response, held: Held, base_url: str, now: float) -> Response:
    """The response to a regressed deploy, asking for what it would have done by itself."""
    order, target = next(
        (order, order.payload.target_version) for order in response.orders if isinstance(order.payload, RollbackOrder)
    )
    watch = replace(response.watch, state=WatchState.WATCHING, rollback_held=held.hold)
    # What else is to be told stays: that the watch was blind, for example.
    others = tuple(
        one for one in response.orders if isinstance(one.payload, Note) and one.payload.topic is not Topic.REGRESSED
    )
    sentence = asking(watch, target, held)
    message = notes.note(watch, Topic.APPROVAL_WANTED, sentence, now, base_url)
    return Response(
        watch,
        (waiting(order, watch.policy, now, held), *notes.deliver(message, watch.policy, now), *others),
        (*response.events, ("rollback_held", f"{held.hold.value}: {held.text}")),
    )


def asking(watch: Watch, target: str, held: Held | None = None) -> str:
    """What a person is asked to decide, and why it is left to a person where the mode would not."""
    wait = text.duration(watch.policy.approval_timeout)
    why = f" It is not rolled back without a person: {held.text}." if held else ""
    return f"{watch.sentence}{why} Approve or refuse going back to {target} within {wait}."


def waiting(order: Order, policy: Service, now: float, held: Held | None = None) -> Order:
    """The order, due only when it is too late to approve it."""
    expires_at = now + policy.approval_timeout
    return replace(
        order,
        state=RollbackState.PLANNED,
        next_at=expires_at,
        expires_at=expires_at,
        updated_at=now,
        held=held.hold if held else None,
        detail=held.text if held else "",
    )


def rollback_order(watch: Watch, target: str, facts: Facts) -> Order:
    """The one rollback of a watch, due at once."""
    rollback_id = plan.short_id("r", watch.id)
    return Order(
        id=rollback_id,
        watch_id=watch.id,
        target=watch.service,
        payload=RollbackOrder(
            rollback_id=rollback_id,
            watch_id=watch.id,
            deploy_id=watch.deploy_id,
            service=watch.service,
            environment=watch.environment,
            bad_version=watch.version,
            target_version=target,
            sentence=watch.sentence,
            url=notes.watch_url(facts.base_url, watch.id),
        ),
        state=RollbackState.PLANNED,
        created_at=facts.now,
        updated_at=facts.now,
        next_at=facts.now,
    )


def respond_to_recovery(
    watch: Watch, recoveries: dict[str, Recovery], *, at: float, now: float, base_url: str
) -> Response:
    """The response to a look at a watch whose rollback was accepted; `recoveries` are of the signals that had harm."""
    seen = replace(watch, last_look_at=at, next_look_at=schedule.next_look(watch, at))
    over = replace(seen, state=WatchState.DONE, ended_at=now, next_look_at=None)
    facts = Facts(history=(), last_look=True, last_ticket_look=True, base_url=base_url, now=now)
    names = ", ".join(recoveries)
    if recoveries and all(state is Recovery.RECOVERED for state in recoveries.values()):
        sentence = f"After the rollback to {watch.target_version}, {names} came back to what was expected."
        return _told(replace(over, recovered=True), Topic.RECOVERED, sentence, facts, (("recovered", sentence),))
    if watch.recovery_until is None or at < watch.recovery_until:
        return Response(seen)
    waited = text.duration(watch.policy.recovery_window)
    still = [name for name, state in recoveries.items() if state is Recovery.NOT_YET]
    if still:
        sentence = f"{waited} after the rollback to {watch.target_version}, {', '.join(still)} still shows harm: act."
    else:
        sentence = f"{waited} after the rollback to {watch.target_version}, {names} cannot be measured: look yourself."
    ended = replace(over, recovered=False if still else None)
    return _told(ended, Topic.NOT_RECOVERED, sentence, facts, (("not_recovered", sentence),))


def _told(watch: Watch, topic: Topic, sentence: str, facts: Facts, events: tuple[tuple[str, str], ...]) -> Response:
    message = notes.note(watch, topic, sentence, facts.now, facts.base_url)
    return Response(watch, notes.deliver(message, watch.policy, facts.now), events)


def _verdict_line(watch: Watch) -> str:
    outcome = watch.outcome.value if watch.outcome else "undecided"
    return f"{outcome} ({watch.reason.value}): {watch.sentence}"
