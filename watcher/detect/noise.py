"""How much a signal scatters about its expected value, by kind; and its points in units of that scatter.

Everything later works on `z` (deviation in s.d.) and `w` (how many s.d. a relative harm of 1 is): a bucket in which
little happens has a small `w` and so carries little evidence, whatever its value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from watcher.detect.window import Grid
from watcher.model.series import Floats
from watcher.model.service import Kind

SINGLE = 0.1  # of a Poisson's variance; rates are often means over several buckets
ACTIVE = 0.1  # share of the mean bucket's information


class Scale(StrEnum):
    """On which scale a signal is judged."""

    EVENTS = "events"  # counts and rates: variance phi * e + c^2 * e^2 (negative binomial)
    SHARE = "share"  # good of total: the same about n p, binomial in place of Poisson
    LOG = "log"
    RELATIVE = "relative"  # values well above zero
    ABSOLUTE = "absolute"  # values about zero: relative to the typical magnitude


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance of a bucket: `phi * v1 + c2 * v2`.

    Attributes:
        floor: smallest expected value (events per bucket or share): what never happened yet is not impossible.
        unit: magnitude that an ABSOLUTE effect is relative to; of EVENTS and a SHARE, what a single event is.
        event: variance over mean that independent events have at least; 0 where events cannot be told.
    """

    scale: Scale
    phi: float
    c2: float
    floor: float
    unit: float
    event: float = 0.0

    @property
    def counts(self) -> bool:
        return self.scale in {Scale.EVENTS, Scale.SHARE}

    @property
    def single(self) -> float:
        """What a single event is; 0 where none can be told: a rate that scatters far less is of something else."""
        return self.unit if self.counts and self.phi >= SINGLE * self.unit else 0.0


def scale_of(kind: Kind, grid: Grid) -> Scale:
    """The scale that a kind and its values call for."""
    if kind is Kind.RATIO and grid.totals is not None:
        return Scale.SHARE
    if kind in {Kind.COUNT, Kind.RATE}:
        return Scale.EVENTS
    if kind is Kind.LATENCY:
        return Scale.LOG
    known = grid.values[~np.isnan(grid.values)]
    if len(known) and np.quantile(known, 0.02) > 0.2 * np.median(known) > 0:
        return Scale.RELATIVE
    return Scale.ABSOLUTE


def measure(scale: Scale, grid: Grid, least: float) -> tuple[Floats, Floats]:
    """What is averaged over days (missing: 0), and its weight (missing: 0); `least` keeps logarithms finite."""
    known = ~np.isnan(grid.values)
    values = np.where(known, grid.values, 0.0)
    if scale is Scale.SHARE and grid.totals is not None:
        totals = np.where(known, grid.totals, 0.0)
        return values / np.where(totals > 0, totals, 1.0), totals
    if scale is Scale.LOG:
        return np.where(known, np.log(np.maximum(values, least)), 0.0), known.astype(np.float64)
    return values, known.astype(np.float64)


def moments(noise: Noise, profile: Floats, totals: Floats | None) -> tuple[Floats, Floats, Floats]:
    """Expected value and the two variance terms `v1`, `v2` of each bucket."""
    if noise.scale is Scale.EVENTS:
        expected = np.maximum(profile, noise.floor)
        return expected, expected, expected * expected
    if noise.scale is Scale.SHARE and totals is not None:
        share = np.maximum(profile, noise.floor)
        expected = share * totals
        return expected, expected * np.clip(1 - share, 0.02, 1.0), expected * expected
    if noise.scale is Scale.RELATIVE:
        expected = np.maximum(profile, noise.floor)
        return expected, expected * expected, np.zeros_like(expected)
    one = np.ones_like(profile)
    return profile, one, np.zeros_like(one)


LEAST = 0.02  # share of the profile below which no level is forecast


