"""What a rehearsal means, in plain words: what was measured, what is only extrapolated, and what would help."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from watcher.detect import Baseline, Learned
from watcher.detect.noise import Scale
from watcher.kit.clock import iso
from watcher.kit.text import duration, number, percent
from watcher.model.decision import Reason
from watcher.model.finding import Cause
from watcher.model.rehearsal import Rehearsal, Share, SignalRehearsal
from watcher.model.service import FEW_EVENTS, Harm, Role, Service, Signal
from watcher.verdict.explain import TITLES

Endings = Mapping[tuple[str, Reason], int]  # outcome and reason -> how many placebos without harm ended so

_LONGEST_WINDOW = 86400.0  # a longer one is no answer to a deploy
_OFTEN = 0.1
_FINEST = 1e-4  # the smallest min_effect that anybody is told to set
_CAUSES = MappingProxyType(
    {
        Cause.TOO_LITTLE_HISTORY: "more history (let the source collect, or fill it with watcher import)",
        Cause.TOO_LITTLE_TRAFFIC: "more traffic, a longer window or a broader query",
        Cause.NO_DATA: "points: most placebos found none",
        Cause.STALE_DATA: "points up to the end of the window: they stop too early",
        Cause.GAPS: "fewer missing buckets, or a longer step",
        Cause.FROZEN_DATA: "a source that does not repeat one value",
        Cause.BAD_VALUES: "a query without impossible values",
    }
)
_SCALES = MappingProxyType(
    {
        Scale.EVENTS: "counts of events",
        Scale.SHARE: "a share of events",
        Scale.LOG: "logarithms",
        Scale.RELATIVE: "a level above zero",
        Scale.ABSOLUTE: "a level about zero",
    }
)
_BASELINES = MappingProxyType(
    {
        Baseline.LEVEL: "its level, as no time of day tells more",
        Baseline.DAY: "the same minutes of other days",
        Baseline.WORKDAY: "the same minutes of other working days, or weekends",
        Baseline.WEEKDAY: "the same minutes of the same weekday",
    }
)


def sentences(rehearsal: Rehearsal, endings: Endings) -> tuple[str, ...]:
    """The rehearsal as a whole; the signals have their own advice."""
    return tuple(_whole(rehearsal, endings))


def _whole(made: Rehearsal, endings: Endings) -> Iterator[str]:
    window, chosen = duration(made.window), percent(made.false_rollback_probability)
    if not made.placebos:
        yield (
            f"There is no room for a placebo deploy in {duration(made.history)} of history: nothing is known yet of how"
            " often harm would be called falsely. More history helps (let the source collect, or use watcher import)."
        )
        return
    yield (
        f"{made.placebos} placebo deploys with a window of {window}, without harm: called harmful in"
        f" {made.false_calls.hits}, that is {interval(made.false_calls)}; {chosen} is set."
    )
    if made.placebos < made.planned:
        yield f"The time limit cut it short: {made.planned} placebos were planned."
    if made.pooled is not None:
        known = made.pooled.false_calls
        yield (
            f"With {_earlier(made.pooled.rehearsals - 1)}, at other times of the past: {known.hits} of"
            f" {known.trials} placebos, that is {interval(known)}."
        )
    if made.known_false.low > made.false_rollback_probability:
        yield f"That is more than the {chosen} that is set: do not let this service act by itself yet."
    yield from _resolution(made, chosen)
    ended = (f"{outcome} in {count}{_why(outcome, endings)}" for outcome, count in sorted(made.outcomes.items()))
    yield f"They ended {', '.join(ended)}."


def _why(outcome: str, endings: Endings) -> str:
    """The reasons of an outcome that leaves a question open, the commonest first."""
    reasons = {reason: count for (ended, reason), count in endings.items() if ended == outcome}
    reasons.pop(Reason.NO_HARM, None)
    counts = [f" in {count}" if len(reasons) > 1 else "" for count in sorted(reasons.values(), reverse=True)]
    named = sorted(reasons, key=lambda reason: (-reasons[reason], reason))
    listed = "; ".join(f"{TITLES[reason]}{count}" for reason, count in zip(named, counts, strict=True))
    return f" ({listed})" if listed else ""


def _resolution(made: Rehearsal, chosen: str) -> Iterator[str]:
    resolved = made.pooled.resolved if made.pooled is not None else made.resolved
    if resolved is None or made.resolvable is None:
        return
    count = made.known_false.independent
    if made.windows > count:
        more = f"all {made.windows} that the history holds would resolve {percent(made.resolvable)}"
    else:
        more = "every day's rehearsal adds to them"
    yield f"{count} independent placebos resolve no probability below {percent(resolved)}; {more}."
    if resolved <= made.false_rollback_probability:
        return
    if made.extrapolated is None:
        proof = "this history" if made.resolvable > made.false_rollback_probability else "so few placebos"
        yield f"So {chosen} is not proved by {proof}, and the scores are too few to extrapolate."
        return
    tail = made.extrapolated
    if made.known_false.low > tail.value:
        return  # what was measured is more: the tail did not go on as it began
    yield (
        f"Below that it is extrapolated, not measured: if the scores' tail goes on as it began, harm is called falsely"
        f" in {_small(tail.value)} of deploys ({_small(tail.low)} to {_small(tail.high)})."
    )


def _earlier(count: int) -> str:
    return f"{count} earlier rehearsal{'s' if count > 1 else ''}"


def _small(probability: float) -> str:
    return percent(probability) if probability >= 1e-4 else "less than 0.01 %"


def interval(share: Share) -> str:
    """`5 % (0.1 % to 25 %)`."""
    value = share.value
    return f"{percent(value if value is not None else math.nan)} ({percent(share.low)} to {percent(share.high)})"


def basis(learned: Learned) -> str:
    """`as counts of events, against the same minutes of other days (15 calendar days), and against other_region`."""
    against = _BASELINES[learned.baseline]
    days = f" ({learned.days} calendar days)" if learned.baseline is not Baseline.LEVEL else ""
    control = f", and against {learned.control}" if learned.control else ""
    judged = f"{_SCALES[learned.scale]}, by what it leaves out" if learned.turned else _SCALES[learned.scale]
    return f"as {judged}, against {against}{days}{control}"


def for_signal(
    service: Service,
    signal: Signal,
    made: SignalRehearsal,
    learned: Learned | None = None,
    events: float | None = None,
) -> tuple[str, ...]:
    """What would help this signal to show what the policy says must be seen, and what in its history stands in the way.

    `events`: how many more of them show in the window, where they are counted and more are harm.
    """
    odds = learned.odds if learned is not None else None
    return (
        *_advice(service, signal, made, events, learned),
        *(_incidents(signal, learned) if learned is not None else ()),
        *(_clocks(signal, learned) if learned is not None else ()),
        *_spared(signal, odds),
    )


def _incidents(signal: Signal, learned: Learned) -> Iterator[str]:
    if learned.newest_incident is None:
        return
    helps = "" if learned.control else " A control in which they show too would tell them apart."
    yield (
        f"{signal.name} went far off by itself some {learned.incidents} times, last about"
        f" {iso(learned.newest_incident)}: harm no larger than that may be one more of them, and counts less.{helps}"
    )


def _clocks(signal: Signal, learned: Learned) -> Iterator[str]:
    if learned.clock_change is not None:
        yield (
            f"The habits of {signal.name} seem to have moved when clocks were changed at {iso(learned.clock_change)}:"
            " with the service's zone set it is known beforehand, without it one to three days later."
        )


def _spared(signal: Signal, odds: float | None) -> Iterator[str]:
    """A few per cent of nearly everything are many times what it leaves out."""
    if odds is None or signal.default_effect or signal.harm is Harm.UP or signal.min_effect * odds < 1:
        return
    wanted = percent(max(0.5 / odds, _FINEST))
    if odds > 1 / _FINEST:
        yield f"{signal.name} leaves out next to nothing, and a loss below its min_effect is no harm: set {wanted}."
        return
    times = number(float(f"{signal.min_effect * odds:.2g}"))
    yield (
        f"{signal.name} leaves out {percent(1 / (1 + odds))}: its min_effect of {percent(signal.min_effect)} is"
        f" {times} times as many of those more, and what is less is no harm. With {wanted} half as many more would be."
    )


def _advice(
    service: Service, signal: Signal, made: SignalRehearsal, events: float | None, learned: Learned | None
) -> Iterator[str]:
    odds, incidents = (learned.odds, learned.incidents) if learned is not None else (None, 0)
    unmeasured = sum(made.unmeasured.values())
    if unmeasured > made.false_calls.trials:
        cause = max(made.unmeasured, key=lambda name: made.unmeasured[name])
        yield f"{signal.name} needs {_CAUSES.get(Cause(cause), cause)}."
    if made.tried is None:
        return
    if made.false_calls.low > service.false_rollback_probability:
        # Not another role: what is supporting can be harmed, and be rolled back for, just as well.
        control = "" if signal.control is not None else ", give it a control"
        more = "raise its min_effect"
        if signal.default_effect and odds is not None:  # which is one of what it leaves out: what is set is not
            more = f"set its min_effect ({percent(max(0.1 / odds, _FINEST))} is a tenth more of what it leaves out)"
        yield f"{signal.name} is called too often on its own past: {more}{control}, or leave it out."
    if made.vetoed.hits > 1 and (made.vetoed.value or 0.0) > _OFTEN:  # one may be chance
        yield (
            f"{percent(made.vetoed.value or 0.0)} of the injected harm was put down to before the deploy:"
            f" {signal.name} moves much by itself; deploy when it is calm, or give it a control."
        )
    if events is not None and events <= FEW_EVENTS and (made.detectable is None or made.detectable > 1):
        yield f"{signal.name} hardly ever happens: {math.ceil(events)} more in a window would show."
    elif (made.detectable is None or made.detectable > signal.must_see) and not incidents:
        # Beside incidents neither a longer window nor more events are sure to show it.
        yield from _weak(service, signal, made)


def _weak(service: Service, signal: Signal, made: SignalRehearsal) -> Iterator[str]:
    """Detectable harm shrinks about with the root of the window and of the traffic."""
    wanted = percent(signal.must_see)
    times = ((made.detectable or made.tried or 1.0) / signal.must_see) ** 2
    at_least = "" if made.detectable is not None else "at least "
    window = service.ticket_window if signal.is_tickets else service.window
    if window * times <= _LONGEST_WINDOW:
        longer = f"{at_least}about {duration(window * times)}"
        yield f"To see {wanted} in {signal.name}, the window would have to be {longer}."
    else:
        yield f"No window of a day shows {wanted} in {signal.name}: it has too little traffic, or moves too much."
    yield f"Or a busier signal: with {at_least}about {math.ceil(times)} times the events {wanted} would show."
    if signal.control is None and not any(each.role is Role.CONTROL for each in service.signals):
        yield f"Or a control for {signal.name}: a region, version or cohort that the deploy cannot touch."
