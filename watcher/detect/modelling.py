"""How a signal behaves without harm: profile, noise and forecast, and its history as they see it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watcher.detect.baseline import Profile, fit_profile, flat
from watcher.detect.clock_change import recognised
from watcher.detect.forecast import Forecast, fit_forecast
from watcher.detect.local_time import DAY, changed
from watcher.detect.memory import Memory
from watcher.detect.noise import Noise, Scale, active, fit_variance, lift, measure, moments, scale_of, standardise
from watcher.detect.statistics import CLIP
from watcher.detect.window import Axis, Grid, Ints
from watcher.model.series import Floats
from watcher.model.service import Kind

SLACK = 0.5  # s.d., at least
STILL = 0.5  # share of buckets that hold the very same value
FEW = 10.0  # events in a bucket: with fewer a median of buckets tells no level
RARE_SCALE = 1.0  # s.d. of few events' innovations, at least: they scatter like Poisson's or more
FEWEST_EVENTS = 300.0  # in a history from which more is learned than its level
FEW_SEEN = 20  # buckets with a rate above zero: their scatter could be read off more
LOCAL_CLIP = 2.0  # s.d.: a burst says little of what is usual


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """How a signal behaves without harm.

    Attributes:
        far: noise about the profile, by which the forecast weighs buckets; `noise`: about the level that is forecast.
        first, ahead: the first bucket after the deploy, and the profile from there on, shape (looks,).
        mean, scale: of the clipped innovations, in s.d. of `noise`.
        least: smallest value that a logarithm is taken of.
        memory: the last buckets before the deploy.
        slack: s.d. by which the calm level usually differs from the forecast; infinite without a day-curve, as every
            evening would acquit, and where events are few, as their medians tell nothing.
    """

    profile: Profile
    far: Noise
    noise: Noise
    forecast: Forecast
    mean: float
    scale: float
    least: float
    memory: Memory
    slack: float
    first: int
    ahead: Floats

    def scaled(self, values: Floats) -> Floats:
        """Values on the scale on which they are judged."""
        return np.log(np.maximum(values, self.least)) if self.noise.scale is Scale.LOG else values

    def expected(self, axis: Axis, first: int, count: int) -> Floats:
        """The profile of `count` buckets from `first` on."""
        start = first - self.first
        if start >= 0 and start + count <= len(self.ahead):
            return self.ahead[start : start + count]
        return self.profile.at(axis, first + np.arange(count))


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The history as the model sees it, shape (n,): deviations `z` from the profile with their sensitivities `weight`;
    innovations `eps` with theirs, `w`, and deviations from the `calm` level with its `slack`, in the innovations' s.d.;
    and the mean relative deviation of the `recent` buckets before each.

    `scatter` are running sums, shape (2, n + 1): of the busy buckets' deviations without their signs, and of how many
    those are. `certain` is the share of the noise that independent events have by nature: no hour is quieter than that;
    `events` is how many of them a bucket usually holds. `still`: most buckets hold the very same value, as a percentile
    read off a histogram does. `day`: buckets in one. `local`: the number of each bucket, from 0 on, and of the
    next one, on the clocks of that, shape (n + 1,).
    """

    first: int
    z: Floats
    weight: Floats
    w: Floats
    eps: Floats
    calm: Floats
    slack: float
    high: Floats
    recent: Floats
    scatter: Floats
    certain: float
    events: float
    still: bool
    day: float
    local: Ints


def upper_fence(noise: Noise, sd: Floats, base: float) -> Floats:
    """Upper clip in s.d.: a few single events are never clipped."""
    if not noise.counts:
        return np.full(len(sd), base)
    return np.asarray(base + 2 * noise.phi / np.maximum(sd, 1e-300), dtype=np.float64)


