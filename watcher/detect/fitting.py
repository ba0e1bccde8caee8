"""From a signal's history to what judges its next minutes: profile, noise, forecast and the tails of quiet windows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watcher.detect.baseline import Ints, Profile, fit_profile, flat
from watcher.detect.forecast import Fitted, Forecast, Memory, fit_forecast
from watcher.detect.noise import Noise, Scale, active, fit_variance, lift, measure, moments, scale_of, standardise
from watcher.detect.path import Path, follow
from watcher.detect.statistics import CLIP, Shape, growing, harmful, pulled, scan, shape_of
from watcher.detect.tail import Growth, Tail, fit_tail
from watcher.detect.window import Axis, Grid
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

SHARE_OF_MAIN = 0.9  # of the budget: the clipped scan; the rest: spikes
LASTING, SHORT = math.log(SHARE_OF_MAIN), math.log(1 - SHARE_OF_MAIN)
SLACK = 0.5  # s.d., at least
FEW = 10.0  # events in a bucket
LOCAL = 120  # buckets before the deploy that tell how noisy it is now
LOCAL_PRIOR = 15.0, 60.0  # buckets' worth of the usual noise; the second where noise is that of single events
LOCAL_CLIP = 2.0  # s.d.: a burst says little of what is usual
MOST_POINTS = 20_000  # looks in all quiet windows together
LEAST_INFORMATION = 0.3
MARGIN = 0.3  # in -ln of a probability: what is learned from a few days may be a little wrong
BODY = 0.15  # probability at which the two statistics' dependence is read off


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """How a signal behaves without harm.

    Attributes:
        first, ahead: the first bucket after the deploy, and the profile from there on, shape (looks,).
        mean, scale: of the clipped innovations, in s.d. of `noise`.
        least: smallest value that a logarithm is taken of.
        memory: the last buckets before the deploy.
        slack: s.d. by which the calm level usually differs from the forecast; infinite without a day-curve, as every
            evening would acquit, and where events are few, as their medians tell nothing.
    """

    profile: Profile
    noise: Noise
    forecast: Forecast
    mean: float
    scale: float
    least: float
    memory: Memory
    slack: float
    first: int
    ahead: Floats

    def expected(self, axis: Axis, first: int, count: int) -> Floats:
        """The profile of `count` buckets from `first` on."""
        start = first - self.first
        if start >= 0 and start + count <= len(self.ahead):
            return self.ahead[start : start + count]
        return self.profile.at(axis, first + np.arange(count))


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The history as the model sees it, shape (n,): deviations `z` from the profile with their sensitivities `weight`;
    innovations `eps` with theirs, `w`, and deviations from the `calm` level with its `slack`, in the innovations' s.d.

    `certain` is the share of the noise that independent events have by nature: no hour is quieter than that.
    """

    first: int
    z: Floats
    weight: Floats
    w: Floats
    eps: Floats
    calm: Floats
    slack: float
    high: Floats
    certain: float


