"""One look at one watch: every signal judged, and what all of them say together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from watcher.detect.calibration import Calibration
from watcher.detect.combine import confirming, corroborated
from watcher.detect.detectable import FEWEST_EVENTS
from watcher.detect.draft import end_of
from watcher.detect.expectation import Effect, Expected, effect_of, expect
from watcher.detect.fitness import unfit, untrusted
from watcher.detect.fitting import Judge
from watcher.detect.judged import Judged
from watcher.detect.judging import Seen
from watcher.detect.older import older, onset_of
from watcher.detect.onset import Onset
from watcher.detect.opinion import LN10, Opinion, Subject, alike
from watcher.detect.side import FINEST
from watcher.detect.window import Grid
from watcher.kit.text import percent
from watcher.model.finding import Cause, Finding, Findings, State
from watcher.model.series import Series
from watcher.model.service import Role

SUSPECT_TIMES = 5.0
CAP = 12.0
DOUBTED = 1.0  # score from which on vetoes are asked at the latest: a chance of one in ten
_OPEN = frozenset({Cause.NO_HARM, Cause.LEVEL_SHIFT, Cause.SPIKE})


def look(
    calibration: Calibration,
    recent: Mapping[str, Series],
    at: float,
    previous: Findings | None,
    judged: Judged | None = None,
) -> Findings:
    """All signals at the time `at`, by the points of `recent` that were complete by then; never raises on data.

    Args:
        calibration: of this watch.
        recent: signal name -> points from `calibration.recent_from` on; a signal whose source failed may be absent.
        at: unix seconds.
        previous: the findings of the look before: scores never fall below them.
        judged: what looks at this watch have made of their points, for those that see the same again; it changes no
            finding.
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
            subject = Subject(calibration, signal, recent, min(at, end_of(plan, signal)))
            one = _Look(subject, threshold, spacing, before.get(signal.name), Judged() if judged is None else judged)
            finding = one.finding()
            findings.append(finding)
            together = max(together, _paid(calibration, finding))
    pair = _pair(calibration, findings)
    joint = corroborated(*(LN10 * _paid(calibration, finding) for finding in pair)) / LN10 if pair else 0.0
    confirmed = pair if joint >= threshold else ()
    told = tuple(_confirmed(finding) if finding in confirmed else _calm(finding) for finding in findings)
    return Findings(float(at), max(together, min(joint, CAP), 0.0), told)


def _paid(calibration: Calibration, finding: Finding) -> float:
    """The score less what it costs that there are other signals."""
    return min(finding.score - calibration.signals[finding.name].cost / LN10, CAP)


def _pair(calibration: Calibration, findings: Sequence[Finding]) -> tuple[Finding, Finding] | tuple[()]:
    """The metric and the ticket signal that say most, if there are both and neither's harm is held against it."""
    best: dict[bool, Finding] = {}
    tickets = {signal.name for signal in calibration.plan.signals if signal.is_tickets}
    for finding in findings:
        counts = finding.state is not State.UNMEASURABLE and finding.cause in _OPEN and not finding.note
        side = finding.name in tickets
        if counts and (side not in best or _paid(calibration, finding) > _paid(calibration, best[side])):
            best[side] = finding
    return (best[False], best[True]) if len(best) == 2 else ()


def _confirmed(finding: Finding) -> Finding:
    """Harm that another kind of signal has confirmed."""
    cause = Cause.LEVEL_SHIFT if finding.cause is Cause.NO_HARM else finding.cause
    return replace(finding, state=State.ALARM, cause=cause)


def highest(calibration: Calibration, recent: Mapping[str, Series], at: float, judged: Judged | None = None) -> float:
    """The score that a look comes to at most, as `look` before anything is held against the harm: at half the cost.

    Arguments as in `look`; what it finds out stays in `judged`.
    """
    known = Judged() if judged is None else judged
    found: dict[bool, list[float]] = {False: [0.0], True: [0.0]}
    with np.errstate(all="ignore"):
        for signal in calibration.plan.signals:
            calibrated = calibration.signals[signal.name]
            if signal.role is Role.CONTROL or calibrated.cause is not None:
                continue
            subject = Subject(calibration, signal, recent, min(at, end_of(calibration.plan, signal)))
            seen = known.see(subject)
            if seen.present:
                found[signal.is_tickets].append(known.form(subject, seen).evidence - calibrated.cost)
    metrics, tickets = max(found[False]), max(found[True])
    return min(max(metrics, tickets, corroborated(metrics, tickets)) / LN10, CAP)


