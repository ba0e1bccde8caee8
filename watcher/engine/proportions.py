"""What a number of placebos allows to say of a probability, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from watcher.model.rehearsal import Extrapolated, Share

_TAIL = 0.025  # on either side of a 95 % interval
_CERTAIN = 0.05
_FEWEST = 8  # scores beyond the median, below which a tail is not read


def share(hits: int, trials: int, independent: int) -> Share:
    """`hits` of `trials`; the interval is that of as many independent trials with the same share of hits.

    Source: Clopper and Pearson (1934), by the quantiles of the beta distribution; a fraction of a hit is allowed there.
    """
    count = min(trials, independent)
    if not count:
        return Share(hits, trials, 0, 0.0, 1.0)
    scaled = hits * count / trials
    low = float(special.betaincinv(scaled, count - scaled + 1, _TAIL)) if scaled > 0 else 0.0
    high = float(special.betaincinv(scaled + 1, count - scaled, 1 - _TAIL)) if scaled < count else 1.0
    return Share(hits, trials, count, low, high)


def resolvable(independent: int) -> float | None:
    """The smallest probability that `independent` trials without a hit rule out with 95 %: about three in so many."""
    return 1.0 - _CERTAIN ** (1.0 / independent) if independent else None


def beyond(scores: Sequence[float], threshold: float) -> Extrapolated | None:
    """P(score >= threshold), the scores' upper half taken as exponential; None where that would be a guess.

    A score is -log10 of a probability, so scores that keep their word are exponential. The interval is the mean
    excess's (a sum of n of them is gamma distributed); that the tail goes on as it began is an assumption.
    """
    known = np.sort(np.asarray(scores, dtype=np.float64))
    if len(known) < 2 * _FEWEST:
        return None
    start = float(np.median(known))
    excess = known[known > start] - start
    if len(excess) < _FEWEST or threshold <= start:
        return None
    count, total = len(excess), float(excess.sum())
    far, reach = count / len(known), threshold - start
    short = total / float(special.gammaincinv(count, 1 - _TAIL))
    long = total / float(special.gammaincinv(count, _TAIL))
    value, low, high = (far * float(np.exp(-reach / mean)) for mean in (total / count, short, long))
    return Extrapolated(value, low, high)
