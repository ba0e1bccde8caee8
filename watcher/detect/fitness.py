"""Whether the data, and the traffic, of a look can vouch for anything: asked before and beside their content."""

from __future__ import annotations

import numpy as np

from watcher.detect.clean import gap_cause, is_stuck, running
from watcher.detect.expectation import surprise
from watcher.detect.judging import Seen
from watcher.detect.opinion import Opinion, Subject
from watcher.model.finding import Cause
from watcher.model.service import Harm

STALE_STEPS = 5
STALE_LOOKS = 3
ORDINARY = 3.0  # s.d.


def untrusted(subject: Subject, seen: Seen) -> tuple[Cause, str] | None:
    """Why what the source says now must not be judged at all: neither as harm nor as health."""
    if subject.series is not None and subject.series.partial:
        return Cause.GAPS, "the source said that its answer is incomplete"
    if seen.present and _frozen(subject, seen):
        return Cause.FROZEN_DATA, "the source repeats one value"
    return None


def unfit(subject: Subject, seen: Seen, opinion: Opinion | None, spacing: float) -> tuple[Cause, str] | None:
    """Why a look without harm cannot vouch for the deploy; `spacing` is the time since the look before, seconds."""
    patience = max(STALE_STEPS * subject.signal.step, STALE_LOOKS * spacing)
    newest = seen.newest if seen.newest is not None else subject.calibration.plan.judged_from
    if subject.cutoff - newest > patience:
        return (Cause.STALE_DATA if seen.present or subject.series is not None else Cause.NO_DATA), ""
    gaps = gap_cause(seen.due, seen.present, seen.bad)
    if gaps is not None:
        return gaps, f"{seen.due - seen.present} of {seen.due} buckets are missing"
    # Nothing happened in any bucket: whatever the window could show, it did not.
    if opinion is not None and not (opinion.verdict.w > 0).any():
        return Cause.TOO_LITTLE_TRAFFIC, "nothing to judge so far"
    least = subject.calibrated.detectable
    weak = least is None or (_is_more_than_all(subject, least) and opinion is not None)
    return (Cause.TOO_LITTLE_TRAFFIC, "") if weak else None


def _is_more_than_all(subject: Subject, change: float) -> bool:
    """Whether nothing falls so far: neither what is measured nor what is judged."""
    side = subject.calibrated.side
    falls = [(subject.signal.harm, change)]
    if side.least(subject.signal) < 1:  # else nobody's harm is possible, and none is missed
        falls.append((subject.harm, side.size(change)))
    return any(harm is Harm.DOWN and size >= 1 for harm, size in falls)


def _frozen(subject: Subject, seen: Seen) -> bool:
    values, calibrated = seen.measured, subject.calibrated
    known = values[~np.isnan(values)]
    run = running(known, calibrated.tail_value, calibrated.tail_run)
    judge = calibrated.judges[-1]
    # Nothing at all is what harm looks like, and most looks show no long run.
    if not is_stuck(run, calibrated.usual_run) or (known[-1] == 0 and judge.model.noise.counts):
        return False
    start = max(len(values) - run, 0)
    # A stuck value that is out of the ordinary is no frozen source: a latency at its histogram's upper bound is harm.
    return surprise(calibrated, judge, seen.grid, start) < ORDINARY
