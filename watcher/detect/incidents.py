"""What a signal does by itself now and then, far beyond its ordinary deviations: how often, and how large.

Outages of others, bursts, batches. One or two in weeks tell no rate; but once they came more often than harm may be
called by mistake, what is no larger than they were cannot be told from one more of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from watcher.detect.baseline import Ints
from watcher.model.series import Floats

CHANCE = 2  # so many tell no rate
PRIOR = 1.0  # incidents' worth of what is known before of how far they go: as far again as the smallest


@dataclass(frozen=True, slots=True)
class Incidents:
    """`-ln P(one in a window >= x)` is `rare + weight * ln(1 + (x - least) / total)` from `least` on, and `rare` below.

    `x` is an excess, on the scale of the tail whose windows showed them.

    Attributes:
        count: how many there were.
        newest: bucket by which the newest had begun.
        least: excess of the smallest.
    """

    count: int
    newest: int

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


def find_incidents(excess: Floats, starts: Ints, looks: int, independent: float, least: float) -> Incidents | None:
    """What came more than CHANCE times, or None. Windows that overlap show one incident (runs declustering).

    Args:
        excess: of quiet windows' maxima over a threshold, shape (p,).
        starts: buckets at which those windows begin, ascending, shape (p,).
        looks: buckets in a window.
        independent: how many windows' worth of history there were in all.
        least: excess from which on a window shows an incident.
    """
    far = excess > least
    apart = np.diff(starts[far], prepend=-looks) >= looks
    often = int(np.count_nonzero(apart)) - CHANCE
    if often <= 0:
        return None
    first = apart.nonzero()[0]
    largest = np.maximum.reduceat(excess[far], first)
    smallest = float(largest.min())
    total = float((largest - smallest).sum()) + PRIOR * smallest
    rare, newest = max(math.log(independent / often), 0.0), int(starts[far][first[-1]]) + looks - 1
    return Incidents(len(largest), newest, rare, smallest, len(largest) + PRIOR, total)
