"""What a signal does on an ordinary day: the mean of the same minute on other days, as far as days resemble each other.

How far the day-curve is trusted is measured on the history itself (agreement of odd with even days), so that a signal
without a day-curve is not burdened with the noise of an imagined one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watcher.detect.robust import fences, level_of, smooth
from watcher.detect.window import Axis
from watcher.model.series import Floats

DAY = 86_400.0
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
FINE = 180.0  # seconds either side that share a minute's mean
COARSE = 2_700.0
FEWEST_DAYS = 2
SHARP = 4.0  # s.e. by which a minute must differ from its neighbours to be a habit
SAME = 1e-12  # of the largest variance: days that are alike but for rounding
SURE = 12.0  # -ln of the probability that a stretch of minutes is the same on all days by chance
TOLD_APART = 4  # days from which on clusters can be told from closed hours
LONGER = 1.5  # times the longest stretch of days that are out of step
CHANCES = 0.618, 0.382, 0.276  # shares of a day by which each is out of step with the next
GAIN = 0.94  # a finer split of days must lower the error to this share

Ints = NDArray[np.int64]


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


def bins_of(step: float) -> int:
    """Bins of a day: one a bucket, but none shorter than a minute."""
    return max(round(DAY / max(step, 60.0)), 1)


def cells(axis: Axis, indices: Ints, bins: int) -> tuple[Ints, Ints]:
    """Day number and bin of the middle of each bucket."""
    middle = axis.phase + (indices - 0.5) * axis.step
    day = np.floor(middle / DAY)
    return day.astype(np.int64), np.minimum(((middle - day * DAY) * (bins / DAY)).astype(np.int64), bins - 1)


def fit_profile(axis: Axis, indices: Ints, values: Floats, weights: Floats, grain: float) -> tuple[Profile, Floats]:
    """The profile for what comes next, and for each point what the other days say of it (shape as `values`).

    `weights` are zero where a value is missing; differences of up to `grain` are never outliers (single events of a
    sparse count are not). With fewer than two days the level alone is returned.
    """
    bins = bins_of(axis.step)
    day, column = cells(axis, indices, bins)
    known = weights > 0
    level = level_of(values[known], weights[known], grain)
    if not known.any() or bins < 4:
        return flat(values, weights, grain)
    first = int(day[0])
    rows = int(day[-1]) - first + 1
    place = (day - first) * bins + column
    size = rows * bins
    weight = _sum_by(place, weights, size).reshape(rows, bins)
    total = _sum_by(place, np.where(known, values, 0.0) * weights, size).reshape(rows, bins)
    if np.count_nonzero((weight > 0).mean(axis=1) >= 0.5) < FEWEST_DAYS:
        return flat(values, weights, grain)
    table = _Table.of(total, weight, level, grain)
    weekday = (first + np.arange(rows) + EPOCH_WEEKDAY) % 7
    classes = _choose_classes(table, weekday, bins)
    fine, coarse = table.widths(axis.step)
    curves = np.full((int(classes.max()) + 1, bins), level)
    expected = np.full((rows, bins), level)
    for label in range(len(curves)):
        members = np.flatnonzero(classes[weekday] == label)
        if len(members):
            # What is out of line among all days may be what every weekend does.
            alike = table if len(members) == rows else _Table.of(total[members], weight[members], level, grain)
            curve, own = alike.shrunk(fine, coarse)
            # The newest day is the deploy's: what is expected of it rests on the others.
            curves[label] = own[-1] if members[-1] == rows - 1 and len(members) > 1 else curve
            expected[members] = own
    return Profile(curves, classes, rows), expected.ravel()[place]


def kin_days(axis: Axis, known: Ints, watched: Ints) -> int:
    """How many days of the history are working days (or weekends) as those of the `watched` buckets are; the fewest.

    `known` are the history's buckets with a value. A day counts with half its usual number of them.
    """
    day = cells(axis, known, 1)[0]
    first = int(day[0]) if len(day) else 0
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


def _sum_by(place: Ints, values: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(place, values, size), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Days by bins: sums of weighted, winsorised deviations from the level, and of weights."""

    total: Floats
    weight: Floats
    flat: float
    bins: int

    @staticmethod
    def of(total: Floats, weight: Floats, flat: float, grain: float) -> _Table:
        mean = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
        low, high = fences(mean, grain)
        mean = np.clip(mean, low, high)
        return _Table(np.where(weight > 0, (mean - flat) * weight, 0.0), weight, flat, total.shape[1])

    def widths(self, step: float) -> tuple[int, int]:
        width = DAY / self.bins
        fine = round(FINE / width) if width < FINE else int(step < 1800)
        return fine, max(round(COARSE / width), fine)

    def leave_one_out(self, width: int) -> tuple[Floats, Floats]:
        """Deviation curves smoothed by `width` bins either side: of all days, and for each day of the others."""
        total, weight = smooth(self.total, width), smooth(self.weight, width)
        all_total, all_weight = total.sum(axis=0), weight.sum(axis=0)
        return _ratio(all_total, all_weight), _others(total, weight)

    def shrunk(self, fine: int, coarse: int) -> tuple[Floats, Floats]:
        """Curve (bins,) and leave-one-out curves (days, bins), level included."""
        whole_fine, own_fine = self.leave_one_out(fine)
        if coarse > fine:
            whole_coarse, own_coarse = self.leave_one_out(coarse)
            trust = self.agreement(coarse, 0, 0.4)
            detail = self.agreement(fine, coarse, 0.2)
            whole = trust * whole_coarse + detail * (whole_fine - whole_coarse)
            own = trust * own_coarse + detail * (own_fine - own_coarse)
        else:
            trust = self.agreement(fine, 0, 0.3)
            whole, own = trust * whole_fine, trust * own_fine
        if fine:
            bare, own_bare = self.leave_one_out(0)
            differ = self.differ(bare)
            keep = self.sharp(bare, whole_fine, differ)
            whole, own = whole + np.where(keep, bare - whole_fine, 0.0), own + np.where(keep, own_bare - own_fine, 0.0)
            still = self.still(differ)
            whole, own = np.where(still, bare, whole), np.where(still, own_bare, own)
        return self.flat + whole, self.flat + own

    def differ(self, whole: Floats) -> Floats:
        """Variance of the days in the same minute, about its mean, shape (bins,)."""
        known = self.weight > 0
        off = np.where(known, _ratio(self.total, self.weight) - whole, 0.0)
        return np.asarray((off * off).sum(axis=0) / np.maximum(np.count_nonzero(known, axis=0) - 1, 1))

    def still(self, differ: Floats) -> NDArray[np.bool_]:
        """Minutes in which no day differs from another, as in a closed shop: their neighbours tell nothing of them.

        Only stretches of them too long for chance: of rare events many minutes have none on any day.
        """
        same = self.compared() & (differ <= SAME * float(differ.max()))
        length = _runs(same)
        long = same & (length * -np.log(max(float(same.mean()), 1e-3)) > SURE)
        if not long.any() or len(self.total) < TOLD_APART:
            return np.asarray(long)
        # Events that come in clusters leave long stretches empty too, but not at the same time of each day.
        chance = max(self.longest_by_chance(turn) for turn in CHANCES)
        return np.asarray(long & (length > LONGER * chance))

    def compared(self) -> NDArray[np.bool_]:
        return np.asarray(np.count_nonzero(self.weight > 0, axis=0) >= FEWEST_DAYS)

    def longest_by_chance(self, turn: float) -> float:
        """The longest stretch in which no day differs from another, if days begin at times of no meaning."""
        shift = (np.arange(len(self.total)) * turn * self.bins).astype(np.int64)
        place = (np.arange(self.bins) + shift[:, None]) % self.bins
        moved = replace(
            self, total=np.take_along_axis(self.total, place, 1), weight=np.take_along_axis(self.weight, place, 1)
        )
        differ = moved.differ(_ratio(moved.total.sum(axis=0), moved.weight.sum(axis=0)))
        return float(_runs(moved.compared() & (differ <= SAME * float(differ.max()))).max())

    def sharp(self, whole: Floats, whole_fine: Floats, square: Floats) -> NDArray[np.bool_]:
        """Whether single minutes have what their neighbours lack (jobs on the hour), and days surely agree on it."""
        known = self.weight > 0
        days = np.maximum(np.count_nonzero(known, axis=0), 1)
        around = max(self.bins // 48, 1)
        spread = np.sqrt(smooth(square[None], around)[0] / (2 * around + 1))
        keep = np.abs(whole - whole_fine) > SHARP * spread / np.sqrt(days)
        # Most days must say so: one wild day is no habit.
        agree = np.where(known, _ratio(self.total, self.weight) - whole_fine, 0.0)
        return np.asarray(keep & (np.mean(np.sign(agree) == np.sign(whole - whole_fine), axis=0) >= 0.8))

    def agreement(self, width: int, minus: int, least: float) -> float:
        """Share of the curve's variance that odd and even days have in common (Spearman-Brown); 0 below `least`."""
        if len(self.total) < FEWEST_DAYS:
            return 0.0
        halves = []
        for start in (0, 1):
            total, weight = self.total[start::2].sum(axis=0)[None], self.weight[start::2].sum(axis=0)[None]
            curve = _ratio(smooth(total, width), smooth(weight, width))[0]
            if minus:
                curve = curve - _ratio(smooth(total, minus), smooth(weight, minus))[0]
            halves.append(curve - curve.mean())
        one, two = halves
        spread = float(one @ one + two @ two) / 2
        common = float(one @ two) / spread if spread > 0 else 0.0
        return 2 * common / (1 + common) if common >= least else 0.0


def _choose_classes(table: _Table, weekday: Ints, bins: int) -> Ints:
    """Whether all days, working days and weekends, or each weekday resemble each other best."""
    width = max(bins // 48, 0)
    total, weight = smooth(table.total, width), smooth(table.weight, width)
    day = _ratio(total, weight)

    def error_of(labels: Ints) -> float:
        """Mean absolute difference between a day and the other days of its class."""
        off = 0.0
        for label in np.unique(labels):
            mine = labels == label
            off += float((np.abs(day[mine] - _others(total[mine], weight[mine])) * table.weight[mine]).sum())
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


def _runs(true: NDArray[np.bool_]) -> Floats:
    """For each place the length of the stretch of true ones that it is in, or follows."""
    run = np.cumsum(~true)
    return np.asarray(np.bincount(run, true)[run], dtype=np.float64)


def _others(total: Floats, weight: Floats) -> Floats:
    """For each day (row) the mean of the other days."""
    return _ratio(total.sum(axis=0) - total, weight.sum(axis=0) - weight)


def _ratio(total: Floats, weight: Floats) -> Floats:
    small = 1e-9 * max(float(weight.max()), 1e-300) if weight.size else 0.0
    return np.asarray(np.divide(total, weight, out=np.zeros_like(total), where=weight > small), dtype=np.float64)
