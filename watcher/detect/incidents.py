"""What a signal does by itself now and then, far beyond its ordinary deviations: how often, and how large.

Outages of others, bursts, nightly jobs. One or two in weeks tell no rate; but once they came more often than harm may
be called by mistake, what is no larger than they were cannot be told from one more of them. What comes at the same hour
of many days is a matter of that hour: it says nothing of a deploy at another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watcher.detect.window import Ints
from watcher.model.series import Floats

CHANCE = 2  # so many tell no rate
PRIOR = 1.0  # incidents' worth of what is known before of how far they go: as far again as the smallest
BY_CHANCE = 0.01  # probability at which so many at the same hour are no chance any more
NEAR = 3  # part of a window by which a watch may miss the windows of an hour and still be of it


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The quiet windows of a history, and the one to come.

    Attributes:
        starts: buckets of the history at which they begin, ascending, shape (p,).
        local: the same on the clocks that `here` is on, which may have been changed since, shape (p,).
        looks: buckets in a window.
        independent: how many windows' worth of history they hold.
        day: buckets in a day.
        here: bucket at which the window to come begins: the history's end.
    """

    starts: Ints
    local: Ints
    looks: int
    independent: float
    day: float
    here: int

    @property
    def stride(self) -> int:
        """Buckets from one to the next, if none between is left out."""
        return int(np.diff(self.starts).min()) if len(self.starts) > 1 else self.looks


@dataclass(frozen=True, slots=True)
class Incidents:
    """`-ln P(one in a window >= x)` is `rare + weight * ln(1 + (x - least) / total)` from `least` on, and `rare` below.

    `x` is an excess, on the scale of the tail whose windows showed them.

    Attributes:
        count: how many there were.
        age: buckets from when the newest that was seen began to the window to come, to half a stride.
        least: excess of the smallest.
    """

    count: int
    age: int
    rare: float
    least: float
    weight: float
    total: float

    def evidence(self, excess: Floats) -> Floats:
        beyond = np.maximum(excess - self.least, 0.0)
        return np.asarray(self.rare + self.weight * np.log1p(beyond / self.total))

    def evidence_of_one(self, excess: float) -> float:
        return self.rare + self.weight * math.log1p(max(excess - self.least, 0.0) / self.total)

    def excess(self, evidence: float) -> float:
        """The inverse of `evidence`; zero where any has more."""
        if evidence <= self.rare:
            return 0.0
        return self.least + self.total * math.expm1((evidence - self.rare) / self.weight)


def find_incidents(excess: Floats, windows: Windows, least: float) -> tuple[Incidents | None, NDArray[np.bool_]]:
    """What came more than CHANCE times, or None. Windows that overlap, or follow each other, show one incident.

    Also which of the windows say nothing of the one to come, shape (p,): their incidents are of another hour.

    Args:
        excess: of each window's maximum in one direction over a threshold, shape (p,).
        windows: see `Windows`.
        least: excess from which on a window shows an incident.
    """
    elsewhere = np.zeros(len(excess), dtype=np.bool_)
    far = (excess > least).nonzero()[0]
    if len(far) <= CHANCE:
        return None, elsewhere
    starts, local = windows.starts[far], windows.local[far]
    which = np.cumsum(np.diff(starts, prepend=-math.inf) >= max(windows.looks, windows.stride + 1)) - 1
    first = np.unique(which, return_index=True)[1]
    largest = np.maximum.reduceat(excess[far], first)
    loose, other, often = np.ones(len(first), dtype=np.bool_), np.zeros(len(first), dtype=np.bool_), 0.0
    for daily in _scheduled(local[first], windows):
        loose &= ~daily
        if np.any(_apart(local[daily[which]], windows.here, windows.day) <= windows.looks / NEAR):
            # One a day is one in every window of its hour.
            often += np.count_nonzero(daily) * windows.day / windows.looks
        else:
            other |= daily
    elsewhere[far[other[which]]] = True
    by_chance = max(int(np.count_nonzero(loose)) - CHANCE, 0)
    counted = ~other & (~loose | (by_chance > 0))
    if not counted.any():
        return None, elsewhere
    smallest, count = float(largest[counted].min()), int(np.count_nonzero(counted))
    rare = max(math.log(windows.independent / (by_chance + often)), 0.0)
    age = windows.here - int(starts[first[counted][-1]]) - windows.looks + windows.stride // 2
    total = float((largest[counted] - smallest).sum()) + PRIOR * smallest
    return Incidents(count, age, rare, smallest, count + PRIOR, total), elsewhere


def _apart(one: Ints, other: Ints | int, day: float) -> Floats:
    """Buckets between two times of day, whatever the day."""
    half = day / 2
    return np.asarray(np.abs((one - other + half) % day - half), dtype=np.float64)


def _scheduled(first: Ints, windows: Windows) -> list[NDArray[np.bool_]]:
    """Groups of incidents, shown from `first` on by the clock, that came at one hour of more days than chance."""
    left, found = np.ones(len(first), dtype=np.bool_), []
    days = len(np.unique(np.floor((windows.local - windows.here) / windows.day)))
    judged = windows.independent * windows.looks / days  # buckets a day, as a shop may be closed
    width = min((2 * windows.looks + 1) / max(judged, 1.0), 1.0)
    near = _apart(first[:, None], first[None, :], windows.day) <= windows.looks
    dates = np.rint((first[None, :] - first[:, None]) / windows.day)  # days, as twice in one night is one night
    while np.count_nonzero(left) > CHANCE:
        on = [len(np.unique(of[same & left])) for of, same in zip(dates, near, strict=True)]
        best = int(np.argmax(np.where(left, on, 0)))
        a_day = 1 - math.exp(-np.count_nonzero(left) * width / days)
        if np.count_nonzero(left) * _at_least(on[best], max(days, on[best]), a_day) > BY_CHANCE:
            break
        found.append(near[best] & left)
        left &= ~near[best]
    return found


def _at_least(hits: int, trials: int, probability: float) -> float:
    """Of a binomial count."""
    return sum(
        math.comb(trials, each) * probability**each * (1 - probability) ** (trials - each)
        for each in range(hits, trials + 1)
    )
