"""Levels and limits that a few wild days do not move; sums over neighbouring minutes of the day."""

from __future__ import annotations

import numpy as np

from watcher.model.series import Floats

MEDIAN_OFF, QUARTILE_OFF = 0.6745, 1.1503  # quantiles 1/2 and 3/4 of a standard normal's distance from its mean


def smooth(rows: Floats, width: int) -> Floats:
    """Circular sums over `width` bins either side."""
    if width <= 0:
        return rows
    bins = rows.shape[1]
    width = min(width, (bins - 1) // 2)
    padded = np.concatenate([np.zeros((len(rows), 1)), rows[:, -width:], rows, rows[:, :width]], axis=1)
    sums = np.cumsum(padded, axis=1)
    return np.asarray(sums[:, 2 * width + 1 :] - sums[:, :bins], dtype=np.float64)


def sorted_median(values: Floats) -> Floats:
    """Median of each column, NaN left out; NaN for a column of nothing."""
    return _ranked(np.sort(values, axis=0), (1, 2))


def _ranked(ranked: Floats, share: tuple[int, int]) -> Floats:
    """The quantile `share`, a fraction, of each column of what is sorted, NaN last; NaN for a column of nothing."""
    last = np.maximum(np.count_nonzero(~np.isnan(ranked), axis=0) - 1, 0) * share[0]
    columns = np.arange(ranked.shape[1])
    lower, upper = ranked[last // share[1], columns], ranked[-(-last // share[1]), columns]
    return np.asarray(lower + (upper - lower) * ((last % share[1]) / share[1]), dtype=np.float64)


def fences(mean: Floats, grain: float) -> tuple[Floats, Floats]:
    """Where a day's value is out of line with the same minute of other days: 3 robust s.d., s.d. shared in a day."""
    middle = sorted_median(mean)
    off = np.sort(np.abs(mean - middle), axis=0)
    # Where most values are the same, as the zeros of rare batches are, the median is no measure of the others.
    spread = np.maximum(_ranked(off, (1, 2)) / MEDIAN_OFF, _ranked(off, (3, 4)) / QUARTILE_OFF)
    spread = np.where(np.isnan(spread), 0.0, spread)
    width = max(mean.shape[1] // 48, 1)
    shared = smooth(spread[None], width)[0] / (2 * min(width, (len(spread) - 1) // 2) + 1)
    reach = grain + 3 * np.maximum(shared, np.mean(spread) * 0.2)
    # Three days or fewer: the median is nobody's witness against a day.
    if len(mean) < 3:
        reach = reach + np.inf
    return middle - reach, middle + reach


def level_of(values: Floats, weights: Floats, grain: float) -> float:
    """Weighted mean, outliers pulled to 5 robust s.d."""
    if not len(values):
        return 0.0
    middle = float(np.median(values))
    reach = grain + 5 * 1.4826 * float(np.median(np.abs(values - middle)))
    pulled = np.clip(values, middle - reach, middle + reach) if reach > 0 else values
    return float(np.sum(pulled * weights) / np.sum(weights))
