"""From a window's largest deviation to the probability of seeing it without harm.

Quiet windows of the own history give the body; their excesses over a high quantile, together with what is known of such
maxima in general, give the tail. The predictive distribution (Lomax: an exponential whose rate is uncertain) widens by
itself where the history is short, which is the honest price of extrapolating. Incidents that came more than twice have
a law of their own, beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from watcher.detect.incidents import Incidents, Windows, find_incidents
from watcher.model.series import Floats

EXCEEDING = 0.2  # share of quiet windows whose excesses make the tail
CAP = 12 * math.log(10)


class Growth(StrEnum):
    """On which scale the tail is about exponential."""

    SQUARE = "square"  # sums: near normal
    HEAVY = "heavy"  # sums in which a bucket far off counts by its logarithm
    LOG = "log"  # where a bucket far off counts as it is: a power law


# Weight, mean excess, least threshold.
PRIOR = {Growth.SQUARE: (10.0, 1.1, 1.5), Growth.HEAVY: (10.0, 2.0, 1.5), Growth.LOG: (10.0, 0.11, 2.5)}
NORMAL = 3.0  # threshold up to which maxima are those of near-normal sums; beyond, all of it is larger by one factor
OVERLAPPING = 1.3  # so much more do windows tell that overlap
ORDINARY = 10.0  # excess; what is beyond was an incident, and must not speak for all windows


@dataclass(frozen=True, slots=True)
class Tail:
    """`-ln P(max >= x)` is `base + weight * ln(1 + (g(x) - g(threshold)) / total)` from the threshold on.

    Or what `incidents` say of it, if they say less.
    """

    growth: Growth
    threshold: float
    base: float
    low: float
    weight: float
    total: float
    incidents: Incidents | None = None

    def evidence(self, x: Floats) -> Floats:
        """-ln of the probability that a quiet window's maximum exceeds `x`; never negative, capped."""
        body = np.minimum(np.maximum((x - self.low) / max(self.threshold - self.low, 1e-9), 0.0), 1.0) * self.base
        excess = np.maximum(_grow(self.growth, x) - _grow_one(self.growth, self.threshold), 0.0)
        ordinary = np.asarray(np.minimum(body + self.weight * np.log1p(excess / self.total), CAP))
        return ordinary if self.incidents is None else np.minimum(ordinary, self.incidents.evidence(excess))

    def evidence_of_one(self, x: float) -> float:
        """`evidence` of a single maximum, at a tenth of the cost."""
        body = min(max((x - self.low) / max(self.threshold - self.low, 1e-9), 0.0), 1.0) * self.base
        excess = max(_grow_one(self.growth, x) - _grow_one(self.growth, self.threshold), 0.0)
        ordinary = min(body + self.weight * math.log1p(excess / self.total), CAP)
        return ordinary if self.incidents is None else min(ordinary, self.incidents.evidence_of_one(excess))

    def level(self, evidence: float) -> float:
        """The deviation that has this evidence; the inverse of `evidence` above the threshold."""
        excess = self.total * math.expm1(max(evidence - self.base, 0.0) / self.weight)
        if self.incidents is not None:
            excess = max(excess, self.incidents.excess(evidence))
        grown = _grow_one(self.growth, self.threshold) + excess
        return math.exp(min(grown, 300.0)) if self.growth is Growth.LOG else math.sqrt(2 * grown)


def _grow(growth: Growth, x: Floats) -> Floats:
    x = np.maximum(x, 1e-3)
    return np.asarray(np.log(x) if growth is Growth.LOG else x * x / 2, dtype=np.float64)


def _grow_one(growth: Growth, x: float) -> float:
    x = max(x, 1e-3)
    return math.log(x) if growth is Growth.LOG else x * x / 2


def _quantile(ranked: Floats, share: float) -> float:
    """As `np.quantile`, of what is sorted already: at a hundredth of the cost."""
    place = share * (len(ranked) - 1)
    low = int(place)
    one, two = ranked[low : low + 2].tolist() if low + 1 < len(ranked) else [float(ranked[-1])] * 2
    return float(one + (two - one) * (place - low))


def fit_tail(maxima: Floats, windows: Windows, growth: Growth, trust: float = 1.0, *, bounded: bool = True) -> Tail:
    """The tail of window maxima.

    Args:
        maxima: one a window, in s.d., of each direction that is harm, shape (directions, p).
        windows: whose they are.
        growth: see `Growth`.
        trust: share of its usual weight that what is known of such maxima in general has.
        bounded: whether incidents are a law of their own.
    """
    prior_weight, prior_mean, least = PRIOR[growth]
    prior_weight *= trust
    every = maxima.max(axis=0)
    if not len(every):
        return Tail(growth, 2 * least, -math.log(EXCEEDING), 0.0, prior_weight, prior_weight * prior_mean)
    ranked = np.sort(every)
    threshold = max(_quantile(ranked, 1 - EXCEEDING), least)
    wild = 1.0 if growth is Growth.LOG else max(threshold / NORMAL, 1.0) ** 2
    least_grown = _grow_one(growth, threshold)
    above, incidents = every > threshold, None
    excess = _grow(growth, every[above]) - least_grown
    if bounded:
        far = ORDINARY * wild
        found = [find_incidents(_grow(growth, each) - least_grown, windows, far) for each in maxima]
        # An outage falls and ends: the same things seen twice, if either way is harm.
        incidents = min((law for law, _ in found if law is not None), key=lambda law: law.rare, default=None)
        elsewhere = np.any([other for _, other in found], axis=0)
        excess = np.minimum(excess[~elsewhere[above]], far)
    count = OVERLAPPING * windows.independent * len(excess) / len(ranked)
    mean = float(excess.mean()) if len(excess) else 0.0
    # Counts pile up on single values: what reaches the threshold may be more than what exceeds it.
    reaching = max(float(np.mean(ranked >= threshold)), EXCEEDING)
    return Tail(
        growth,
        threshold,
        -math.log(reaching),
        min(float(ranked[0]), threshold - 1.0),
        prior_weight + count,
        prior_weight * prior_mean * wild + count * mean,
        incidents,
    )