def _calm(finding: Finding) -> Finding:
    """Where there is no harm, nothing began."""
    if finding.state is not State.QUIET or finding.onset is None:
        return finding
    return replace(finding, onset=None, onset_low=None, onset_high=None)


@dataclass(frozen=True, slots=True)
class _Look:
    subject: Subject
    threshold: float
    spacing: float
    previous: Finding | None
    known: Judged

    def finding(self) -> Finding:
        """What this look says of the signal; the score of looks before is kept."""
        calibrated, kept = self.subject.calibrated, self.previous.score if self.previous is not None else 0.0
        name, least, more = self.subject.signal.name, calibrated.detectable, calibrated.detectable_events
        if calibrated.cause is not None:
            note = calibrated.note
            return Finding(name, State.UNMEASURABLE, calibrated.cause, score=kept, note=note)
        seen = self.known.see(self.subject)
        base = Finding(
            name,
            State.UNMEASURABLE,
            Cause.NO_DATA,
            score=kept,
            detectable=least,
            detectable_events=more,
            points=seen.present,
            missing=max(seen.due - seen.present, 0),
            complete_until=seen.newest,
        )
        doubt = untrusted(self.subject, seen)
        if doubt is not None:
            return replace(base, cause=doubt[0], note=doubt[1])
        judged, finding = self._again(base, seen) if seen.present else (None, base)
        if finding.state in {State.ALARM, State.SUSPECT}:
            return finding
        cause = unfit(self.subject, seen, judged, self.spacing)
        if cause is not None:
            return replace(finding, state=State.UNMEASURABLE, cause=cause[0], note=cause[1])
        if judged is None:
            return replace(base, state=State.QUIET, cause=Cause.NO_HARM)
        return finding

    def _again(self, base: Finding, seen: Seen) -> tuple[Opinion, Finding]:
        """`_judged`, unless these very points were judged before: then it would say the same."""
        judged, finding = self.known.of(self.subject, seen, lambda: self._anew(base, seen))
        score = max(base.score, finding.score)
        if (score, base.missing, base.complete_until) == (finding.score, finding.missing, finding.complete_until):
            return judged, finding
        return judged, replace(finding, score=score, missing=base.missing, complete_until=base.complete_until)

    def _anew(self, base: Finding, seen: Seen) -> tuple[Opinion, Finding]:
        judged = self.known.form(self.subject, seen)
        return judged, self._judged(base, seen, judged)

    def _judged(self, base: Finding, seen: Seen, judged: Opinion) -> Finding:
        """Evidence to state: thresholds, then vetoes, then size and onset."""
        cost = self.subject.calibrated.cost / LN10
        suspect = self.threshold - math.log10(SUSPECT_TIMES)
        score = min(judged.evidence / LN10, CAP)
        harmed, doubted = score - cost >= suspect, score - cost >= min(suspect, DOUBTED, self._confirming)
        arrived = older(self.subject, judged, seen, suspect + cost)
        expected = expect(self.subject.calibrated, judged.judge, seen.grid, judged.shared)
        grown = arrived is not None and arrived[0] - cost >= self.threshold
        onset = onset_of(self.subject, judged, grown=grown) if doubted else None
        spike = _spike(judged.verdict.sign, expected, seen.grid, judged.judge) if doubted else None
        start, stop = _part(seen.grid, onset, spike)
        effect = effect_of(self.subject.calibrated, judged.judge, expected, seen.grid, start, stop)
        measured = ({} if effect is None else effect.told()) | (
            self._onset(onset, len(seen.grid)) if onset is not None else {}
        )
        veto = None if arrived is None or grown else (Cause.PRE_EXISTING, arrived[1])
        veto = veto or self._veto(judged, seen, cost, start, harmed=harmed)
        if veto is not None:
            return replace(base, state=State.SUSPECT, cause=veto[0], note=veto[1], **measured)
        few = doubted and _is_few(judged, expected, seen.grid)
        small = few or (doubted and not self._large(effect, self.subject.calibrated.side.change(judged.verdict.sign)))
        if small and harmed:
            note = self._spared(few=few)
            return replace(base, state=State.QUIET, cause=Cause.NO_HARM, note=note, **measured)
        if doubted and not harmed:  # what it would come to at a larger probability of a false rollback
            arrived = older(self.subject, judged, seen, cost) if arrived is None else arrived
            score = 0.0 if small or self._shared(judged, seen, cost, start) else score
        score = score if arrived is None else min(score, arrived[0])
        total = max(base.score, score)
        if not harmed:
            return replace(base, state=State.QUIET, cause=Cause.NO_HARM, score=total, **measured)
        state = State.ALARM if score - cost >= self.threshold else State.SUSPECT
        kind = Cause.LEVEL_SHIFT if spike is None else Cause.SPIKE
        return replace(base, state=state, cause=kind, score=total, **measured)

    def _spared(self, *, few: bool) -> str:
        """Why a change is no harm: of so few events, or so small."""
        side, least = self.subject.calibrated.side, percent(max(self.subject.signal.min_effect, 0.0))
        if few:
            return f"not {FEWEST_EVENTS} events {'fewer' if side.turned else 'more'} than expected"
        if side.is_of_rest(self.subject.signal):
            return f"a change, and not surely by {least} of what it leaves out"
        return f"a change, and not surely {least} off what was expected"

    @property
    def _confirming(self) -> float:
        """The score from which on the signal may confirm another kind's."""
        return confirming(LN10 * self.threshold, tickets=self.subject.signal.is_tickets) / LN10

    def _large(self, effect: Effect | None, towards: float) -> bool:
        """Whether the level is off by likely (half an s.e.) as much as counts, and to the harmful side.

        A burst that ends is a steep fall and no harm: only against what was expected at the deploy does it show.
        """
        signal, sign = self.subject.signal, math.copysign(1.0, towards)
        if effect is None:
            return signal.min_effect <= 0
        near = effect.low if sign > 0 else -effect.high
        size = sign * effect.change
        likely = size - (size - near) / 1.96 / 2
        if self.subject.calibrated.side.is_of_rest(signal):  # at the share that was expected then
            likely *= effect.expected / max(1 - effect.expected, FINEST)
        return likely >= signal.min_effect

    def _veto(self, judged: Opinion, seen: Seen, cost: float, start: int, *, harmed: bool) -> tuple[Cause, str] | None:
        """Harm that the control has as well; also where only the control speaks against certain harm."""
        suspect = self.threshold - math.log10(SUSPECT_TIMES)
        explained = not harmed and judged.own / LN10 - cost >= self.threshold
        if (judged.moved or explained) and self._shared(judged, seen, suspect + cost, start):
            name = judged.judge.control
            return Cause.SHARED_WITH_CONTROL, f"{name} moved as well: a common cause, or the deploy touches it too"
        return None

    def _shared(self, judged: Opinion, seen: Seen, least: float, start: int) -> bool:
        """Whether the control changed as the signal did; `least` is the evidence (-log10) of its own that counts."""
        controlled = judged.judge.control is not None
        return controlled and judged.own / LN10 >= least and alike(self.subject, judged, seen.grid, start)

    def _onset(self, onset: Onset, size: int) -> dict[str, Any]:
        axis, first = self.subject.calibrated.axis, self.subject.calibrated.first
        start = self.subject.calibration.plan.started_at

        def time(place: int) -> float:
            # The deploy's first bucket begins with the deploy.
            return max(axis.time(first + place - 1), start) if place >= 0 else axis.time(first + place - 1)

        return {"onset": time(onset.at), "onset_low": time(onset.low), "onset_high": time(min(onset.high, size))}


