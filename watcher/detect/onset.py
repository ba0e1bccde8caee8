"""When the change began. Asked only after an alarm: `ruptures` places a change, it does not tell if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from watcher.model.series import Floats

# Within which the log likelihood of the true onset stays of the best one's in 95 % of cases: it is the maximum of two
# random walks away from the truth, each of which passes c with a probability of at most exp(-c).
INTERVAL = float(np.log(2 / 0.05))
FAVOUR = float(np.log(5.0))  # prior odds of the deploy's first bucket against any other
FEWEST = 6
AROUND = 12  # buckets either side of the likeliest onset that are searched


@dataclass(frozen=True, slots=True)
class Onset:
    """Positions within the given buckets: the change's first one and its 95 % interval."""

    at: int
    low: int
    high: int


def locate(gain: Floats, deploy: int) -> Onset | None:
    """The likeliest onset: an exact search for one change (`ruptures`), the likelihood given as its cost.

    Args:
        gain: log likelihood ratio of a change that begins with each bucket against none, shape (n,).
        deploy: the first bucket after the deploy began.
    """
    if len(gain) < FEWEST:
        return None
    likely = gain.copy()
    likely[deploy : deploy + 1] += FAVOUR
    # Only what the likeliest onset may be is searched: all of it would cost milliseconds at every look.
    best = int(np.argmax(likely[1:]))
    near = np.flatnonzero(likely[1:] >= likely[1:].max() - 2 * INTERVAL)
    first = max(int(near[0]), best - AROUND)
    part = likely[first : max(min(int(near[-1]), best + AROUND) + 3, first + 3)]
    at = first + int(_search(part[:, None]).predict(n_bkps=1)[0])
    within = np.flatnonzero(gain >= gain.max() - INTERVAL)
    return Onset(at, min(int(within[0]), at), max(int(within[-1]), at))


def _search(likelihood: Floats) -> Any:
    # ruptures and scipy cost a second to import; most watches never alarm.
    from ruptures import Dynp  # noqa: PLC0415

    return Dynp(custom_cost=_cost()(), min_size=1, jump=1).fit(likelihood)


@cache
def _cost() -> Any:
    """Of a change that begins with a bucket: less its log likelihood ratio."""
    from ruptures.base import BaseCost  # noqa: PLC0415

    class Likelihood(BaseCost):  # type: ignore[misc]
        model, min_size = "likelihood", 1

        def fit(self, signal: Any) -> Any:
            self.signal = signal
            self.costs = (-signal[:, 0]).tolist()
            return self

        def error(self, start: int, _: int) -> Any:
            return self.costs[start] if start else 0.0

    return Likelihood
