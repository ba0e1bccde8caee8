"""Rehearses a service: is the false-rollback probability kept on its own history, and what harm would be seen?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from zlib import crc32

import numpy as np

from watcher.detect.calibration import ENGINE
from watcher.engine import advice, injection, placebo
from watcher.engine.placebo import Placebo, Seen, Spans
from watcher.engine.proportions import beyond, resolvable, share
from watcher.model.decision import Reason
from watcher.model.finding import Cause, Finding, State
from watcher.model.rehearsal import Rehearsal, SignalRehearsal
from watcher.model.series import Series
from watcher.model.service import Role, Service, Signal

PLACEBOS = 20  # two weeks of one-minute history are to cost half a second a signal
LIMIT = 120.0  # seconds after which no further placebo is begun
POWER = 0.8


@dataclass(frozen=True, slots=True)
class _Harmed:
    """One placebo with injected harm; `smallest` is the least that was called, infinite if none was."""

    turn: int
    placebo: Placebo
    smallest: float


@dataclass(slots=True)
class _Tally:
    """One signal's results over the placebos."""

    signal: Signal
    judged: int = 0
    false_calls: int = 0
    unmeasured: Counter[str] = field(default_factory=Counter)
    harmed: list[_Harmed] = field(default_factory=list)


def rehearse(
    service: Service,
    history: Mapping[str, Series],
    now: float,
    *,
    incidents: Spans = (),
    placebos: int = PLACEBOS,
    elapsed: Callable[[], float],
    limit: float = LIMIT,
) -> Rehearsal:
    """Judges placebo deploys over `history` (signal name -> points), with and without injected harm.

    Args:
        service: the policy, as for a real watch.
        history: incidents already blanked.
        now: when it is made, unix seconds; nothing is decided by it.
        incidents: (start, end) of times in which no placebo is placed.
        placebos: how many to judge at most.
        elapsed: seconds since the rehearsal began.
        limit: seconds after which no further placebo is begun.
    """
    begin, end = _extent(service, history)
    clear = placebo.starts(service, begin, end, incidents)
    planned = min(len(clear), placebos)
    tallies = [_Tally(signal) for signal in service.signals if signal.role is not Role.CONTROL]
    finals: list[Seen] = []
    for turn, start in enumerate(clear[:planned]):
        if turn and elapsed() >= limit:
            break
        one = placebo.prepare(service, history, start)
        finals.append(_without_harm(one, tallies))
        for tally in tallies:
            _with_harm(one, tally, turn, finals[-1].findings.of(tally.signal.name))
    windows = _independent(len(clear), service.window, placebo.length(service))
    independent = _independent(len(finals), service.window, placebo.length(service))
    calls = share(sum(seen.called for seen in finals), len(finals), independent)
    made = Rehearsal(
        service=service.name,
        made_at=now,
        engine=ENGINE,
        numpy=np.__version__,
        false_rollback_probability=service.false_rollback_probability,
        window=service.window,
        history=max(end - begin, 0.0),
        placebos=len(finals),
        planned=planned,
        windows=windows,
        false_calls=calls,
        resolved=resolvable(calls.independent),
        resolvable=resolvable(windows),
        extrapolated=beyond([seen.findings.score for seen in finals], -math.log10(service.false_rollback_probability)),
        outcomes=dict(Counter(_outcome(seen) for seen in finals)),
        signals=tuple(_signal(service, tally) for tally in tallies),
        cost=elapsed(),
    )
    return replace(made, sentences=advice.sentences(made))


def _extent(service: Service, history: Mapping[str, Series]) -> tuple[float, float]:
    """From the oldest point to where every signal that is still measured ends."""
    spans = [
        (float(series.times[0]) - series.step, min(float(series.times[-1]), series.complete_until))
        for series in history.values()
        if len(series)
    ]
    newest = max((last for _, last in spans), default=0.0)
    return (
        min((first for first, _ in spans), default=0.0),
        min((last for _, last in spans if last > newest - service.window), default=0.0),
    )


def _independent(count: int, spacing: float, whole: float) -> int:
    """Of `count` placebos `spacing` apart, how many share no point with another: those of a long window overlap."""
    return count if whole <= spacing else math.ceil(count * spacing / whole)


def _outcome(seen: Seen) -> str:
    return seen.decision.outcome.value if seen.decision.outcome else "undecided"


def _without_harm(one: Placebo, tallies: list[_Tally]) -> Seen:
    """The placebo as it was; its last look."""
    looks = placebo.run(one)
    called = {
        each.signal.name
        for seen in looks
        for each in seen.assessments
        if each.harmed and not each.vetoed and each.finding.state is State.ALARM
    }
    for tally in tallies:
        finding = looks[-1].findings.of(tally.signal.name)
        if finding.state is State.UNMEASURABLE:
            tally.unmeasured[finding.cause.value] += 1
            continue
        tally.judged += 1
        tally.false_calls += tally.signal.name in called
    return looks[-1]


def _with_harm(one: Placebo, tally: _Tally, turn: int, finding: Finding) -> None:
    """Finds, by halving, the smallest harm that the placebo's window shows."""
    if finding.state is State.UNMEASURABLE and finding.cause is not Cause.TOO_LITTLE_TRAFFIC:
        return
    sizes = injection.sizes(injection.direction(tally.signal, turn))
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        series = _harmed(one, tally.signal, turn, sizes[middle])
        if placebo.look(one, series, one.looks[-1], None).called:
            high = middle
        else:
            low = middle + 1
    tally.harmed.append(_Harmed(turn, one, sizes[low] if low < len(sizes) else math.inf))


def _harmed(one: Placebo, signal: Signal, turn: int, size: float) -> dict[str, Series]:
    change = injection.direction(signal, turn) * size
    seed = crc32(f"{signal.name} {one.context.started_at}".encode())
    series = injection.inject(one.known[signal.name], signal.kind, one.context.started_at, change, seed)
    return placebo.watched_with(one, signal.name, series)


def _signal(service: Service, tally: _Tally) -> SignalRehearsal:
    """What the placebos say of one signal, and at the smallest harm that is found: how soon, and how often vetoed."""
    signal = tally.signal
    spacing, whole = service.window, max(service.window, service.ticket_window) if signal.is_tickets else service.window
    found = sorted(each.smallest for each in tally.harmed)
    size = found[math.ceil(POWER * len(found)) - 1] if found else None
    detectable = size if size is not None and math.isfinite(size) else None
    looks, seconds, vetoes, tried = [], [], 0, 0.0
    for each in tally.harmed:
        tried = detectable or injection.sizes(injection.direction(signal, each.turn))[-1]
        series = _harmed(each.placebo, signal, each.turn, tried)
        first = placebo.first_call(each.placebo, series)
        if first is not None:
            looks.append(first)
            seconds.append(each.placebo.looks[first - 1] - each.placebo.context.started_at)
        else:
            last = placebo.look(each.placebo, series, each.placebo.looks[-1], None)
            vetoes += any(one.reason is Reason.PRE_EXISTING for one in last.assessments)
    count = len(tally.harmed)
    made = SignalRehearsal(
        name=signal.name,
        false_calls=share(tally.false_calls, tally.judged, _independent(tally.judged, spacing, whole)),
        unmeasured=dict(tally.unmeasured),
        detectable=detectable,
        tried=tried if count else None,
        looks=median(looks) if looks else None,
        seconds=median(seconds) if seconds else None,
        vetoed=share(vetoes, count, _independent(count, spacing, whole)),
    )
    return replace(made, advice=advice.for_signal(service, signal, made))
