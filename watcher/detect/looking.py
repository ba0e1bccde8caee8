"""One look at one watch: every signal judged, and what all of them say together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.calibration import Calibrated, Calibration, end_of
from watcher.detect.clean import gap_cause, is_frozen, last_run
from watcher.detect.expectation import Effect, Expected, effect_of, expect, explained
from watcher.detect.fitting import Judge
from watcher.detect.forecast import relative
from watcher.detect.judging import Seen, Verdict, deviations, see, weigh
from watcher.detect.noise import Scale
from watcher.detect.onset import Onset, locate
from watcher.detect.window import Grid
from watcher.model.finding import Cause, Finding, Findings, State
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Role, Signal

SUSPECT_TIMES = 5.0
LN10 = math.log(10)
CAP = 12.0
CONTROL_MOVED = 2.0  # score at which a control counts as moved itself
STALE_STEPS = 5
STALE_LOOKS = 3
CONTROL_PRESENT = 2 / 3
WITNESS = 3.0  # 1 % needs about 20 % from the witness
WORTH_ASKING = 1.5  # -ln of a probability
SAME = 0.5  # share of a change before the deploy by which it may grow or shrink and still be that change
BEFORE = 60  # buckets before the deploy in which an onset is looked for


def look(calibration: Calibration, recent: Mapping[str, Series], at: float, previous: Findings | None) -> Findings:
    """All signals at the time `at`, by the points of `recent` that were complete by then; never raises on data.

    Args:
        calibration: of this watch.
        recent: signal name -> points from `calibration.recent_from` on; a signal whose source failed may be absent.
        at: unix seconds.
        previous: the findings of the look before: scores never fall below them.
    """
    plan = calibration.plan
    threshold = -math.log10(min(max(plan.false_rollback_probability, 1e-12), 1.0))
    spacing = max(at - previous.at, 0.0) if previous is not None else 0.0
    before = {finding.name: finding for finding in previous.signals} if previous is not None else {}
    findings, together = [], previous.score if previous is not None else 0.0
    with np.errstate(all="ignore"):
        for signal in plan.signals:
            if signal.role is Role.CONTROL:
                continue
            one = _Look(calibration, signal, recent, at, threshold, spacing, before.get(signal.name))
            finding = one.finding()
            findings.append(finding)
            cost = calibration.signals[signal.name].cost / LN10
            together = max(together, min(finding.score - cost, CAP))
    return Findings(float(at), max(together, 0.0), tuple(findings))


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the judges say together."""

    judge: Judge
    verdict: Verdict
    evidence: float
    moved: bool  # the control moved as well
    own: float  # evidence by the own history alone
    shared: Floats | None


