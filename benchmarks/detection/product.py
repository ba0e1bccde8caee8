"""The product through its public interface alone: `calibrate` once, `look` as a live watch would."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.cases import PROBABILITY, Case
from watcher import detect, verdict
from watcher.model.finding import Cause, Findings, State
from watcher.model.series import Floats, Series
from watcher.model.watch import WatchPlan
from watcher.verdict import Context

THRESHOLD = -math.log10(PROBABILITY)
_SAME = 0.02  # scores closer than that are one


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """One watch, calibrated; `times` are those of its looks, ascending."""

    calibration: detect.Calibration
    series: Mapping[str, Series]
    times: Floats

    @classmethod
    def of(cls, case: Case) -> Watch:
        series = case.series
        history = {name: each.between(-math.inf, case.deploy) for name, each in series.items()}
        calibration = detect.calibrate(case.plan, history)
        known = {name: each.between(calibration.recent_from, math.inf) for name, each in series.items()}
        return cls(calibration, known, case.times[case.first : case.first + case.looks])

    def look(self, number: int, previous: Findings | None = None) -> Findings:
        """The look of that number, from 1."""
        at = float(self.times[number - 1])
        recent = {name: each.between(self.calibration.recent_from, at) for name, each in self.series.items()}
        return detect.look(self.calibration, recent, at, previous)

    def scores(self) -> tuple[Floats, Findings]:
        """The score after every look, shape (looks,), as a live watch has it, and the last findings.

        Evidence never falls from look to look unless something is held against it. So a last look that holds nothing
        against it and sees no harm had none before; looks between two equal scores need then not be made.
        """
        last = self.look(len(self.times))
        if is_plain(last):
            return self._between(last), last
        scores = np.empty(len(self.times))
        findings: Findings | None = None
        for number in range(1, len(self.times) + 1):
            findings = self.look(number, findings)
            scores[number - 1] = findings.score
        return np.maximum.accumulate(scores), findings or last

    def _between(self, last: Findings) -> Floats:
        known = {len(self.times): last.score}
        out = np.empty(len(self.times))

        def at(number: int) -> float:
            if number not in known:
                known[number] = self.look(number).score
            return known[number]

        def fill(low: int, high: int) -> None:
            if math.isclose(at(low), at(high), abs_tol=_SAME) or high - low <= 1:
                out[low - 1 : high], out[high - 1] = at(low), at(high)
                return
            middle = (low + high) // 2
            fill(low, middle)
            fill(middle, high)

        fill(1, len(self.times))
        return np.maximum.accumulate(out)

    def first_alarm(self) -> int | None:
        """The look at which harm is called first; None: at no look."""
        return first_called(self.look, len(self.times))


def first_called(look: Callable[[int, Findings | None], Findings], looks: int) -> int | None:
    """The first of so many looks that calls harm, found by halving; `look` is given a number and the look before.

    What the last look holds against its evidence, an earlier one may not have held against it: then all are made.
    """
    last = look(looks, None)
    if last.score < THRESHOLD:
        return _one_by_one(look, looks) if any(each.note for each in last.signals) else None
    low, high = 1, looks
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if look(middle, None).score >= THRESHOLD else (middle + 1, high)
    return high


def _one_by_one(look: Callable[[int, Findings | None], Findings], looks: int) -> int | None:
    findings: Findings | None = None
    for number in range(1, looks + 1):
        findings = look(number, findings)
        if findings.score >= THRESHOLD:
            return number
    return None


def is_plain(findings: Findings) -> bool:
    """Whether no signal sees harm, and none says why that would be."""
    return all(each.state is State.QUIET and each.cause is Cause.NO_HARM and not each.note for each in findings.signals)


def conclude(plan: WatchPlan, findings: Findings) -> tuple[str, float | None]:
    """The outcome at the end of the window as policy has it, and the smallest harm that the first signal shows."""
    until = plan.until
    context = Context(
        service="bench", environment="", version="", started_at=plan.started_at, finished_at=plan.started_at,
        until=until, ticket_until=until, false_rollback_probability=PROBABILITY, signals=plan.signals,
        failed_sources={}, last_look=True, last_ticket_look=True,
    )  # fmt: skip
    decision = verdict.conclude(context, findings, verdict.assess(context, findings))
    outcome = decision.outcome.value if decision.outcome else "undecided"
    return outcome, findings.signals[0].detectable
