"""What was expected in the signal's own unit: for effects, for the chart's band and for recovery after a rollback."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from watcher.detect.calibration import Calibrated
from watcher.detect.clean import clean
from watcher.detect.fitting import Judge
from watcher.detect.forecast import Forecast, followed, means, pull
from watcher.detect.judging import deviations
from watcher.detect.modelling import upper_fence
from watcher.detect.noise import Noise, Scale, lift, moments
from watcher.detect.path import Path
from watcher.detect.statistics import TINY
from watcher.detect.window import Grid, regrid
from watcher.model.finding import Band
from watcher.model.series import Floats, Series
from watcher.model.service import Kind

Z95 = 1.96


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Per bucket, shape (n,): the expected value and its error's s.d. in the signal's unit (sums for a ratio)."""

    values: Floats
    sd: Floats
    path: Path


@dataclass(frozen=True, slots=True)
class Effect:
    """A relative change, its 95 % interval, and the means behind it."""

    change: float
    low: float
    high: float
    expected: float
    observed: float

    @property
    def sd(self) -> float:
        return (self.high - self.low) / (2 * Z95)

    def told(self) -> dict[str, Any]:
        """As a finding's attributes; none, unless all are finite."""
        if not all(map(math.isfinite, (self.change, self.low, self.high))):
            return {}
        return {
            "effect": self.change,
            "effect_low": self.low,
            "effect_high": self.high,
            "expected": self.expected,
            "observed": self.observed,
        }


def shifted(noise: Noise, profile: Floats, level: Floats, totals: Floats | None) -> tuple[Floats, Floats]:
    """Expected value and s.d. of buckets (on the LOG scale: of the logarithm), the level off the profile by `level`."""
    expected, v1, v2 = moments(noise, lift(noise, profile, level), totals)
    return expected, np.sqrt(noise.phi * v1 + noise.c2 * v2)


def expect(calibrated: Calibrated, judge: Judge, grid: Grid, shared: Floats | None) -> Expected:
    """What the buckets since the deploy would have been without it; `shared` is what the control explains, relative."""
    path = judge.path.part(grid.first - calibrated.first + len(grid))
    keep = slice(grid.first - calibrated.first, None)
    level = path.level[keep] if shared is None else path.level[keep] + shared
    profile = judge.model.expected(calibrated.axis, grid.first, len(grid))
    values, sd = shifted(judge.model.noise, profile, level, grid.totals)
    return Expected(values, sd * judge.model.scale * judge.local, path)


def surprise(calibrated: Calibrated, judge: Judge, grid: Grid, place: int) -> float:
    """How far the bucket at `place` is from what was expected of it at the deploy, in s.d., without its sign."""
    part = grid.cut(grid.first + place, grid.first + place + 1)
    expected = expect(calibrated, judge, part, None)
    return abs(float(judge.model.scaled(part.values)[0] - expected.values[0])) / (
        float(expected.sd[0]) * float(expected.path.point[-1])
    )


def explained(forecast: Forecast, control: tuple[Floats, Floats], start: int) -> Floats:
    """The part of the relative deviation that the control's own accounts for, from bucket `start` of its arrays."""
    if forecast.control is None or forecast.control_kappa is None:
        return np.zeros(len(control[0]) - start)
    return followed(forecast.control, forecast.control_kappa, control, start)


def effect_of(
    calibrated: Calibrated, judge: Judge, expected: Expected, grid: Grid, start: int, stop: int
) -> Effect | None:
    """The change of what is measured over buckets `start <= i < stop` of the grid, which holds what is judged."""
    effect = judged_effect(judge, expected, grid, start, stop)
    if effect is None or not calibrated.side.turned:
        return effect
    # Of a share whose other side is judged: its rises are this one's falls.
    rest = max(1 - effect.expected, TINY)  # never zero, as `lift` leaves something
    low, high = (-end * effect.expected / rest for end in (effect.high, effect.low))
    observed = 1 - effect.observed
    return Effect(observed / rest - 1, max(low, -1.0), high, 1 - effect.expected, observed)


