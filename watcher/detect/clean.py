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
MOST_MISSING = 1 / 3
FEWEST_FOR_GAPS = 6


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A grid with impossible values removed; `bad` counts them."""

    grid: Grid
    bad: int


def clean(grid: Grid, kind: Kind) -> Cleaned:
    """Removes infinities, absurd magnitudes, negative events; a ratio of nothing is no evidence."""
    values, totals = grid.values, grid.totals
    least = 0.0 if kind in NON_NEGATIVE or totals is not None else -HUGE
    good = (values >= least) & (values < HUGE)
    if totals is None and good.all():
        return Cleaned(grid, 0)
    bad = ~np.isnan(values) & ~good
    if totals is not None:
        empty = (totals == 0) & ~(values > 0)
        bad |= (totals < 0) | (np.abs(totals) >= HUGE) | ((totals == 0) & ~empty)
        good &= (totals > 0) & (totals < HUGE)
        # A bucket without any event is known, and says nothing.
        values = np.where(empty, 0.0, values)
        good |= empty
        totals = np.where(good, totals, np.nan)
    return Cleaned(Grid(grid.first, np.where(good, values, np.nan), totals), int(bad.sum()))


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


def gap_cause(due: int, seen: int, bad: int) -> Cause | None:
    """Whether too many of the `due` buckets are missing, or were not fit for use."""
    if due < FEWEST_FOR_GAPS or due - seen <= MOST_MISSING * due:
        return None
    return Cause.BAD_VALUES if bad > (due - seen) / 2 else Cause.GAPS


def is_stuck(run: int, usual_run: int) -> bool:
    """Whether a value was repeated (`run` times) as none ever was before."""
    return run >= max(6, 3 * usual_run + 3)