@dataclass(frozen=True, slots=True)
class _Look:
    calibration: Calibration
    signal: Signal
    recent: Mapping[str, Series]
    at: float
    threshold: float
    spacing: float
    previous: Finding | None

    @property
    def calibrated(self) -> Calibrated:
        return self.calibration.signals[self.signal.name]

    @property
    def cutoff(self) -> float:
        return min(self.at, end_of(self.calibration.plan, self.signal))

    def finding(self) -> Finding:
        """What this look says of the signal; the score of looks before is kept."""
        calibrated, kept = self.calibrated, self.previous.score if self.previous is not None else 0.0
        base = Finding(
            self.signal.name, State.UNMEASURABLE, Cause.NO_DATA, score=kept, detectable=calibrated.detectable
        )
        if calibrated.cause is not None:
            return replace(base, cause=calibrated.cause, note=calibrated.note)
        series = self.recent.get(self.signal.name)
        seen = see(calibrated, series, self.signal.kind, self.cutoff)
        base = replace(base, points=seen.present, missing=max(seen.due - seen.present, 0), complete_until=seen.newest)
        judged = self._judge(seen) if seen.present else None
        if self._frozen(seen, judged):
            return replace(base, cause=Cause.FROZEN_DATA, note="the source repeats one value")
        finding = self._judged(base, seen, judged) if judged is not None else base
        if finding.state in {State.ALARM, State.SUSPECT}:
            return finding
        cause = self._unfit(seen, series, judged)
        if cause is not None:
            return replace(finding, state=State.UNMEASURABLE, cause=cause[0], note=cause[1])
        if judged is None:
            return replace(base, state=State.QUIET, cause=Cause.NO_HARM)
        return finding

    def _judge(self, seen: Seen) -> _Judged | None:
        calibrated = self.calibrated
        own_judge = calibrated.judges[-1]
        own = weigh(own_judge, calibrated.axis, seen.grid, self.signal.harm, None)
        witnessed = self._witnessed(own.final, seen.grid)
        if len(calibrated.judges) == 1:
            return _Judged(own_judge, own, witnessed, False, own.final, None)
        judge = calibrated.judges[0]
        control = self._control(judge.control, seen.grid)
        if control is None:
            return _Judged(own_judge, own, witnessed, False, own.final, None)
        verdict = weigh(judge, calibrated.axis, seen.grid, self.signal.harm, control)
        moved = max(own.final, verdict.final) > LN10 and self._control_score(judge.control or "") >= CONTROL_MOVED
        evidence = min(own.final, verdict.final) if moved else verdict.final
        start = len(control[0]) - len(seen.grid)
        shared = explained(judge.model.forecast, control, start)
        return _Judged(judge, verdict, evidence, moved, own.final, shared)

    def _witnessed(self, evidence: float, grid: Grid) -> float:
        """Evidence that rests on the day-curve counts as far as the level shows a little of it too.

        A few days are no proof that this one goes like them: on the first Saturday nobody orders at nine either.
        """
        witness = self.calibrated.witness
        if witness is None or evidence < WORTH_ASKING:
            return evidence
        return min(evidence, WITNESS * weigh(witness, self.calibrated.axis, grid, self.signal.harm, None).final)

    def _control(self, name: str | None, grid: Grid) -> tuple[Floats, Floats] | None:
        """The control's `(z, w)` on its past and the buckets of `grid`; None if it cannot be used now."""
        control = self.calibration.signals.get(name or "")
        if name is None or control is None or not control.judges or name not in self.recent:
            return None
        kind = self._signal(name).kind
        own = replace(control, axis=self.calibrated.axis, first=self.calibrated.first, looks=self.calibrated.looks)
        seen = see(own, self.recent[name], kind, self.cutoff)
        if seen.present < CONTROL_PRESENT * np.count_nonzero(~np.isnan(grid.values)):
            return None
        values = np.full(len(grid), np.nan)
        totals = None if seen.grid.totals is None else np.full(len(grid), np.nan)
        size = min(len(grid), len(seen.grid))
        values[:size] = seen.grid.values[:size]
        if totals is not None and seen.grid.totals is not None:
            totals[:size] = seen.grid.totals[:size]
        judge = control.judges[-1]
        z, w, _ = deviations(judge, self.calibrated.axis, Grid(grid.first, values, totals))
        wanted = len(self.calibrated.judges[0].model.past_z)
        past_z, past_w = _padded(judge.model.past_z, wanted), _padded(judge.model.past_w, wanted)
        return np.concatenate([past_z, z]), np.concatenate([past_w, w])

    def _signal(self, name: str) -> Signal:
        return next(each for each in self.calibration.plan.signals if each.name == name)

    def _control_score(self, name: str) -> float:
        control = self.calibration.signals[name]
        signal = self._signal(name)
        seen = see(control, self.recent.get(name), signal.kind, self.cutoff)
        if not seen.present:
            return 0.0
        return weigh(control.judges[-1], control.axis, seen.grid, Harm.EITHER, None).final / LN10

    def _judged(self, base: Finding, seen: Seen, judged: _Judged) -> Finding:
        """Evidence to state: thresholds, then vetoes, then size and onset."""
        cost = self.calibrated.cost / LN10
        score = min(judged.evidence / LN10, CAP)
        suspect = self.threshold - math.log10(SUSPECT_TIMES)
        expected = expect(self.calibrated, judged.judge, seen.grid, judged.shared)
        harmed = score - cost >= suspect
        onset = self._onset(judged, seen.grid) if harmed else None
        spike = _spike(judged.verdict.sign, expected, seen.grid, judged.judge) if harmed else None
        start, stop = _part(seen.grid, onset, spike)
        effect = effect_of(judged.judge, expected, seen.grid, start, stop)
        finding = _with_effect(base, effect)
        if onset is not None:
            finding = self._with_onset(finding, onset, len(seen.grid))
        kind = Cause.LEVEL_SHIFT if spike is None else Cause.SPIKE
        veto = self._veto(judged, seen, suspect + cost, start)
        if veto is not None:
            return replace(finding, state=State.SUSPECT, cause=veto[0], note=veto[1])
        if harmed and not self._large(effect, judged.verdict.sign):
            note = f"certain, and below the {self.signal.min_effect:.0%} that counts"
            return replace(finding, state=State.QUIET, cause=Cause.NO_HARM, note=note)
        total = max(finding.score, score)
        if not harmed:
            return replace(finding, state=State.QUIET, cause=Cause.NO_HARM, score=total)
        alarm = score - cost >= self.threshold
        return replace(finding, state=State.ALARM if alarm else State.SUSPECT, cause=kind, score=total)

    def _large(self, effect: Effect | None, sign: float) -> bool:
        """Whether the harm is surely (one s.e.) as large as what counts."""
        least = self.signal.min_effect
        if least <= 0 or effect is None:
            return True
        near = effect.low if sign > 0 else -effect.high
        size = sign * effect.change
        return size - (size - near) / 1.96 >= least

    def _veto(self, judged: _Judged, seen: Seen, suspect: float, start: int) -> tuple[Cause, str] | None:
        before = self.calibrated.before
        if before is not None:
            z, w, _ = deviations(self.calibrated.judges[-1], self.calibrated.axis, seen.grid)
            now = relative(z, w)[w > 0]
            more = before.sign * (float(np.median(now)) - before.level) if len(now) else 0.0
            # Neither gone nor joined by as much again: what is seen is what was there.
            same = abs(more) <= SAME * abs(before.effect)
            if same and (judged.evidence / LN10 < suspect or judged.verdict.sign == before.sign):
                return Cause.PRE_EXISTING, f"a change of {before.effect:+.0%} was under way before the deploy"
        if judged.moved and judged.own / LN10 >= suspect and self._alike(judged, seen.grid, start):
            name = judged.judge.control
            return Cause.SHARED_WITH_CONTROL, f"{name} moved as well: a common cause, or the deploy touches it too"
        return None

    def _alike(self, judged: _Judged, grid: Grid, start: int) -> bool:
        """Whether the control changed as this signal did, as far as either can be told: difference in differences."""
        control = self.calibration.signals[judged.judge.control or ""]
        signal = self._signal(control.name)
        theirs = see(control, self.recent.get(control.name), signal.kind, self.cutoff).grid
        own = effect_of(
            self.calibrated.judges[-1],
            expect(self.calibrated, self.calibrated.judges[-1], grid, None),
            grid,
            start,
            len(grid),
        )
        other = effect_of(
            control.judges[-1],
            expect(control, control.judges[-1], theirs, None),
            theirs,
            min(start, len(theirs)),
            len(theirs),
        )
        if own is None or other is None or own.change * other.change <= 0:
            return False
        more = abs(own.change) - abs(other.change)
        return more <= max(2 * math.hypot(own.sd, other.sd), abs(own.change) / 4)

    def _onset(self, judged: _Judged, grid: Grid) -> Onset | None:
        """In buckets since the deploy (negative: before it)."""
        model = judged.judge.model
        own = self.calibrated.judges[-1].model
        past_z, past_w = own.past_z[-BEFORE:], own.past_w[-BEFORE:]
        z, w, _ = deviations(self.calibrated.judges[-1], self.calibrated.axis, grid)
        level = self.calibrated.path.part(len(grid)).level
        after = z - w * (level if judged.shared is None else level + judged.shared)
        old = past_z - past_w * (float(np.median(relative(past_z, past_w)[past_w > 0])) if np.any(past_w > 0) else 0.0)
        known = np.concatenate([past_w > 0, w > 0])
        residuals = np.concatenate([old, after])[known] / model.scale
        found = locate(residuals, 1.0)
        if found is None:
            return None
        places = np.flatnonzero(known) - len(past_z)
        return Onset(int(places[found.at]), int(places[found.low]), int(places[found.high]))

    def _with_onset(self, finding: Finding, onset: Onset, size: int) -> Finding:
        axis, first = self.calibrated.axis, self.calibrated.first
        start = self.calibration.plan.started_at

        def time(place: int) -> float:
            # The deploy's first bucket begins with the deploy.
            return max(axis.time(first + place - 1), start) if place >= 0 else axis.time(first + place - 1)

        return replace(finding, onset=time(onset.at), onset_low=time(onset.low), onset_high=time(min(onset.high, size)))

    def _unfit(self, seen: Seen, series: Series | None, judged: _Judged | None) -> tuple[Cause, str] | None:
        """Why the data, or the traffic, cannot vouch for anything."""
        patience = max(STALE_STEPS * self.signal.step, STALE_LOOKS * self.spacing)
        newest = seen.newest if seen.newest is not None else self.calibration.plan.started_at
        if series is not None and series.partial:
            return Cause.GAPS, "the source said that its answer is incomplete"
        if self.cutoff - newest > patience:
            return (Cause.STALE_DATA if seen.present or series is not None else Cause.NO_DATA), ""
        gaps = gap_cause(seen.due, seen.present, seen.bad)
        if gaps is not None:
            return gaps, f"{seen.due - seen.present} of {seen.due} buckets are missing"
        detectable = self.calibrated.detectable
        # Nothing happened in any bucket: whatever the window could show, it did not.
        if judged is not None and not np.any(judged.verdict.w > 0):
            return Cause.TOO_LITTLE_TRAFFIC, "nothing to judge so far"
        weak = detectable is None or (self.signal.harm is Harm.DOWN and detectable >= 1 and judged is not None)
        return (Cause.TOO_LITTLE_TRAFFIC, "") if weak else None

    def _frozen(self, seen: Seen, judged: _Judged | None) -> bool:
        values = seen.grid.values
        if judged is None or not seen.present:
            return False
        run = last_run(values)
        known = values[~np.isnan(values)]
        if run == len(known) and self.calibrated.tail_value == known[-1]:
            run += self.calibrated.tail_run
        z = deviations(self.calibrated.judges[-1], self.calibrated.axis, seen.grid)[0]
        zero = known[-1] == 0 and self.calibrated.judges[-1].model.noise.counts
        return not zero and is_frozen(run, self.calibrated.usual_run, float(z[-min(run, len(z))]))


