"""Harm that never was: a lasting change of a known size, put into a quiet stretch of a signal's own history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Signal

_RATIO = 1.15  # between two sizes of harm that are tried
_SMALLEST, _LARGEST = 0.01, 10.0
_SMOOTH = 15  # buckets over which the usual level is read, so that added events do not follow the noise


def sizes(direction: float) -> tuple[float, ...]:
    """Relative changes to try, ascending; a fall ends at the loss of everything."""
    top = 1.0 if direction < 0 else _LARGEST
    count = int(np.ceil(np.log(top / _SMALLEST) / np.log(_RATIO)))
    return tuple(float(each) for each in np.geomspace(_SMALLEST, top, count + 1))


def direction(signal: Signal, turn: int) -> float:
    """-1 or +1: where harm goes; a signal that both ways hurt takes turns."""
    if signal.harm is Harm.EITHER:
        return 1.0 if turn % 2 else -1.0
    return 1.0 if signal.harm is Harm.UP else -1.0


def inject(series: Series, kind: Kind, start: float, change: float, seed: int) -> Series:
    """`series` with every bucket after `start` changed by the share `change` (-0.2: a fifth less).

    Whole numbers stay whole: of events a share is struck out, or events are added at random around the usual level,
    so that the noise is what fewer or more events would have had. Everything else is scaled.
    """
    after = series.times > start
    values = series.values.copy()
    known = after & np.isfinite(values)
    part = values[known]
    if kind in {Kind.COUNT, Kind.RATIO} and np.all((part >= 0) & (part == np.round(part)) & (part < 1e15)):
        rng = np.random.default_rng(seed)
        if change < 0:
            values[known] = rng.binomial(part.astype(np.int64), 1 + change)
        else:
            values[known] = part + rng.poisson(np.minimum(change * _level(part), 1e15))
        if series.totals is not None:
            values[known] = np.fmin(values[known], series.totals[known])
    else:
        values[known] = part * (1 + change)
    return replace(series, values=values)


def _level(values: Floats) -> Floats:
    if not len(values):
        return values
    width = min(_SMOOTH, len(values))
    kernel = np.ones(width)
    return np.asarray(
        np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same"), dtype=np.float64
    )
