"""What a signal's calibration begins with: its history on its own grid, cleaned, and the window to be judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.clean import clean, without_wild
from watcher.detect.local_time import DAY, clock_of
from watcher.detect.modelling import with_clock
from watcher.detect.side import Side, side_of
from watcher.detect.window import Axis, Grid, ascending, axis_of, regrid
from watcher.model.series import Series
from watcher.model.service import Signal
from watcher.model.watch import WatchPlan

AFTER = 7 * DAY  # seconds: a recovery is watched beyond the window


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A signal on the way to `Calibrated`.

    Attributes:
        first: the first bucket that is judged; `looks` of them.
        measured: the history's buckets, cleaned.
        side: which side of it is judged.
        bad: how many impossible values were taken out.
    """

    signal: Signal
    axis: Axis
    first: int
    looks: int
    measured: Grid
    side: Side
    bad: int

    @property
    def grid(self) -> Grid:
        """What is judged."""
        return self.side.judged(self.measured)


def end_of(plan: WatchPlan, signal: Signal) -> float:
    """When the signal's window ends, unix seconds."""
    return plan.ticket_until if signal.is_tickets else plan.until


def draft_of(plan: WatchPlan, signal: Signal, series: Series | None) -> Draft:
    """Of `series` the part up to the deploy, whatever is wrong with it; None: there is none."""
    axis = axis_of(series, signal.step)
    first = axis.index(plan.started_at) + 1
    if plan.warm_up:  # not even a part of a bucket is judged
        first = max(first, axis.first_after(plan.judged_from))
    looks = max(axis.index(end_of(plan, signal)) - first + 1, 0)
    grid, side, bad = Grid(first, np.empty(0), None), Side(), 0
    if series is not None and len(series):
        times = series.times[np.isfinite(series.times) & (np.abs(series.times) < 1e12)]
        start = axis.index(float(times.min())) if len(times) else first
        known = series.between(-math.inf, plan.started_at) if ascending(series.times) else series
        cleaned = without_wild(clean(regrid(known, axis, start, first), signal.kind))
        grid, side, bad = cleaned.grid, side_of(cleaned.grid, signal.kind), cleaned.bad
    if plan.zone is not None:
        axis = replace(axis, clock=clock_of(plan.zone, axis.time(grid.first - 1), axis.time(first + looks) + AFTER))
    elif len(grid):
        axis = with_clock(axis, side.judged(grid), signal.kind)
    return Draft(signal, axis, first, looks, grid, side, bad)
