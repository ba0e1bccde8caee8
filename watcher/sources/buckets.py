"""From samples of counters to what happened in each bucket: pure, one sample after another.

Events between two samples are spread evenly over the time between them, so a bucket's end need not meet a sample.
A bucket that was not watched from its beginning to its end is not whole: nobody knows what happened in the gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from watcher.model.series import Floats

_TINY = 1e-6  # seconds; bucket ends are multiples of a float


class Bucket(NamedTuple):
    """What happened in `(end - step, end]`, by key; `whole` if it was watched all the time."""

    end: float
    amounts: dict[str, float]
    whole: bool


@dataclass(slots=True)
class Tally:
    """What is known since the newest sample.

    Attributes:
        at: time of the newest sample.
        since: from when the bucket under way has been watched.
        amounts: what happened in it so far, by key.
    """

    at: float
    since: float
    amounts: dict[str, float] = field(default_factory=dict)


def advance(tally: Tally, at: float, increments: Mapping[str, float], step: float, limit: float) -> list[Bucket]:
    """Adds what happened between `tally.at` and `at`; returns the buckets that ended, oldest first.

    Args:
        tally: changed in place.
        at: time of the new sample, later than `tally.at`.
        increments: by key.
        step: bucket width, seconds.
        limit: more seconds than that between two samples are a gap: what happened then belongs to no bucket known,
            unless both lie in the same one.
    """
    length = at - tally.at
    end = bucket_end(tally.at + 2 * _TINY, step)
    if at < end - _TINY:
        _add(tally.amounts, increments, 1.0)
        tally.at = at
        return []
    if length > limit:
        cut = Bucket(end, tally.amounts, whole=False)
        tally.at, tally.since, tally.amounts = at, at, {}
        return [cut]
    ended = []
    start, amounts = tally.at, tally.amounts
    while end <= at + _TINY:
        _add(amounts, increments, (end - start) / length)
        ended.append(Bucket(end, amounts, tally.since <= end - step + _TINY))
        start, amounts, tally.since = end, {}, end
        end += step
    if at - start > _TINY:
        _add(amounts, increments, (at - start) / length)
    tally.at, tally.amounts = at, amounts
    return ended


def bucket_end(at: float, step: float) -> float:
    """The end of the bucket that `at` lies in."""
    return math.ceil((at - _TINY) / step) * step


def increment(before: float, after: float) -> float:
    """What a counter counted: one that fell was restarted from zero."""
    return after - before if after >= before else after


def quantiles(bounds: Floats, counts: Floats, quantile: float) -> Floats:
    """Quantiles of histograms, interpolated within a bucket as Prometheus does.

    Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile

    Args:
        bounds: upper bounds, ascending, the last one infinite, shape (k,).
        counts: cumulative counts, shape (n, k).
        quantile: between 0 and 1.

    Returns:
        Shape (n,), NaN where nothing was observed or the bounds are not usable.
    """
    if len(bounds) < 2 or not math.isinf(bounds[-1]):
        return np.full(len(counts), np.nan)
    cumulative = np.maximum.accumulate(counts, axis=1)
    rank = quantile * cumulative[:, -1]
    place = np.argmax(cumulative >= rank[:, None], axis=1)
    rows = np.arange(len(counts))
    last = place == len(bounds) - 1
    upper = bounds[np.where(last, len(bounds) - 2, place)]
    lower = np.where(place > 0, bounds[place - 1], np.minimum(0.0, bounds[0]))
    below = np.where(place > 0, cumulative[rows, place - 1], 0.0)
    inside = cumulative[rows, place] - below
    share = np.divide(rank - below, inside, out=np.zeros(len(counts)), where=inside > 0)
    found = np.where(last | ((place == 0) & (bounds[0] <= 0)), upper, lower + (upper - lower) * share)
    return np.where(cumulative[:, -1] > 0, found, np.nan)


def _add(amounts: dict[str, float], increments: Mapping[str, float], share: float) -> None:
    for key, value in increments.items():
        amounts[key] = amounts.get(key, 0.0) + share * value
