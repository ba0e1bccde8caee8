"""A measured signal over time, and the window in which it was asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open time span `(start, end]` in unix seconds, in buckets of `step` seconds."""

    start: float
    end: float
    step: float

    def __post_init__(self) -> None:
        if not (self.step > 0 and math.isfinite(self.start) and math.isfinite(self.end) and self.end >= self.start):
            raise ValueError(f"not a window: {self.start} to {self.end} by {self.step}")

    def aligned(self) -> Window:
        """The smallest window on whole multiples of `step` that covers this one."""
        return Window(
            math.floor(self.start / self.step) * self.step, math.ceil(self.end / self.step) * self.step, self.step
        )

    def grid(self) -> Floats:
        """Bucket ends on whole multiples of `step` inside `(start, end]`, shape (n,)."""
        first = math.floor(self.start / self.step) + 1
        last = math.floor(self.end / self.step)
        return np.arange(first, last + 1, dtype=np.float64) * self.step


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Points of one signal; the point at `times[i]` covers `(times[i] - step, times[i]]`.

    Attributes:
        times: unix seconds, ascending and unique, shape (n,).
        values: the measure, NaN where missing, shape (n,); the numerator where `totals` is given.
        totals: denominators of a ratio, shape (n,), or None.
        step: bucket width in seconds.
        complete_until: points at or before this time are final; later ones may still change and must not be judged.
        partial: the source said that its answer is incomplete (a shard or store was missing).
        warnings: what the source said beside its answer.
        failing: why a source that collects for itself has collected nothing lately; empty while it does.
    """

    times: Floats
    values: Floats
    step: float
    complete_until: float
    totals: Floats | None = None
    partial: bool = False
    warnings: tuple[str, ...] = field(default=())
    failing: str = ""

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: float, end: float) -> Series:
        """The points with `start < time <= end`; what was known up to `end`, so complete no later than `end`."""
        low, high = np.searchsorted(self.times, (start, end), side="right")
        if low == 0 and high == len(self) and self.complete_until <= end:
            return self
        return Series(
            times=self.times[low:high],
            values=self.values[low:high],
            totals=None if self.totals is None else self.totals[low:high],
            step=self.step,
            complete_until=min(self.complete_until, end),
            partial=self.partial,
            warnings=self.warnings,
            failing=self.failing,
        )

    def taken(self, places: NDArray[np.int64]) -> Series:
        """The points at these places, in their order."""
        totals = None if self.totals is None else self.totals[places]
        return replace(self, times=self.times[places], values=self.values[places], totals=totals)

    def joined(self, newer: Series) -> Series:
        """This series continued by `newer`, whose points win from its first one on."""
        keep = self if not len(newer) else self.between(-math.inf, np.nextafter(newer.times[0], -math.inf))
        totals = None
        if self.totals is not None or newer.totals is not None:
            totals = np.concatenate([_totals(keep), _totals(newer)])
        return Series(
            times=np.concatenate([keep.times, newer.times]),
            values=np.concatenate([keep.values, newer.values]),
            totals=totals,
            step=newer.step,
            complete_until=max(self.complete_until, newer.complete_until),
            partial=newer.partial,
            warnings=newer.warnings,
            failing=newer.failing,
        )


def _totals(series: Series) -> Floats:
    return series.totals if series.totals is not None else np.full(len(series), np.nan)


def empty_series(step: float, complete_until: float) -> Series:
    """No points: the source answered, and had nothing."""
    nothing = np.empty(0, dtype=np.float64)
    return Series(times=nothing, values=nothing, step=step, complete_until=complete_until)
