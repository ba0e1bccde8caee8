"""Several signals under one budget: the smallest probability counts, times how far the signals are from being one.

Their dependence is read off quiet windows taken at the same instants (the idea of Westfall and Young's max-T); where
instants do not align, the sum of probabilities bounds it. Tickets have a share of the budget of their own, and so has
what metrics and tickets say together: each alone may be weak then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from watcher.detect.fitting import Quiet, shared
from watcher.detect.window import Axis

METRICS, TICKETS, BOTH = 0.75, 0.15, 0.1  # shares of the budget where there are metrics and tickets
FEWEST = 20


def costs(groups: Sequence[Sequence[tuple[Axis, Quiet] | None]]) -> tuple[float, ...]:
    """For each group (metrics, tickets) what its signals pay: their -ln probability less this is the group's.

    A group holds one entry a signal, None for a signal that cannot be judged.
    """
    both = all(any(each is not None for each in group) for group in groups)
    out = []
    for group, share in zip(groups, (METRICS, TICKETS), strict=True):
        known = [each for each in group if each is not None]
        out.append(math.log(_together(known)) - (math.log(share) if both else 0.0))
    return tuple(out)


def corroborated(metrics: float, tickets: float) -> float:
    """-ln of the probability that metrics and tickets both say as much by chance, for its share of the budget.

    Both are -ln of a probability less what their signals pay (`costs`). That two independent ones are both as small as
    the larger of them has its square for a probability.
    """
    weaker = min(metrics - math.log(METRICS), tickets - math.log(TICKETS))
    return 2 * weaker + math.log(BOTH)


def confirming(evidence: float, *, tickets: bool) -> float:
    """What a signal must say at least to be one of two that `corroborated` makes this evidence of; -ln each."""
    return (evidence - math.log(BOTH)) / 2 + math.log(TICKETS if tickets else METRICS)


def _together(signals: Sequence[tuple[Axis, Quiet]]) -> float:
    if len(signals) <= 1:
        return 1.0
    times = [axis.phase + quiet.starts * axis.step for axis, quiet in signals]
    fewest = min(range(len(signals)), key=lambda place: len(times[place]))
    at = times[fewest]
    together = np.zeros(len(at))
    aligned = np.ones(len(at), dtype=np.bool_)
    for (axis, quiet), own in zip(signals, times, strict=True):
        if not len(own):
            return float(len(signals))
        spacing = float(np.median(np.diff(own))) if len(own) > 1 else axis.step
        place = np.clip(np.searchsorted(own, at), 1, max(len(own) - 1, 1))
        left, right = np.maximum(place - 1, 0), np.minimum(place, len(own) - 1)
        nearest = np.where(np.abs(own[left] - at) <= np.abs(own[right] - at), left, right)
        aligned &= np.abs(own[nearest] - at) <= max(spacing / 2, axis.step)
        together = np.maximum(together, quiet.evidence[nearest])
    if aligned.sum() < FEWEST:
        return float(len(signals))
    independent = min(quiet.independent for _, quiet in signals) * float(np.mean(aligned))
    return max(shared(together[aligned], independent, float(len(signals))), 1.0)
