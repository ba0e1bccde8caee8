"""Harm that never was: a change of a known size and shape, put into a quiet stretch of a signal's own history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Signal

_RATIO = 1.25  # between two sizes of harm that are tried
_SMALLEST, _LARGEST = 0.01, 10.0
_SMOOTH = 15  # buckets over which the usual level is read, so that added events do not follow the noise


def sizes(direction: float, odds: float = 1.0) -> tuple[float, ...]:
    """Relative changes to try, ascending; a fall ends at the loss of everything.

    They begin with a hundredth; with one of what a share leaves out, to each of which `odds` come that it counts.
    """
    top = 1.0 if direction < 0 else _LARGEST
    count = int(np.ceil(np.log(top / _SMALLEST) / np.log(_RATIO)))
    finer = _SMALLEST / _RATIO ** np.arange(int(np.ceil(np.log(max(odds, 1.0)) / np.log(_RATIO))), 0, -1)
    return tuple(float(each) for each in (*finer, *np.geomspace(_SMALLEST, top, count + 1)))


SHAPES = ("step", "ramp", "late", "spike")  # the step first: no other shape of its size does more harm


def direction(signal: Signal, turn: int) -> float:
    """-1 or +1: where harm goes; a signal that both ways hurt takes turns."""
    if signal.harm is Harm.EITHER:
        return 1.0 if turn % 2 else -1.0
    return 1.0 if signal.harm is Harm.UP else -1.0


def course(shape: str, times: Floats, start: float, window: float) -> Floats:
    """Which part of the harm there is in each bucket, 0 to 1, shape as `times`; none up to `start`."""
    at = (times - start) / window
    if shape == "ramp":
        return np.asarray(np.clip(2 * at, 0.0, 1.0), dtype=np.float64)
    if shape == "late":
        return np.asarray(at > 1 / 3, dtype=np.float64)
    if shape == "spike":
        width = max(1 / 20, 2 * float(np.median(np.diff(times))) / window) if len(times) > 1 else 1 / 20
        return np.asarray((at > 1 / 4) & (at <= 1 / 4 + width), dtype=np.float64)
    return np.asarray(at > 0, dtype=np.float64)


def inject(series: Series, kind: Kind, change: float, part: Floats, seed: int) -> Series:
    """`series` with every bucket changed by the share `change * part` (-0.2: a fifth less); `part` as of `course`.

    Whole numbers stay whole: of events a share is struck out, or events are added at random around the usual level,
    so that the noise is what fewer or more events would have had. Everything else is scaled.
    """
    values = series.values.copy()
    known = (part > 0) & np.isfinite(values)
    old, size = values[known], change * part[known]
    whole = kind is Kind.COUNT or (kind is Kind.RATIO and series.totals is not None)
    if whole and np.all((old >= 0) & (old == np.round(old)) & (old < 1e15)):
        rng = np.random.default_rng(seed)
        if change < 0:
            values[known] = rng.binomial(old.astype(np.int64), np.clip(1 + size, 0.0, 1.0))
        else:
            values[known] = old + rng.poisson(np.minimum(size * _level(old), 1e15))
        if series.totals is not None:
            values[known] = np.fmin(values[known], series.totals[known])
    else:
        values[known] = old * (1 + size)
    return replace(series, values=values)


def _level(values: Floats) -> Floats:
    if not len(values):
        return values
    width = min(_SMOOTH, len(values))
    kernel = np.ones(width)
    return np.asarray(
        np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same"), dtype=np.float64
    )