def with_clock(axis: Axis, grid: Grid, kind: Kind) -> Axis:
    """The axis with the clock that the history shows, where nobody has said it."""
    clocks = changed(axis.time(grid.first - 1), axis.time(grid.first + len(grid) - 1))
    if not clocks:
        return axis
    values, weights = measure(scale_of(kind, grid), grid, 1e-9)
    return replace(axis, clock=recognised(axis, grid.first + np.arange(len(grid)), clocks, values, weights))


def fit_model(
    axis: Axis, grid: Grid, kind: Kind, control: Past | None, looks: int, *, days: bool = True
) -> tuple[Model, Past]:
    """The model of a history that ends at the deploy, and the history by it; without `days`: by the level alone."""
    scale = scale_of(kind, grid)
    positive = grid.values[grid.values > 0]
    least = float(positive.min()) / 2 if len(positive) else 1e-9
    values, weights = measure(scale, grid, least)
    indices = grid.first + np.arange(len(grid))
    grain = _grain(scale, kind, values, weights)
    profile, expected = fit_profile(axis, indices, values, weights, grain) if days else flat(values, weights, grain)
    noise = _first_noise(scale, kind, axis, values, weights)
    target = grid.values if scale is not Scale.LOG else np.where(weights > 0, values, np.nan)
    known = weights > 0
    mean, v1, v2 = moments(noise, expected, grid.totals)
    noise = _refit(noise, v1, v2, np.where(known, target - mean, 0.0), known)
    pair = (control.z, control.weight) if control is not None else None
    missing = np.isnan(grid.values)
    far = noise
    z, w, sd = standardise(far, expected, target, grid.totals)
    least_events = FEWEST_EVENTS if far.counts else 0.0
    fitted = fit_forecast(z, w, missing, pair, upper_fence(far, sd, 0.0), least_events)
    mean, v1, v2 = moments(far, lift(far, expected, fitted.level), grid.totals)
    noise = _refit(far, v1, v2, np.where(w > 0, target - mean, 0.0), w > 0)
    # A surprise is measured by the noise of where the signal is now, which may be far from its profile.
    raw, sensitivity, sd = standardise(noise, lift(noise, expected, fitted.level), target, grid.totals)
    calm = standardise(noise, lift(noise, expected, fitted.calm), target, grid.totals)[0]
    high = upper_fence(noise, sd, CLIP)
    seen = w > 0 if control is None else (w > 0) & (control.weight > 0)
    clipped = np.clip(raw, -CLIP, high)[active(np.where(seen, w * w, 0.0))]
    mean_eps, scale_eps = (float(clipped.mean()), float(clipped.std())) if len(clipped) else (0.0, 1.0)
    events = _events(noise, expected[known], grid, known)
    # What hardly ever happens scatters when it does, though the history may have seen none of it.
    scale_eps = max(scale_eps, RARE_SCALE if events < FEW else 1e-3)
    apart = np.clip(calm - raw, -CLIP, CLIP)[active(np.where(seen, w * w, 0.0))]
    slack = max(float(np.sqrt(np.mean(apart * apart))) if len(apart) else 0.0, SLACK)
    if not days or events < FEW:
        slack = np.inf
    first = grid.first + len(grid)
    ahead = profile.at(axis, first + np.arange(looks))
    memory = Memory.of(fitted, z, w, missing)
    model = Model(profile, far, noise, fitted.forecast, mean_eps, scale_eps, least, memory, slack, first, ahead)
    eps = np.where(seen, (raw - mean_eps) / scale_eps, 0.0)
    w_eps = sensitivity * seen / scale_eps
    certain = _certain(noise, lift(noise, expected, fitted.level)[known], sd[known] * scale_eps, grid, known)
    past = Past(
        grid.first, z, w, w_eps, eps, calm / scale_eps, slack / scale_eps, high / scale_eps, fitted.recent,
        _scatter(eps, w_eps), certain, events, _is_still(noise, grid), DAY / axis.step,
        axis.moved(len(grid), first),
    )  # fmt: skip
    return model, past


