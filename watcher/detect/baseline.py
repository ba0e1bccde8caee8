"""What a signal does on an ordinary day: the mean of the same minute on other days, as far as days resemble each other.

How far the day-curve is trusted is measured on the history itself (agreement of odd with even days), so that a signal
without a day-curve is not burdened with the noise of an imagined one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.days import EPOCH_WEEKDAY, FEWEST_DAYS, Days, Table, bins_of, cells, others, ratio
from watcher.detect.robust import level_of, smooth
from watcher.detect.window import Axis, Ints
from watcher.model.series import Floats

GAIN = 0.94  # a finer split of days must lower the error to this share


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The expected value by day class and time of day.

    Attributes:
        curves: shape (classes, bins).
        classes: class of each weekday (Monday first), shape (7,).
        days: days of history behind it; 0: a flat level only.
    """

    curves: Floats
    classes: Ints
    days: int

    def at(self, axis: Axis, indices: Ints) -> Floats:
        """Expected values of buckets, shape (n,)."""
        if self.curves.shape == (1, 1):
            return np.full(len(indices), self.curves[0, 0])
        day, bins = cells(axis, indices, self.curves.shape[1])
        return self.curves[self.classes[(day + EPOCH_WEEKDAY) % 7], bins]


def fit_profile(axis: Axis, indices: Ints, values: Floats, weights: Floats, grain: float) -> tuple[Profile, Floats]:
    """The profile for what comes next, and for each point what the other days say of it (shape as `values`).

    `weights` are zero where a value is missing; differences of up to `grain` are never outliers (single events of a
    sparse count are not). With fewer than two days the level alone is returned.
    """
    known = weights > 0
    if not known.any() or bins_of(axis.step) < 4:
        return flat(values, weights, grain)
    days = Days.of(axis, indices, values, weights)
    total, weight, weekday = days.total, days.weight, days.weekday
    rows, bins = total.shape
    if np.count_nonzero((weight > 0).mean(axis=1) >= 0.5) < FEWEST_DAYS:
        return flat(values, weights, grain)
    level = level_of(values[known], weights[known], grain)
    table = Table.of(total, weight, level, grain)
    classes = _choose_classes(table, weekday, bins)
    fine, coarse = table.widths(axis.step)
    curves = np.full((int(classes.max()) + 1, bins), level)
    expected = np.full((rows, bins), level)
    for label in range(len(curves)):
        members = np.flatnonzero(classes[weekday] == label)
        if len(members):
            # What is out of line among all days may be what every weekend does.
            alike = table if len(members) == rows else Table.of(total[members], weight[members], level, grain)
            curve, own = alike.shrunk(fine, coarse)
            # The newest day is the deploy's: what is expected of it rests on the others.
            curves[label] = own[-1] if members[-1] == rows - 1 and len(members) > 1 else curve
            expected[members] = own
    return Profile(curves, classes, rows), expected.ravel()[days.place]


def kin_days(axis: Axis, known: Ints, watched: Ints) -> int:
    """How many days of the history are working days (or weekends) as those of the `watched` buckets are; the fewest.

    `known` are the history's buckets with a value. A day counts with half its usual number of them.
    """
    day = cells(axis, known, 1)[0]
    first = int(day.min()) if len(day) else 0  # clocks may go back over midnight
    counts = np.bincount(day - first)
    seen = np.flatnonzero(counts)
    whole = first + seen[counts[seen] >= 0.5 * np.median(counts[seen])] if len(day) else day
    of_weekend = (whole + EPOCH_WEEKDAY) % 7 >= 5
    wanted = (cells(axis, watched, 1)[0] + EPOCH_WEEKDAY) % 7 >= 5
    return min(int(np.count_nonzero(of_weekend == each)) for each in wanted)


def flat(values: Floats, weights: Floats, grain: float) -> tuple[Profile, Floats]:
    """The level alone."""
    known = weights > 0
    level = level_of(values[known], weights[known], grain)
    return Profile(np.full((1, 1), level), np.zeros(7, dtype=np.int64), 0), np.full(len(values), level)


def _choose_classes(table: Table, weekday: Ints, bins: int) -> Ints:
    """Whether all days, working days and weekends, or each weekday resemble each other best."""
    width = max(bins // 48, 0)
    total, weight = smooth(table.total, width), smooth(table.weight, width)
    day = ratio(total, weight)

    def error_of(labels: Ints) -> float:
        """Mean absolute difference between a day and the other days of its class."""
        off = 0.0
        for label in np.unique(labels):
            mine = labels == label
            off += float((np.abs(day[mine] - others(total[mine], weight[mine])) * table.weight[mine]).sum())
        return off / whole if whole else 0.0

    whole = float(table.weight.sum())
    best = np.zeros(7, dtype=np.int64)
    present = np.bincount(weekday, minlength=7)
    error = error_of(best[weekday])
    for classes, enough in (
        (np.array([0, 0, 0, 0, 0, 1, 1]), present[5:].sum() >= 2 and present[:5].sum() >= 3),
        (np.arange(7), present.min() >= 2),
    ):
        if enough:
            other = error_of(classes[weekday])
            if other < GAIN * error:
                best, error = classes.astype(np.int64), other
    return best
