"""What cannot be a measurement is taken out, and data are judged before their content is: no data is never healthy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.window import Grid
from watcher.model.finding import Cause
from watcher.model.series import Floats
from watcher.model.service import Kind

HUGE = 1e100  # beyond this, squares overflow
NON_NEGATIVE = frozenset({Kind.COUNT, Kind.RATE, Kind.LATENCY})
WILD = 1e6  # times what nearly all values stay below: a counter that ran over, not a measurement
NEARLY_ALL = 0.999
MORE = 1.5, 3.0  # times a denominator, and events beyond, that rounding and late scrapes may explain
MOST_MISSING = 1 / 3
FEWEST_FOR_GAPS = 6


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A grid with impossible values removed; `bad` counts them."""

    grid: Grid
    bad: int


def clean(grid: Grid, kind: Kind) -> Cleaned:
    """Removes infinities, absurd magnitudes, negative events, parts larger than the whole.

    A ratio of nothing is no evidence.
    """
    values, totals = grid.values, grid.totals
    least = 0.0 if kind in NON_NEGATIVE or totals is not None else -HUGE
    good = (values >= least) & (values < HUGE)
    if totals is None and good.all():
        return Cleaned(grid, 0)
    bad = ~np.isnan(values) & ~good
    if totals is not None:
        empty = (totals == 0) & ~(values > 0)
        more = values > MORE[0] * totals + MORE[1]
        bad |= (totals < 0) | (np.abs(totals) >= HUGE) | ((totals == 0) & ~empty) | more
        good &= (totals > 0) & (totals < HUGE) & ~more
        # A bucket without any event is known, and says nothing.
        values = np.where(empty, 0.0, values)
        good |= empty
        totals = np.where(good, totals, np.nan)
    return Cleaned(Grid(grid.first, np.where(good, values, np.nan), totals), int(bad.sum()))


def without_wild(cleaned: Cleaned) -> Cleaned:
    """A history without single values so far beyond all others that nothing could be learned beside them."""
    grid = cleaned.grid
    sizes = np.abs(grid.values[~np.isnan(grid.values)])
    if not len(sizes):
        return cleaned
    most = WILD * float(np.partition(sizes, int(NEARLY_ALL * (len(sizes) - 1)))[int(NEARLY_ALL * (len(sizes) - 1))])
    if not 0 < most < sizes.max():
        return cleaned
    wild = np.abs(grid.values) > most
    kept = Grid(grid.first, np.where(wild, np.nan, grid.values), grid.totals)
    return Cleaned(kept, cleaned.bad + int(wild.sum()))


def longest_run(values: Floats) -> int:
    """Length of the longest stretch of one repeated value; gaps are skipped."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0
    edges = np.flatnonzero(np.diff(known) != 0)
    return int(np.diff(np.concatenate([[-1], edges, [len(known) - 1]])).max())


def last_run(known: Floats) -> int:
    """How many times the newest of the known values has been repeated without a change."""
    if not len(known):
        return 0
    changes = (known != known[-1]).nonzero()[0]
    return len(known) - 1 - int(changes[-1]) if len(changes) else len(known)


def running(known: Floats, tail_value: float | None, tail_run: int) -> int:
    """As `last_run` of a watch's known values, after a history that ended in a run of `tail_value`."""
    run = last_run(known)
    return run + tail_run if run and run == len(known) and tail_value == known[-1] else run


def gap_cause(due: int, seen: int, bad: int) -> Cause | None:
    """Whether too many of the `due` buckets are missing, or were not fit for use."""
    if due < FEWEST_FOR_GAPS or due - seen <= MOST_MISSING * due:
        return None
    return Cause.BAD_VALUES if bad > (due - seen) / 2 else Cause.GAPS


def is_stuck(run: int, usual_run: int) -> bool:
    """Whether a value was repeated (`run` times) as none ever was before."""
    return run >= max(6, 3 * usual_run + 3)
