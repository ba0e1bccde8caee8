"""Rehearses a service: is the false-rollback probability kept on its own history, and what harm would be seen?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from watcher.detect.calibration import ENGINE
from watcher.engine import advice, placebo
from watcher.engine.hindsight import Seen
from watcher.engine.placebo import Placebo, Spans
from watcher.engine.proportions import beyond, resolvable, share
from watcher.engine.tally import Tally, conclude, independent
from watcher.model.finding import State
from watcher.model.rehearsal import Judged, Pooled, Rehearsal
from watcher.model.series import Series
from watcher.model.service import Role, Service

PLACEBOS = 18  # two weeks of one-minute history are to cost half a second a signal
LIMIT = 120.0  # seconds after which no further placebo is begun


def rehearse(
    service: Service,
    history: Mapping[str, Series],
    now: float,
    *,
    incidents: Spans = (),
    earlier: Sequence[Rehearsal] = (),
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
        earlier: rehearsals of the service; those of the same policy and engine are pooled with this one, and places
            that they have judged come last.
        placebos: how many to judge at most.
        elapsed: seconds since the rehearsal began.
        limit: seconds after which no further placebo is begun.
    """
    begin, end = _extent(service, history)
    policy = policy_of(service)
    alike = [each for each in earlier if (each.policy, each.engine) == (policy, ENGINE) and each.judged]
    known = {
        each.start: each
        for made in alike
        for each in made.judged
        if placebo.is_clear(each.start, placebo.length(service), incidents)
    }
    clear = sorted(placebo.starts(service, begin, end, incidents), key=known.__contains__)
    planned = min(len(clear), placebos)
    tallies = [Tally(signal) for signal in service.signals if signal.role is not Role.CONTROL]
    finals: list[Seen] = []
    for turn, start in enumerate(clear[:planned]):
        if turn and elapsed() >= limit:
            break
        one = placebo.prepare(service, history, start)
        finals.append(_without_harm(one, tallies))
        for tally in tallies:
            tally.with_harm(one, turn, finals[-1].findings.of(tally.signal.name))
    judged = tuple(Judged(start, seen.findings.score, seen.called) for start, seen in zip(clear, finals, strict=False))
    windows = independent(len(clear), service.window, placebo.length(service))
    calls = share(
        sum(each.called for each in judged),
        len(judged),
        independent(len(judged), service.window, placebo.length(service)),
    )
    every = known | {each.start: each for each in judged}
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
        extrapolated=beyond([each.score for each in every.values()], -math.log10(service.false_rollback_probability)),
        outcomes=dict(Counter(_outcome(seen) for seen in finals)),
        signals=tuple(conclude(service, tally) for tally in tallies),
        cost=elapsed(),
        policy=policy,
        judged=judged,
        pooled=_pooled(service, every.values(), len(alike) + 1) if alike else None,
    )
    endings = Counter((_outcome(seen), seen.decision.reason) for seen in finals)
    return replace(made, sentences=advice.sentences(made, endings))


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


def _outcome(seen: Seen) -> str:
    return seen.decision.outcome.value if seen.decision.outcome else "undecided"


def _without_harm(one: Placebo, tallies: list[Tally]) -> Seen:
    """The placebo as it was; its last look."""
    looks = placebo.run(one)
    called = {
        each.signal.name
        for seen in looks
        for each in seen.assessments
        if each.harmed and not each.vetoed and each.finding.state is State.ALARM
    }
    for tally in tallies:
        tally.without_harm(looks[-1], called=tally.signal.name in called)
    return looks[-1]


def policy_of(service: Service) -> str:
    """A digest of all that a placebo's verdict depends on beside its points."""
    parts = (service.signals, service.window, service.ticket_window, service.step, service.history, service.warm_up)
    return sha256(repr((parts, service.zone, service.false_rollback_probability)).encode()).hexdigest()[:16]


def _pooled(service: Service, every: Collection[Judged], rehearsals: int) -> Pooled:
    """What the placebos of this rehearsal and of earlier ones, each elsewhere in the past, say together."""
    whole = independent(len(every), service.window, placebo.length(service))
    calls = share(sum(each.called for each in every), len(every), whole)
    return Pooled(rehearsals, calls, resolvable(calls.independent))