def _scatter(eps: Floats, w: Floats) -> Floats:
    busy = active(w * w)
    sums = np.zeros((2, len(eps) + 1))
    np.cumsum(np.where(busy, np.minimum(np.abs(eps), LOCAL_CLIP), 0.0), out=sums[0, 1:])
    np.cumsum(busy, out=sums[1, 1:])
    return sums


def _events(noise: Noise, expected: Floats, grid: Grid, known: NDArray[np.bool_]) -> float:
    """How many single events a bucket usually holds, closed hours left out; infinite where none can be told."""
    events = moments(noise, expected, None if grid.totals is None else grid.totals[known])[1]
    busy = events[active(events)]
    return float(np.median(busy)) / noise.event if noise.counts and noise.event > 0 and len(busy) else math.inf


def _is_still(noise: Noise, grid: Grid) -> bool:
    values = grid.values[~np.isnan(grid.values)]
    return bool(not noise.counts and len(values) and np.mean(values == np.median(values)) > STILL)


def _certain(noise: Noise, level: Floats, sd: Floats, grid: Grid, known: NDArray[np.bool_]) -> float:
    events = moments(noise, level, None if grid.totals is None else grid.totals[known])[1]
    usual = float(np.sum(sd * sd))
    return min(noise.event * float(events.sum()) / usual, 1.0) if usual > 0 else 0.0


def _grain(scale: Scale, kind: Kind, values: Floats, weights: Floats) -> float:
    """Differences up to which a value is no outlier among other days."""
    known = weights > 0
    if scale is Scale.EVENTS:
        if kind is Kind.COUNT:
            return 3.0
        positive = values[known & (values > 0)]
        return 3.0 * float(positive.min()) if len(positive) else 0.0
    if scale is Scale.SHARE and known.any():
        share = float(np.clip(np.average(values, weights=weights), 0.001, 0.999))
        trials = float(np.median(weights[known]))
        return 3 * max(math.sqrt(share * (1 - share) / trials), 1 / trials)
    return 0.0


def _first_noise(scale: Scale, kind: Kind, axis: Axis, values: Floats, weights: Floats) -> Noise:
    """Poisson, binomial or unit scatter, with floors that keep what never happened possible."""
    known = weights > 0
    points = max(int(known.sum()), 1)
    typical = float(np.average(values, weights=weights)) if known.any() else 0.0
    if scale is Scale.EVENTS:
        event = 1.0 if kind is Kind.COUNT else 1.0 / axis.step
        floor = max(0.5 * event / points, 1e-3 * typical)
        # A rate may be of anything; of one that was hardly ever above zero it is taken at its word.
        told = kind is Kind.COUNT or np.count_nonzero(values[known] > 0) < FEW_SEEN
        return Noise(scale, event, 0.0, floor, event, event if told else 0.0)
    if scale is Scale.SHARE:
        return Noise(scale, 1.0, 0.0, max(0.5 / max(float(weights.sum()), 1.0), 1e-3 * typical), 1.0, 1.0)
    size = np.abs(values[known])
    unit = float(np.median(size)) or float(size.max(initial=0.0)) or 1.0
    floor = 1e-3 * unit
    return Noise(scale, 1.0, 0.0, floor, 1.0 if scale is Scale.LOG else unit)


def _refit(noise: Noise, v1: Floats, v2: Floats, deviations: Floats, known: NDArray[np.bool_]) -> Noise:
    phi, c2 = fit_variance(noise, v1, v2, deviations * deviations, active(np.where(known, v1, 0.0)))
    # Independent events scatter at least like Poisson's; beside another term the split is uncertain.
    phi = max(phi, noise.event if c2 == 0 else 0.5 * noise.event)
    if phi <= 0 and c2 <= 0 and noise.counts:
        return noise
    least = {Scale.LOG: 2e-3, Scale.RELATIVE: 2e-3, Scale.ABSOLUTE: 2e-3 * noise.unit}.get(noise.scale, 0.0)
    return replace(noise, phi=max(phi, least * least), c2=c2)
