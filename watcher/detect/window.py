"""Points onto a regular grid of buckets, so that everything after it can count looks instead of seconds.

Unsorted, duplicate, jittering and absent times end here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watcher.detect.local_time import UTC, Clock
from watcher.model.series import Floats, Series

Ints = NDArray[np.int64]

LONGEST = 250_000  # buckets of history that are ever read


@dataclass(frozen=True, slots=True)
class Axis:
    """Bucket `i` ends at `phase + i * step` (unix seconds); hours and days are those of `clock`."""

    phase: float
    step: float
    clock: Clock = UTC

    def index(self, time: float) -> int:
        """The newest bucket that has ended at `time`."""
        return math.floor((time - self.phase) / self.step + 1e-6)

    def first_after(self, time: float) -> int:
        """The oldest bucket that begins at `time` or later."""
        return math.ceil((time - self.phase) / self.step - 1e-6) + 1

    def time(self, index: float) -> float:
        return self.phase + index * self.step

    def local(self, indices: Ints) -> Floats:
        """What clocks show in the middle of each bucket, seconds."""
        return self.clock.local(np.asarray(self.phase + (indices - 0.5) * self.step, dtype=np.float64))

    def moved(self, count: int, end: int) -> Ints:
        """The `count` buckets before `end` and that, from 0 on, as if clocks had always been what they are then."""
        local = self.local(np.arange(end - count, end + 1))
        return np.asarray(np.rint((local - local[-1]) / self.step) + count, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Buckets `first .. first + n - 1`; arrays of shape (n,), NaN where nothing was measured."""

    first: int
    values: Floats
    totals: Floats | None

    def __len__(self) -> int:
        return len(self.values)

    def cut(self, start: int, stop: int) -> Grid:
        """Buckets `start <= i < stop`, as far as this grid has them."""
        low = min(max(start - self.first, 0), len(self))
        high = min(max(stop - self.first, low), len(self))
        totals = None if self.totals is None else self.totals[low:high]
        return Grid(self.first + low, self.values[low:high], totals)


def axis_of(series: Series | None, step: float) -> Axis:
    """The phase of the newest finite time: sources are aligned to whole steps, recordings need not be."""
    if series is not None:
        times = series.times[np.isfinite(series.times) & (np.abs(series.times) < 1e12)]
        if len(times):
            return Axis(float(times.max() % step), step)
    return Axis(0.0, step)


def ascending(times: Floats) -> bool:
    """Whether times are sorted and unique; not a number is neither."""
    return bool((times[1:] > times[:-1]).all())


def regrid(series: Series, axis: Axis, start: int, stop: int) -> Grid:
    """The buckets `start <= i < stop`; of several points in one bucket the latest wins."""
    start = max(start, stop - LONGEST)
    length = max(stop - start, 0)
    values = np.full(length, np.nan)
    totals = None if series.totals is None else np.full(length, np.nan)
    times = series.times
    places = np.rint((times - axis.phase) / axis.step) - start
    # Of what is not a number no comparison holds.
    inside = (places >= 0) & (places < length)
    if not inside.all() or not ascending(times):
        order = np.flatnonzero(inside)
        order = order[np.argsort(times[order], kind="stable")]
        places, series = places[order], series.taken(order)
    places = places.astype(np.int64)
    values[places] = series.values
    if totals is not None and series.totals is not None:
        totals[places] = series.totals
    return Grid(start, values, totals)
