"""One look at one signal: its new buckets through its judges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from watcher.detect.calibration import Calibrated
from watcher.detect.clean import clean
from watcher.detect.fitting import Judge, signs
from watcher.detect.memory import forecast_level
from watcher.detect.modelling import upper_fence
from watcher.detect.noise import lift, standardise
from watcher.detect.statistics import CLIP, Scan, harmful, scan
from watcher.detect.window import Axis, Grid, ascending, regrid
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind

VOLUME = 2.5  # how soon a volume that comes near all that the history held says less


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The buckets since the deploy, cleaned: `due` should be there; the grid holds those up to the newest measured, as
    they are judged, and `measured` their values as they are, shape (n,).
    """

    grid: Grid
    measured: Floats
    due: int
    present: int
    bad: int
    newest: float | None


def see(calibrated: Calibrated, series: Series | None, kind: Kind, cutoff: float) -> Seen:
    """The judged part of `series`: after the deploy, no later than `cutoff` and complete."""
    first = calibrated.first
    if series is None or not len(series):
        return Seen(Grid(first, np.empty(0), None), np.empty(0), 0, 0, 0, None)
    limit = min(cutoff, series.complete_until)
    known = series
    if not ascending(series.times):
        known = series.taken(np.flatnonzero(series.times <= limit))
    elif not series.times[-1] <= limit:
        known = series.between(-math.inf, limit)
    due = min(max(calibrated.axis.index(limit) - first + 1, 0), calibrated.looks) if math.isfinite(limit) else 0
    cleaned = clean(regrid(known, calibrated.axis, first, first + max(due, 0)), kind)
    places = (~np.isnan(cleaned.grid.values)).nonzero()[0]
    count = int(places[-1]) + 1 if len(places) else 0
    newest = calibrated.axis.time(first + count - 1) if count else None
    if newest is not None and len(known) and count == due:
        newest = max(newest, float(known.times.max()))
    grid = cleaned.grid.cut(first, first + count)
    return Seen(calibrated.side.judged(grid), grid.values, due, len(places), cleaned.bad, newest)


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What a judge says at each look so far.

    Attributes:
        final: -ln probability by the newest look.
        surest: looks until it was reached.
        sign: direction of the strongest deviation.
        eps, w: innovations, as far as they are harm of this sign, and sensitivities, local s.d., shape (n,).
        high: upper fences of the innovations, shape (n,).
    """

    final: float
    surest: int
    sign: float
    eps: Floats
    w: Floats
    high: Floats

    @property
    def until_surest(self) -> tuple[Floats, Floats, Floats]:
        """`eps`, `w` and `high` up to the look at which the evidence was at its largest."""
        return self.eps[: self.surest], self.w[: self.surest], self.high[: self.surest]


def deviations(judge: Judge, axis: Axis, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """`z`, `w` and s.d. of the grid's buckets by this judge's model, off the profile."""
    return standardise(judge.model.far, *_expected(judge, axis, grid), grid.totals)


def _expected(judge: Judge, axis: Axis, grid: Grid) -> tuple[Floats, Floats]:
    """The profile of the grid's buckets, and their values on the scale on which they are judged."""
    return judge.model.expected(axis, grid.first, len(grid)), judge.model.scaled(grid.values)


def weigh(judge: Judge, axis: Axis, grid: Grid, harm: Harm, control: tuple[Floats, Floats] | None) -> Verdict:
    """Judges the buckets since the deploy; `control` is its `(z, w)` on the newest of the past and the same buckets."""
    model, noise, totals = judge.model, judge.model.noise, grid.totals
    profile, values = _expected(judge, axis, grid)
    z, w, sd = standardise(model.far, profile, values, totals)
    missing, upper = np.isnan(grid.values), upper_fence(model.far, sd, 0.0)
    level, calm, recent = forecast_level(model.forecast, model.memory, (z, w), missing, upper, control)
    # By the level that was forecast, and by the calm one.
    raw, w, sd = standardise(noise, lift(noise, profile, np.array([level, calm])), values, totals)
    scale = model.scale * judge.local
    known = w[0] > 0 if control is None else (w[0] > 0) & (control[1][len(control[1]) - len(z) :] > 0)
    eps = np.where(known, (raw[0] - model.mean) / scale, 0.0)
    here = np.where(known, w[0] / scale, 0.0)
    high = upper_fence(noise, sd[0], CLIP) / model.scale
    # What is expected was learned from no more than the history; and volumes of its own size are like nothing in it.
    volume = (here * here).cumsum() / judge.learned
    unsure = np.sqrt(1 + volume + (VOLUME * volume) ** 4 + judge.adrift(missing))
    eps, here = eps / unsure, here / unsure
    if math.isinf(model.slack):
        towards = dict.fromkeys(signs(harm), eps)
    else:
        towards = {sign: harmful(eps, raw[1] / scale, sign, model.slack / scale) for sign in signs(harm)}
    scans = {sign: scan(one[None], here[None], high[None], judge.shape, sign) for sign, one in towards.items()}
    drifts = {sign: judge.drift.since(recent, sign) / unsure for sign in towards}
    return _verdict(judge, scans, drifts, towards, here, high)


def _verdict(
    judge: Judge,
    scans: Mapping[float, Scan],
    drifts: Mapping[float, Floats],
    towards: Mapping[float, Floats],
    w: Floats,
    high: Floats,
) -> Verdict:
    if not len(w):
        sign = next(iter(scans))
        return Verdict(0.0, 0, sign, towards[sign], w, high)
    tables = {sign: (each.lasting[0], each.violent[0], drifts[sign]) for sign, each in scans.items()}
    peaks = {sign: [int(table.argmax()) for table in each] for sign, each in tables.items()}
    largest = {sign: [float(table[at]) for table, at in zip(tables[sign], peaks[sign], strict=True)] for sign in tables}
    parts = judge.parts(*map(max, zip(*largest.values(), strict=True)))
    place = parts.index(max(parts))
    sign = max(tables, key=lambda each: largest[each][place])
    return Verdict(parts[place], peaks[sign][place] + 1, sign, towards[sign], w, high)