@dataclass(frozen=True, slots=True, eq=False)
class Quiet:
    """Windows of the own history without (known) harm.

    Attributes:
        starts: bucket numbers at which they begin, shape (p,).
        evidence: -ln probability of each, as if it were judged, shape (p,).
        independent: how many windows' worth of history they hold.
    """

    starts: Ints
    evidence: Floats
    independent: float


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Everything that judges one signal in one way.

    Attributes:
        path: where the signal would go without the deploy, less what the control explains.
        local: noise just before the deploy over usual noise.
        overlap: probability of either statistic over the sum of both, from quiet windows.
        control: name of the control that the model uses, or None.
    """

    model: Model
    shape: Shape
    path: Path
    main: Tail
    spike: Tail
    local: float
    overlap: float
    independent: float
    control: str | None

    def evidence(self, main: Floats, spike: Floats) -> Floats:
        """-ln of the probability that a quiet window comes to such maxima; shape as given."""
        return self.settle(stronger(self.main, self.spike, main, spike))

    def settle(self, either: Floats) -> Floats:
        """The evidence of both statistics from that of the stronger one."""
        return np.maximum(either - math.log(self.overlap) - MARGIN, 0.0)


def stronger(main_tail: Tail, spike_tail: Tail, main: Floats, spike: Floats) -> Floats:
    """-ln probability by the statistic that says more, each with its share of the budget."""
    return np.maximum(main_tail.evidence(main) + LASTING, spike_tail.evidence(spike) + SHORT)


def signs(harm: Harm) -> tuple[float, ...]:
    return {Harm.UP: (1.0,), Harm.DOWN: (-1.0,), Harm.EITHER: (1.0, -1.0)}[harm]


def upper_fence(noise: Noise, sd: Floats, base: float) -> Floats:
    """Upper clip in s.d.: a few single events are never clipped."""
    if not noise.counts:
        return np.full(len(sd), base)
    return np.asarray(base + 2 * noise.phi / np.maximum(sd, 1e-300), dtype=np.float64)


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
    noise, fitted, z, w = _fit_level(noise, expected, target, grid.totals, pair)
    # A surprise is measured by the noise of where the signal is now, which may be far from its profile.
    raw, sensitivity, sd = standardise(noise, lift(noise, expected, fitted.level), target, grid.totals)
    calm = standardise(noise, lift(noise, expected, fitted.calm), target, grid.totals)[0]
    high = upper_fence(noise, sd, CLIP)
    seen = w > 0 if control is None else (w > 0) & (control.weight > 0)
    clipped = np.clip(raw, -CLIP, high)[active(np.where(seen, w * w, 0.0))]
    mean_eps, scale_eps = (float(clipped.mean()), float(clipped.std())) if len(clipped) else (0.0, 1.0)
    scale_eps = max(scale_eps, 1e-3)
    apart = np.clip(calm - raw, -CLIP, CLIP)[active(np.where(seen, w * w, 0.0))]
    slack = max(float(np.sqrt(np.mean(apart * apart))) if len(apart) else 0.0, SLACK)
    if not days or _sparse(noise, expected[known], grid, known):
        slack = np.inf
    first = grid.first + len(grid)
    ahead = profile.at(axis, first + np.arange(looks))
    memory = Memory.of(fitted, z, w)
    model = Model(profile, noise, fitted.forecast, mean_eps, scale_eps, least, memory, slack, first, ahead)
    eps = np.where(seen, (raw - mean_eps) / scale_eps, 0.0)
    w_eps = sensitivity * seen / scale_eps
    certain = _certain(noise, lift(noise, expected, fitted.level)[known], sd[known] * scale_eps, grid, known)
    return model, Past(grid.first, z, w, w_eps, eps, calm / scale_eps, slack / scale_eps, high / scale_eps, certain)


def _sparse(noise: Noise, expected: Floats, grid: Grid, known: NDArray[np.bool_]) -> bool:
    """Whether a bucket holds so few events that a median of buckets tells no level; closed hours do not count."""
    events = moments(noise, expected, None if grid.totals is None else grid.totals[known])[1]
    busy = events[active(events)]
    return bool(noise.counts and len(busy) and np.median(busy) < FEW * noise.event)


def _certain(noise: Noise, level: Floats, sd: Floats, grid: Grid, known: NDArray[np.bool_]) -> float:
    events = moments(noise, level, None if grid.totals is None else grid.totals[known])[1]
    usual = float(np.sum(sd * sd))
    return min(noise.event * float(events.sum()) / usual, 1.0) if usual > 0 else 0.0


def _fit_level(
    noise: Noise, expected: Floats, target: Floats, totals: Floats | None, control: tuple[Floats, Floats] | None
) -> tuple[Noise, Fitted, Floats, Floats]:
    """Noise about the forecast level, and the forecast in its units, with `z` and `w` from the profile."""
    z, w, sd = standardise(noise, expected, target, totals)
    fitted = fit_forecast(z, w, control, upper_fence(noise, sd, 0.0))
    mean, v1, v2 = moments(noise, lift(noise, expected, fitted.level), totals)
    known = w > 0
    about = _refit(noise, v1, v2, np.where(known, target - mean, 0.0), known)
    z_about, w_about, sd = standardise(about, expected, target, totals)
    if noise.phi * noise.c2 == about.phi * about.c2 == 0 and (noise.phi > 0) == (about.phi > 0):
        # With one term of variance all weights keep their proportions: the forecast is the same in another unit.
        return about, fitted.rescaled(math.sqrt((noise.phi + noise.c2) / (about.phi + about.c2))), z_about, w_about
    return about, fit_forecast(z_about, w_about, control, upper_fence(about, sd, 0.0)), z_about, w_about


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
        return 3 * float(np.sqrt(share * (1 - share) / np.median(weights[known])))
    return 0.0


def _first_noise(scale: Scale, kind: Kind, axis: Axis, values: Floats, weights: Floats) -> Noise:
    """Poisson, binomial or unit scatter, with floors that keep what never happened possible."""
    known = weights > 0
    points = max(int(known.sum()), 1)
    typical = float(np.average(values, weights=weights)) if known.any() else 0.0
    if scale is Scale.EVENTS:
        event = 1.0 if kind is Kind.COUNT else 1.0 / axis.step
        floor = max(0.5 * event / points, 1e-3 * typical)
        return Noise(scale, event, 0.0, floor, 1.0, 1.0 if kind is Kind.COUNT else 0.0)
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


def local_noise(past: Past, starts: Ints) -> Floats:
    """Scatter over the buckets before each start, over the usual; drawn to 1, shape (p,)."""
    busy = active(past.w * past.w)
    sizes = np.where(busy, np.minimum(np.abs(past.eps), LOCAL_CLIP), 0.0)
    sums = np.concatenate([[0.0], np.cumsum(sizes)])
    counts = np.concatenate([[0], np.cumsum(busy)])
    usual = max(float(sums[-1]) / max(int(counts[-1]), 1), 1e-3)
    begins = np.maximum(starts - LOCAL, 0)
    prior = LOCAL_PRIOR[0] + (LOCAL_PRIOR[1] - LOCAL_PRIOR[0]) * past.certain
    seen = counts[starts] - counts[begins] + prior
    ratio = (sums[starts] - sums[begins] + prior * usual) / (seen * usual)
    return np.asarray(np.clip(ratio, max(0.25, math.sqrt(past.certain)), 4.0), dtype=np.float64)


def quiet_starts(past: Past, looks: int, wanted: float, most: int) -> Ints:
    """Positions of windows of `looks` buckets within the history that hold about as much information as the watch's."""
    last = len(past.w) - looks
    if last < 0:
        return np.empty(0, dtype=np.int64)
    stride = max(looks // 6, 1, -(-(last + 1) * looks // most))
    starts = np.arange(last, -1, -stride)[::-1]
    sums = np.concatenate([[0.0], np.cumsum(past.w * past.w)])
    information = sums[starts + looks] - sums[starts]
    reference = wanted if wanted > 0 else float(np.median(information))
    alike = (information >= LEAST_INFORMATION * reference) & (information <= reference / LEAST_INFORMATION)
    if alike.sum() < max(0.1 * len(starts), 8):
        alike = information >= LEAST_INFORMATION * reference
    if alike.sum() < max(0.1 * len(starts), 8):
        alike = np.ones(len(starts), dtype=np.bool_)
    return np.asarray(starts[alike], dtype=np.int64)


def fit_judge(
    model: Model, past: Past, harm: Harm, looks: int, wanted: float, control: str | None, most: int = MOST_POINTS
) -> tuple[Judge, Quiet]:
    """Calibrates the scan on quiet windows of the history, with the code that judges the deploy."""
    starts = quiet_starts(past, looks, wanted, most)
    response = model.forecast.response(looks)
    local = local_noise(past, np.concatenate([starts, [len(past.w)]]))
    places = starts[:, None] + np.arange(looks)
    eps, calm, w = (each[places] / local[:-1, None] for each in (past.eps, past.calm, past.w))
    towards = {sign: harmful(eps, calm, sign, past.slack / local[:-1, None]) for sign in signs(harm)}
    high = past.high[places]
    covered = np.zeros(len(past.w) + 1)
    np.add.at(covered, starts, 1.0)
    np.add.at(covered, starts + looks, -1.0)
    independent = float(np.count_nonzero(np.cumsum(covered)[:-1] > 0)) / looks
    counts = model.noise.counts
    shape = shape_of(response, (0.0, 0.0), counts)
    deviations = [growing(sign * w * pulled(one, high), w * w, shape, sign) for sign, one in towards.items()]
    shape = shape_of(response, _inflation(deviations, independent), counts)
    scans = [scan(one, w, high, shape, sign) for sign, one in towards.items()]
    main = np.max([one.main.max(axis=1, initial=-9.0) for one in scans], axis=0)
    spike = np.max([one.spike.max(axis=1, initial=-9.0) for one in scans], axis=0)
    main_tail = fit_tail(main, 1.3 * independent, Growth.SQUARE)
    spike_tail = fit_tail(spike, 1.3 * independent, Growth.LOG)
    overlap = shared(np.maximum(stronger(main_tail, spike_tail, main, spike), 0.0), independent, 1.0)
    path = follow(model.forecast, model.memory, looks)
    judge = Judge(model, shape, path, main_tail, spike_tail, float(local[-1]), overlap, independent, control)
    return judge, Quiet(past.first + starts, judge.evidence(main, spike), independent)


def shared(evidence: Floats, independent: float, most: float) -> float:
    """How often quiet windows exceed the BODY level, over BODY: what dependence leaves of a sum of probabilities."""
    if not len(evidence):
        return most
    seen = float(np.mean(evidence >= -np.log(BODY))) / BODY
    prior = 0.75 * most
    return float(np.clip((seen * independent * BODY + prior * 5) / (independent * BODY + 5), 0.3 * most**0.5, most))


def _inflation(deviations: list[Floats], independent: float) -> tuple[float, float]:
    """`a, b` of `exp(a + b ln L)`: the s.d. of deviations over L buckets, drawn to 1 where windows are few."""
    looks = deviations[0].shape[1]
    if not len(deviations[0]) or looks < 2:
        return 0.0, 0.0
    square = np.mean([np.mean(np.minimum(each * each, 9.0), axis=0) for each in deviations], axis=0) / 0.99
    lengths = np.arange(1, looks + 1)
    certain = independent * looks / lengths
    spread = 0.5 * np.log((square * certain + 5.0) / (certain + 5.0))
    # Few long stretches, many short ones; and the short ones weigh no more than what they are wanted for.
    weight = 1.0 / lengths
    logs = np.log(lengths)
    middle, level = np.average(logs, weights=weight), np.average(spread, weights=weight)
    steep = np.sum(weight * (logs - middle) * (spread - level)) / np.sum(weight * (logs - middle) ** 2)
    slope = float(np.clip(steep, 0.0, 0.5))
    return float(level - slope * middle), slope