def lift(noise: Noise, profile: Floats, level: Floats) -> Floats:
    """The profile moved by a relative deviation: what is expected where the signal is now, shape (n,)."""
    if noise.scale is Scale.LOG:
        return profile + level
    if noise.scale is Scale.ABSOLUTE:
        return profile + noise.unit * level
    lifted = np.maximum(np.maximum(profile, noise.floor) * np.maximum(1 + level, LEAST), noise.floor)
    if noise.scale is Scale.SHARE:  # nor is less forecast of what it leaves out
        lifted = np.minimum(lifted, 1 - LEAST * (1 - np.clip(profile, noise.floor, 1.0)))
    return np.asarray(lifted)


def fit_variance(
    noise: Noise, v1: Floats, v2: Floats, squares: Floats, known: NDArray[np.bool_]
) -> tuple[float, float]:
    """`phi` and `c2` from squared deviations: means within groups of like expected value, then least squares.

    Squares are pulled to nine times their group's typical value, so that an incident does not widen the noise.
    """
    v1, v2, squares = v1[known], v2[known], squares[known]
    if not len(v1):
        return 1.0, 0.0
    groups = min(12, max(len(v1) // 40, 1))
    ranks = np.linspace(0, len(v1), groups + 1).astype(np.int64)[:-1]
    edges = np.unique(np.partition(v1, ranks)[ranks])
    label = np.searchsorted(edges, v1, side="right") - 1
    sizes = np.bincount(label).astype(np.float64)
    mean = np.bincount(label, squares) / sizes
    for _ in range(2):
        # A count of two where 0.05 are expected is no outlier: a few events are always let through.
        cap = np.maximum(9 * mean, 4.0 if noise.scale is Scale.EVENTS else 0.0)
        mean = np.bincount(label, np.minimum(squares, cap[label])) / sizes
    one, two = np.bincount(label, v1) / sizes, np.bincount(label, v2) / sizes
    tiny = np.finfo(np.float64).tiny
    level, slope = mean / np.maximum(one, tiny), two / np.maximum(one, tiny)
    return _line(level, slope, sizes)


def _line(level: Floats, slope: Floats, sizes: Floats) -> tuple[float, float]:
    """Non-negative `phi`, `c2` with `level = phi + c2 * slope`, relative errors weighted alike."""
    weight = sizes / np.maximum(level, 1e-3 * max(float(level.max()), 1e-300)) ** 2
    if slope.max() <= 0 or slope.max() - slope.min() <= 0.2 * slope.max():
        return float(np.average(level, weights=sizes)), 0.0
    a, b, c = weight.sum(), (weight * slope).sum(), (weight * slope * slope).sum()
    d, e = (weight * level).sum(), (weight * level * slope).sum()
    det = a * c - b * b
    if det > 0:
        phi, c2 = (c * d - b * e) / det, (a * e - b * d) / det
        if phi >= 0 and c2 >= 0:
            return float(phi), float(c2)
        if c2 < 0:
            return float(d / a), 0.0
    return 0.0, float(e / c)


def active(weights: Floats) -> NDArray[np.bool_]:
    """Buckets in which about as much happens as usual: a closed shop must not teach how an open one behaves."""
    known = weights > 0
    count = int(np.count_nonzero(known))
    return weights > ACTIVE * float(weights.sum()) / count if count else known


def standardise(noise: Noise, profile: Floats, values: Floats, totals: Floats | None) -> tuple[Floats, Floats, Floats]:
    """`z`, `w` and the s.d. of each bucket, shape as `profile`; where a value is missing `z` and `w` are 0.

    On the LOG scale `values` must be logarithms already (see `measure`). `values` and `totals` have the shape (n,).
    """
    expected, v1, v2 = moments(noise, profile, totals)
    sd = np.sqrt(noise.phi * v1 + noise.c2 * v2)
    z = (values - expected) / sd
    if noise.scale is Scale.LOG:
        w = 1 / sd
    elif noise.scale is Scale.ABSOLUTE:
        w = noise.unit / sd
    else:
        w = expected / sd
    known = np.isfinite(z)
    if known.all():
        return z, w, sd
    return np.where(known, z, 0.0), np.where(known, w, 0.0), np.where(known, sd, 1.0)
