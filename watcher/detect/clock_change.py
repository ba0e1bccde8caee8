"""Whether a signal's habits moved when clocks were changed, where nobody says which clocks its users live by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from watcher.detect.days import Days, ratio
from watcher.detect.local_time import DAY, Clock
from watcher.detect.robust import smooth
from watcher.detect.window import Axis, Ints
from watcher.model.series import Floats

BETTER = 0.8  # share of the error without the change that is left with it
ENOUGH = 0.5  # days on either side of it
NEAR = 96  # part of a day by which neighbouring bins are averaged, either side


def recognised(axis: Axis, indices: Ints, clocks: Iterable[Clock], values: Floats, weights: Floats) -> Clock:
    """The one of `clocks` by which days before and after its newest change resemble each other far better than now.

    `values` and `weights` of the buckets `indices`, shape (n,); weights are zero where a value is missing.
    """
    best, least = axis.clock, BETTER
    unchanged = Days.of(axis, indices, values, weights)
    for clock in clocks:
        day = int(clock.local(np.array(clock.changes[-1:]))[0] // DAY)
        with_it = _error(Days.of(replace(axis, clock=clock), indices, values, weights), day)
        without = _error(unchanged, day)
        if with_it < least * without:
            best, least = clock, with_it / without
    return best


def _error(days: Days, change: int) -> float:
    """How far days from day number `change` on are from those before, working days and weekends apart; nan: unknown."""
    after = days.first + np.arange(len(days.total)) >= change
    off = seen = 0.0
    for weekend in (False, True):
        kind = (days.weekday >= 5) == weekend
        one, two = (_mean(days, kind & side) for side in (after, ~after))
        known = np.isfinite(one) & np.isfinite(two)
        if known.any():
            one, two = one[known], two[known]
            # A day may be busier than others; what counts is when.
            scale = float(one @ two) / max(float(two @ two), 1e-300)
            off += float(np.abs(one - scale * two).sum())
            seen += float(np.count_nonzero(known)) / days.total.shape[1]
    return off if seen >= ENOUGH else np.nan


def _mean(days: Days, rows: NDArray[np.bool_]) -> Floats:
    """Of some days, by bin; nan where none has a value."""
    width = days.total.shape[1] // NEAR
    total, weight = (smooth(each[rows].sum(axis=0)[None], width)[0] for each in (days.total, days.weight))
    return np.asarray(np.where(weight > 1e-9 * weight.max(initial=0.0), ratio(total, weight), np.nan))
