"""A history laid out as local days by bins of a day, and what its days have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watcher.detect.local_time import DAY
from watcher.detect.robust import fences, smooth
from watcher.detect.window import Axis, Ints
from watcher.model.series import Floats

EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
FINE = 180.0  # seconds either side that share a minute's mean
COARSE = 2_700.0
FEWEST_DAYS = 2
SHARP = 4.0  # s.e. by which a minute must differ from its neighbours to be a habit
AGREED = 0.8  # share of the days
IDLE = 0.25  # share of what usually happens
STEEP = 0.5  # the same of the quarter of an hour beside an edge, at least
BUSY = 2.0  # times what is no outlier: of less, hours of none are chance
COMMON = 0.25  # share of a day's bins, at least, by which odd and even days are compared
SAME = 1e-12  # of the largest variance: days that are alike but for rounding
SURE = 12.0  # -ln of the probability that a stretch of minutes is the same on all days by chance
TOLD_APART = 4  # days from which on clusters can be told from closed hours
LONGER = 1.5  # times the longest stretch of days that are out of step
CHANCES = 0.618, 0.382, 0.276  # shares of a day by which each is out of step with the next


def bins_of(step: float) -> int:
    """Bins of a day: one a bucket, but none shorter than a minute."""
    return max(round(DAY / max(step, 60.0)), 1)


def cells(axis: Axis, indices: Ints, bins: int) -> tuple[Ints, Ints]:
    """Local day number and bin of the middle of each bucket."""
    middle = axis.local(indices)
    day = np.floor(middle / DAY)
    return day.astype(np.int64), np.minimum(((middle - day * DAY) * (bins / DAY)).astype(np.int64), bins - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Points by local day and bin.

    Attributes:
        first: day number of the first row.
        place: where each point is, row after row, shape (n,).
        total: sums of weighted values, and `weight` of weights, shape (days, bins).
    """

    first: int
    place: Ints
    total: Floats
    weight: Floats

    @property
    def weekday(self) -> Ints:
        """Of each row; Monday is 0."""
        return np.asarray((self.first + np.arange(len(self.total)) + EPOCH_WEEKDAY) % 7)

    @staticmethod
    def of(axis: Axis, indices: Ints, values: Floats, weights: Floats) -> Days:
        """`weights` are zero where a value is missing. What clocks show twice shares a bin."""
        bins = bins_of(axis.step)
        day, column = cells(axis, indices, bins)
        first = int(day.min())
        rows = int(day.max()) - first + 1
        place = (day - first) * bins + column
        known = np.where(weights > 0, values, 0.0)
        total = np.bincount(place, known * weights, rows * bins).astype(np.float64)
        weight = np.bincount(place, weights, rows * bins).astype(np.float64)
        return Days(first, place, total.reshape(rows, bins), weight.reshape(rows, bins))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Days by bins: sums of weighted, winsorised deviations from the level, and of weights."""

    total: Floats
    weight: Floats
    flat: float
    bins: int
    grain: float

    @staticmethod
    def of(total: Floats, weight: Floats, flat: float, grain: float) -> Table:
        mean = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
        low, high = fences(mean, grain)
        mean = np.clip(mean, low, high)
        return Table(np.where(weight > 0, (mean - flat) * weight, 0.0), weight, flat, total.shape[1], grain)

    def widths(self, step: float) -> tuple[int, int]:
        width = DAY / self.bins
        fine = round(FINE / width) if width < FINE else int(step < 1800)
        return fine, max(round(COARSE / width), fine)

    def leave_one_out(self, width: int) -> tuple[Floats, Floats]:
        """Deviation curves smoothed by `width` bins either side: of all days, and for each day of the others."""
        total, weight = smooth(self.total, width), smooth(self.weight, width)
        all_total, all_weight = total.sum(axis=0), weight.sum(axis=0)
        return ratio(all_total, all_weight), others(total, weight)

    def shrunk(self, fine: int, coarse: int) -> tuple[Floats, Floats]:
        """Curve (bins,) and leave-one-out curves (days, bins), level included."""
        bare, own_bare = self.leave_one_out(0)
        differ = self.differ(bare)
        still = self.still(differ) if fine else np.zeros(self.bins, dtype=np.bool_)
        idle = still | self.idle(bare)
        usual = self.usual(idle)
        whole_fine, own_fine = self.apart(idle, fine)
        if coarse > fine:
            whole_coarse, own_coarse = self.apart(idle, coarse)
            trust = self.agreement(coarse, 0, 0.4)
            detail = self.agreement(fine, coarse, 0.2)
            whole = usual + trust * (whole_coarse - usual) + detail * (whole_fine - whole_coarse)
            own = usual + trust * (own_coarse - usual) + detail * (own_fine - own_coarse)
        else:
            trust = self.agreement(fine, 0, 0.3)
            whole, own = usual + trust * (whole_fine - usual), usual + trust * (own_fine - usual)
        if fine:
            keep = self.sharp(bare, whole_fine, differ)
            whole, own = whole + np.where(keep, bare - whole_fine, 0.0), own + np.where(keep, own_bare - own_fine, 0.0)
            whole, own = np.where(still, bare, whole), np.where(still, own_bare, own)
        return self.flat + whole, self.flat + own

    def idle(self, whole: Floats) -> NDArray[np.bool_]:
        """Hours in which next to nothing happens, beside what happens in others, if that has an edge: a closed shop."""
        level, known = self.flat + whole, (self.weight > 0).any(axis=0)
        usual = float(np.average(level, weights=known)) if known.any() else 0.0
        if usual <= BUSY * self.grain or level[known].min() < -SAME * usual:
            return np.zeros(self.bins, dtype=np.bool_)
        low = known & (level < IDLE * usual)
        low &= _within(low, low) >= self.bins / 24
        # What falls off slowly is no other kind of hour.
        width = max(self.bins // 96, 1)
        means = np.convolve(np.concatenate([level[-width:], level, level[:width]]), np.full(width, 1 / width), "valid")
        steep = np.maximum(means[: self.bins], means[width + 1 :]) > STEEP * usual
        return np.asarray(low & (_within(low, low & steep) > 0))

    def usual(self, idle: NDArray[np.bool_]) -> Floats:
        """What the curve is drawn to, as far as days disagree: the level, of idle hours theirs; less the level."""
        usual = np.zeros(self.bins)
        for of in (idle, ~idle) if idle.any() else ():
            usual[of] = self.total[:, of].sum() / max(float(self.weight[:, of].sum()), 1e-300)
        return usual

    def apart(self, idle: NDArray[np.bool_], width: int) -> tuple[Floats, Floats]:
        """As `leave_one_out`, but idle hours are no neighbours of busy ones: what closes has an edge."""
        if not idle.any():
            return self.leave_one_out(width)
        (busy, own_busy), (calm, own_calm) = (
            replace(self, total=self.total * of, weight=self.weight * of).leave_one_out(width) for of in (~idle, idle)
        )
        return np.where(idle, calm, busy), np.where(idle, own_calm, own_busy)

    def differ(self, whole: Floats) -> Floats:
        """Variance of the days in the same minute, about its mean, shape (bins,)."""
        known = self.weight > 0
        off = np.where(known, ratio(self.total, self.weight) - whole, 0.0)
        return np.asarray((off * off).sum(axis=0) / np.maximum(np.count_nonzero(known, axis=0) - 1, 1))

    def still(self, differ: Floats) -> NDArray[np.bool_]:
        """Minutes in which no day differs from another, as in a closed shop: their neighbours tell nothing of them.

        Only stretches of them too long for chance: of rare events many minutes have none on any day.
        """
        same = self.compared() & (differ <= SAME * float(differ.max()))
        length = _within(same, same)
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
        differ = moved.differ(ratio(moved.total.sum(axis=0), moved.weight.sum(axis=0)))
        same = moved.compared() & (differ <= SAME * float(differ.max()))
        return float(_within(same, same).max())

    def sharp(self, whole: Floats, whole_fine: Floats, square: Floats) -> NDArray[np.bool_]:
        """Whether single minutes have what their neighbours lack (jobs on the hour), and days surely agree on it."""
        known = self.weight > 0
        days = np.maximum(np.count_nonzero(known, axis=0), 1)
        around = max(self.bins // 48, 1)
        spread = np.sqrt(smooth(square[None], around)[0] / (2 * around + 1))
        keep = np.abs(whole - whole_fine) > SHARP * spread / np.sqrt(days)
        # Most days must say so: one wild day is no habit, and neither is what only a few days could show.
        agree = known & (np.sign(ratio(self.total, self.weight) - whole_fine) == np.sign(whole - whole_fine))
        return np.asarray(keep & (np.mean(agree, axis=0) >= AGREED))

    def agreement(self, width: int, minus: int, least: float) -> float:
        """Share of the curve's variance that odd and even days have in common (Spearman-Brown); 0 below `least`."""
        if len(self.total) < FEWEST_DAYS:
            return 0.0
        total, weight = (
            np.stack([each[start::2].sum(axis=0) for start in (0, 1)]) for each in (self.total, self.weight)
        )
        curves = ratio(smooth(total, width), smooth(weight, width))
        if minus:
            curves = curves - ratio(smooth(total, minus), smooth(weight, minus))
        both = (weight > 0).all(axis=0)  # what only one of them has seen is no disagreement
        if np.count_nonzero(both) < COMMON * np.count_nonzero((weight > 0).any(axis=0)) or not both.any():
            return 0.0
        one, two = curves[:, both] - curves[:, both].mean(axis=1, keepdims=True)
        spread = float(one @ one + two @ two) / 2
        common = float(one @ two) / spread if spread > 0 else 0.0
        return 2 * common / (1 + common) if common >= least else 0.0


def _within(true: NDArray[np.bool_], of: NDArray[np.bool_]) -> Floats:
    """For each bin how many of `of` are in the stretch of true ones that it is in, or follows, midnight or not."""
    start = int(np.argmin(true))
    stretch = np.cumsum(~np.roll(true, -start))
    return np.asarray(np.roll(np.bincount(stretch, np.roll(of, -start))[stretch], start), dtype=np.float64)


def others(total: Floats, weight: Floats) -> Floats:
    """For each day (row) the mean of the other days."""
    return ratio(total.sum(axis=0) - total, weight.sum(axis=0) - weight)


def ratio(total: Floats, weight: Floats) -> Floats:
    small = 1e-9 * max(float(weight.max()), 1e-300) if weight.size else 0.0
    return np.asarray(np.divide(total, weight, out=np.zeros_like(total), where=weight > small), dtype=np.float64)