def _part(grid: Grid, onset: Onset | None, spike: int | None) -> tuple[int, int]:
    """The buckets that an effect speaks of: since the onset, or the spike alone."""
    size = len(grid)
    if spike is not None:
        return max(spike - 1, 0), min(spike + 2, size)
    return (0 if onset is None else min(max(onset.at, 0), size - 1)), size


def _spike(sign: float, expected: Expected, grid: Grid, judge: Judge) -> int | None:
    """The bucket of the largest deviation, if most of it was gone two buckets later."""
    values = np.log(np.maximum(grid.values, judge.model.least)) if judge.model.noise.scale is Scale.LOG else grid.values
    off = np.nan_to_num(sign * (values - expected.values) / np.maximum(expected.sd, 1e-300))
    peak = int(np.argmax(off))
    rest = off[peak + 3 :]
    return peak if len(rest) >= 3 and off[peak] > 3 and float(np.mean(rest)) < off[peak] / 4 else None


def _padded(values: Floats, wanted: int) -> Floats:
    if len(values) >= wanted:
        return values[len(values) - wanted :]
    return np.concatenate([np.zeros(wanted - len(values)), values])


def _with_effect(finding: Finding, effect: Effect | None) -> Finding:
    if effect is None or not all(map(math.isfinite, (effect.change, effect.low, effect.high))):
        return finding
    return replace(
        finding,
        effect=effect.change,
        effect_low=effect.low,
        effect_high=effect.high,
        expected=effect.expected,
        observed=effect.observed,
    )
