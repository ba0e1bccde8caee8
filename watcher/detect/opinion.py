"""What the judges of one signal say together: own history, witness and control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watcher.detect.calibration import Calibrated, Calibration
from watcher.detect.clean import is_stuck, running
from watcher.detect.expectation import Effect, effect_of, expect, explained, judged_effect
from watcher.detect.fitting import Judge
from watcher.detect.judging import Seen, Verdict, deviations, see, weigh
from watcher.detect.window import Grid
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Signal

LN10 = math.log(10)
CONTROL_MOVED = 2.0  # score at which a control counts as moved itself
CONTROL_PRESENT = 2 / 3
LACKING = 0.05  # share of the signal's buckets that a control may lack, beside the newest
LAG = 3  # buckets by which its newest points may come later
WITNESS = 3.0  # 1 % needs about 20 % from the witness
WORTH_ASKING = 1.5  # -ln of a probability


@dataclass(frozen=True, slots=True)
class Subject:
    """One signal at one look; `cutoff` is the newest time that may be judged."""

    calibration: Calibration
    signal: Signal
    recent: Mapping[str, Series]
    cutoff: float

    @property
    def calibrated(self) -> Calibrated:
        return self.calibration.signals[self.signal.name]

    @property
    def harm(self) -> Harm:
        """The direction that hurts, of what is judged."""
        return self.calibrated.side.harm(self.signal.harm)

    @property
    def series(self) -> Series | None:
        return self.recent.get(self.signal.name)

    def see(self, name: str) -> Seen:
        """The new buckets of a signal of the plan."""
        kind = next(each.kind for each in self.calibration.plan.signals if each.name == name)
        return see(self.calibration.signals[name], self.recent.get(name), kind, self.cutoff)

    def see_control(self, name: str) -> Seen | None:
        """A control's buckets on the grid of this signal; None if it cannot be used now."""
        control, calibrated = self.calibration.signals[name], self.calibrated
        if not control.judges or name not in self.recent:
            return None
        kind = next(each.kind for each in self.calibration.plan.signals if each.name == name)
        own = replace(control, axis=calibrated.axis, first=calibrated.first, looks=calibrated.looks)
        seen = see(own, self.recent[name], kind, self.cutoff)
        known = seen.measured[~np.isnan(seen.measured)]
        # Nothing at all may be an outage that both share; any other value that is repeated is a dead exporter's.
        dead = is_stuck(running(known, control.tail_value, control.tail_run), control.usual_run) and known[-1] != 0
        return None if dead else seen


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the judges say together.

    Attributes:
        judge, verdict: the one that leads.
        evidence: -ln of a probability, after the witness and the control.
        moved: whether the control moved as well.
        own: evidence by the own history alone.
        shared: the relative deviation that the control explains, shape (n,), or None.
    """

    judge: Judge
    verdict: Verdict
    evidence: float
    moved: bool
    own: float
    shared: Floats | None


def form(subject: Subject, seen: Seen) -> Opinion:
    """The signal's new buckets through all its judges.

    Where the control has moved itself, the own history must agree: a control that the deploy touches proves nothing.
    """
    calibrated, harm = subject.calibrated, subject.harm
    judge = calibrated.judges[-1]
    own = weigh(judge, calibrated.axis, seen.grid, harm, None)
    alone = Opinion(judge, own, _witnessed(subject, own.final, seen.grid), False, own.final, None)
    first = calibrated.judges[0]
    control = _control(subject, first.control, seen.grid) if first.control is not None else None
    if control is None or first.control is None:
        return alone
    verdict = weigh(first, calibrated.axis, seen.grid, harm, control)
    moved = max(own.final, verdict.final) > LN10 and _control_score(subject, first.control) >= CONTROL_MOVED
    evidence = min(own.final, verdict.final) if moved else verdict.final
    shared = explained(first.model.forecast, control, len(control[0]) - len(seen.grid))
    return Opinion(first, verdict, evidence, moved, own.final, shared)


def _witnessed(subject: Subject, evidence: float, grid: Grid) -> float:
    """Evidence that rests on the day-curve counts as far as the level shows a little of it too.

    A few days are no proof that this one goes like them: on the first Saturday nobody orders at nine either.
    """
    witness = subject.calibrated.witness
    if witness is None or evidence < WORTH_ASKING:
        return evidence
    return min(evidence, WITNESS * weigh(witness, subject.calibrated.axis, grid, subject.harm, None).final)


def _control(subject: Subject, name: str, grid: Grid) -> tuple[Floats, Floats] | None:
    """The control's `(z, w)` on its past and the buckets of `grid`; None if it cannot be used now: the own history
    judges alone then.
    """
    seen = subject.see_control(name)
    if seen is None:
        return None
    judge = subject.calibration.signals[name].judges[-1]
    totals = None if seen.grid.totals is None else _filled(seen.grid.totals, len(grid))
    z, w, _ = deviations(judge, subject.calibrated.axis, Grid(grid.first, _filled(seen.grid.values, len(grid)), totals))
    if not _covers(w > 0, ~np.isnan(grid.values)):
        return None
    memory = judge.model.memory
    return np.concatenate([memory.newest_z, z]), np.concatenate([memory.newest_w, w])


def _covers(there: NDArray[np.bool_], known: NDArray[np.bool_]) -> bool:
    """Whether a control speaks for nearly all `known` buckets: harm in those that it lacks could not be seen by it."""
    lacking, count = known & ~there, np.count_nonzero(known)
    early = np.count_nonzero(lacking[: max(len(lacking) - LAG, 0)])
    return bool(early <= LACKING * count and np.count_nonzero(lacking) <= (1 - CONTROL_PRESENT) * count)


def _filled(values: Floats, length: int) -> Floats:
    out = np.full(length, np.nan)
    size = min(length, len(values))
    out[:size] = values[:size]
    return out


def _control_score(subject: Subject, name: str) -> float:
    control, seen = subject.calibration.signals[name], subject.see(name)
    if not seen.present:
        return 0.0
    return weigh(control.judges[-1], control.axis, seen.grid, Harm.EITHER, None).final / LN10


def alike(subject: Subject, opinion: Opinion, grid: Grid, start: int) -> bool:
    """Whether the control changed as this signal did, as far as either can be told: difference in differences.

    Of shares that are both judged by what they leave out, that is compared; else what is measured.
    """
    control = subject.calibration.signals[opinion.judge.control or ""]
    both = subject.calibrated.side.sign == control.side.sign
    own = _change(subject.calibrated, grid, start, judged=both)
    other = _change(control, subject.see(control.name).grid, start, judged=both)
    if own is None or other is None or own.change * other.change <= 0:
        return False
    more = abs(own.change) - abs(other.change)
    return more <= max(2 * math.hypot(own.sd, other.sd), abs(own.change) / 4)


def _change(calibrated: Calibrated, grid: Grid, start: int, *, judged: bool) -> Effect | None:
    judge, start = calibrated.judges[-1], min(start, len(grid))
    expected = expect(calibrated, judge, grid, None)
    if judged:
        return judged_effect(judge, expected, grid, start, len(grid))
    return effect_of(calibrated, judge, expected, grid, start, len(grid))