def _is_few(judged: Opinion, expected: Expected, grid: Grid) -> bool:
    """Whether in no stretch of the window so many more events came that anybody would act on them."""
    single = judged.judge.model.noise.single
    if single <= 0 or judged.verdict.sign < 0:
        return False
    more = np.concatenate([[0.0], np.cumsum(np.nan_to_num(grid.values - expected.values))])
    return float((more - np.minimum.accumulate(more)).max()) < (FEWEST_EVENTS - 0.5) * single


def _part(grid: Grid, onset: Onset | None, spike: int | None) -> tuple[int, int]:
    """The buckets that an effect speaks of: since the onset, or the spike alone."""
    size = len(grid)
    if spike is not None:
        return max(spike - 1, 0), min(spike + 2, size)
    return (0 if onset is None else min(max(onset.at, 0), size - 1)), size


def _spike(sign: float, expected: Expected, grid: Grid, judge: Judge) -> int | None:
    """The bucket of the largest deviation, if most of it was gone two buckets later.

    Single events are all gone in the next bucket: they are a spike if half of them came at once.
    """
    off = np.nan_to_num(sign * (judge.model.scaled(grid.values) - expected.values) / np.maximum(expected.sd, 1e-300))
    peak = int(np.argmax(off))
    if judge.model.noise.counts and sign > 0:
        more = np.nan_to_num(grid.values - expected.values)
        if more[max(peak - 1, 0) : peak + 2].sum() < more.sum() / 2:
            return None
    rest = off[peak + 3 :]
    return peak if len(rest) >= 3 and off[peak] > 3 and float(np.mean(rest)) < off[peak] / 4 else None
