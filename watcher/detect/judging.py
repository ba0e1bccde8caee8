"""One look at one signal: its new buckets through its judges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.calibration import Calibrated
from watcher.detect.clean import clean
from watcher.detect.fitting import SHARE_OF_MAIN, Judge, signs, upper_fence
from watcher.detect.forecast import REACH, innovations
from watcher.detect.noise import Scale, standardise
from watcher.detect.statistics import CLIP, Scan, scan
from watcher.detect.window import Axis, Grid, ascending, regrid
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The buckets since the deploy, cleaned: `due` should be there; the grid holds those up to the newest measured."""

    grid: Grid
    due: int
    present: int
    bad: int
    newest: float | None


def see(calibrated: Calibrated, series: Series | None, kind: Kind, cutoff: float) -> Seen:
    """The judged part of `series`: after the deploy, no later than `cutoff` and complete."""
    first = calibrated.first
    if series is None or not len(series):
        return Seen(Grid(first, np.empty(0), None), 0, 0, 0, None)
    limit = min(cutoff, series.complete_until)
    times = series.times
    if ascending(times):
        known = series.between(-np.inf, limit)
    else:
        keep = np.flatnonzero(times <= limit)
        totals = None if series.totals is None else series.totals[keep]
        known = Series(times[keep], series.values[keep], series.step, limit, totals)
    due = min(max(calibrated.axis.index(limit) - first + 1, 0), calibrated.looks) if np.isfinite(limit) else 0
    cleaned = clean(regrid(known, calibrated.axis, first, first + max(due, 0)), kind)
    places = np.flatnonzero(~np.isnan(cleaned.grid.values))
    count = int(places[-1]) + 1 if len(places) else 0
    newest = calibrated.axis.time(first + count - 1) if count else None
    if newest is not None and len(known):
        newest = float(known.times[np.isfinite(known.times)].max(initial=newest)) if count == due else newest
    return Seen(cleaned.grid.cut(first, first + count), due, len(places), cleaned.bad, newest)


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What a judge says at each look so far.

    Attributes:
        evidence: -ln probability by each look, non-decreasing, shape (n,).
        sign: direction of the strongest deviation.
        eps, w: innovations and sensitivities, local s.d., shape (n,).
        high: upper fences of the innovations, shape (n,).
    """

    evidence: Floats
    sign: float
    eps: Floats
    w: Floats
    high: Floats

    @property
    def final(self) -> float:
        return float(self.evidence[-1]) if len(self.evidence) else 0.0

    @property
    def until_surest(self) -> tuple[Floats, Floats, Floats]:
        """`eps`, `w` and `high` up to the look at which the evidence was at its largest."""
        size = int(np.argmax(self.evidence)) + 1 if len(self.evidence) else 0
        return self.eps[:size], self.w[:size], self.high[:size]


def deviations(judge: Judge, axis: Axis, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """`z`, `w` and s.d. of the grid's buckets by this judge's model."""
    indices = grid.first + np.arange(len(grid))
    profile = judge.model.profile.at(axis, indices)
    values = grid.values
    if judge.model.noise.scale is Scale.LOG:
        values = np.log(np.maximum(values, judge.model.least))
    return standardise(judge.model.noise, profile, values, grid.totals)


def weigh(judge: Judge, axis: Axis, grid: Grid, harm: Harm, control: tuple[Floats, Floats] | None) -> Verdict:
    """Judges the buckets since the deploy; `control` is its `(z, w)` on the past and the same buckets."""
    model = judge.model
    z, w, sd = deviations(judge, axis, grid)
    past = len(model.past_z)
    all_z, all_w = np.concatenate([model.past_z, z]), np.concatenate([model.past_w, w])
    fence = upper_fence(model.noise, sd, REACH)
    upper = np.concatenate([np.full(past, np.inf if model.noise.counts else REACH), fence])
    raw = innovations(model.forecast, all_z, all_w, upper, control, past)
    known = w > 0 if control is None else (w > 0) & (control[1][past:] > 0)
    eps = np.where(known, (raw - model.mean) / (model.scale * judge.local), 0.0)
    here = np.where(known, w / (model.scale * judge.local), 0.0)
    high = upper_fence(model.noise, sd, CLIP) / model.scale
    scans = [scan(eps[None], here[None], high[None], judge.shape, sign) for sign in signs(harm)]
    return _verdict(judge, scans, signs(harm), (eps, here, high))


def _verdict(
    judge: Judge, scans: list[Scan], directions: tuple[float, ...], seen: tuple[Floats, Floats, Floats]
) -> Verdict:
    main = np.maximum.accumulate(np.max([each.main[0] for each in scans], axis=0))
    spike = np.maximum.accumulate(np.max([each.spike[0] for each in scans], axis=0))
    evidence = judge.evidence(main, spike)
    if not len(evidence):
        return Verdict(evidence, directions[0], *seen)
    lasting = float(judge.main.evidence(main[-1:])[0] + np.log(SHARE_OF_MAIN))
    short = float(judge.spike.evidence(spike[-1:])[0] + np.log(1 - SHARE_OF_MAIN))
    tables = [each.spike[0] if short > lasting else each.main[0] for each in scans]
    which = int(np.argmax([float(table.max()) for table in tables]))
    return Verdict(evidence, directions[which], *seen)