def judged_effect(judge: Judge, expected: Expected, grid: Grid, start: int, stop: int) -> Effect | None:
    """The same of what is judged."""
    part = slice(start, stop)
    known = np.isfinite(grid.values[part] - expected.values[part])
    count = int(np.count_nonzero(known))
    if not count:
        return None
    values, normal, sd = grid.values[part], expected.values[part], expected.sd[part]
    totals = None if grid.totals is None else grid.totals[part]
    if count < len(known):
        values, normal, sd = values[known], normal[known], sd[known]
        totals = None if totals is None else totals[known]
    # What the level did in a gap before them is the same for all.
    gap = judge.model.memory.last.gap
    unusual = gap > judge.model.memory.usual_gap
    moved = float(judge.path.part(gap + 1).point[-1]) ** 2 - 1 if unusual else 0.0
    wide = math.sqrt((float(expected.path.sum[count - 1]) ** 2 + count * moved) * float(sd @ sd))
    wide *= max(float(judge.shape.spread[min(count, len(judge.shape.spread)) - 1]), 1.0)
    if judge.model.noise.scale is Scale.LOG:
        shift, half = float((judge.model.scaled(values) - normal).mean()), Z95 * wide / count
        mean = math.exp(float(normal.mean()))
        return Effect(
            math.expm1(shift), math.expm1(shift - half), math.expm1(min(shift + half, 50.0)), mean,
            mean * math.exp(min(shift, 50.0)),
        )  # fmt: skip
    total, base = float(values.sum()), float(normal.sum())
    size = count * judge.model.noise.unit if judge.model.noise.scale is Scale.ABSOLUTE else abs(base)
    over = float(count) if totals is None else float(totals.sum())
    if size <= 0 or over <= 0:
        return None
    change, half = (total - base) / size, Z95 * wide / size
    low = max(change - half, -1.0) if judge.model.noise.counts else change - half
    return Effect(change, low, change + half, base / over, total / over)


def band_of(calibrated: Calibrated, kind: Kind, series: Series) -> Band:
    """Expected, low and high (95 % of single buckets) at each of the series' times."""
    times = np.asarray(series.times, dtype=np.float64)
    nothing = np.full(len(times), np.nan)
    finite = np.isfinite(times) & (np.abs(times) < 1e12)
    if not calibrated.judges or not finite.any():
        return Band(times, nothing, nothing.copy(), nothing.copy())
    judge, axis = calibrated.judges[-1], calibrated.axis
    model = judge.model
    places = np.where(finite, np.rint((times - axis.phase) / axis.step), 0.0).astype(np.int64)
    start, stop = int(places[finite].min()), int(places[finite].max()) + 1
    grid = calibrated.side.judged(clean(regrid(series, axis, start, stop), kind).grid)
    start = grid.first
    profile = model.profile.at(axis, start + np.arange(len(grid)))
    level, wide = _levels(calibrated, judge, grid)
    totals = None if grid.totals is None else np.where(np.isnan(grid.totals), calibrated.typical_total, grid.totals)
    expected, sd = shifted(model.noise, profile, level, totals)
    half = Z95 * sd * model.scale * wide
    low, high = expected - half, expected + half
    if model.noise.scale is Scale.LOG:
        expected, low, high = np.exp(expected), np.exp(low), np.exp(np.minimum(high, 700.0))
    elif model.noise.counts:
        low = np.maximum(low, 0.0)
    if totals is not None:
        expected, low, high = expected / totals, low / totals, high / totals
    if calibrated.side.turned:
        expected, low, high = (np.clip(1 - each, 0.0, 1.0) for each in (expected, high, low))
    ok = finite & (places >= start)
    at = np.where(ok, places - start, 0)
    return Band(times, *(np.where(ok, each[at], np.nan) for each in (expected, low, high)))


def _levels(calibrated: Calibrated, judge: Judge, grid: Grid) -> tuple[Floats, Floats]:
    """Level off the profile and error's growth: forecast step by step before the deploy, frozen after it."""
    model = judge.model
    z, w, sd = deviations(judge, calibrated.axis, grid)
    level = np.zeros(len(grid))
    if len(model.forecast.lengths):
        pulled = pull(z, w, model.forecast.reach, upper_fence(model.far, sd, 0.0))
        level = model.forecast.weights @ means(pulled, w, model.forecast.lengths, model.forecast.kappa)
    wide = np.ones(len(grid))
    after = max(calibrated.first - grid.first, 0)
    if after < len(grid):
        skip = max(grid.first - calibrated.first, 0)
        path = judge.path.part(skip + len(grid) - after)
        level[after:], wide[after:] = path.level[skip:], path.point[skip:] * judge.local
        # A warm-up is no history: the band does not follow what was measured in it.
        level[max(after - model.memory.last.gap, 0) : after] = path.level[0]
    return level, wide
