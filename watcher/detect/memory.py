"""What a forecast remembers of the time before the deploy, and what it says of each bucket since, look by look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from watcher.detect.forecast import BRIDGE, Fitted, Forecast, Newest, bridge, calm_of, followed, middles, pull, relative
from watcher.model.series import Floats

NEWEST = 80  # buckets before the deploy that are kept as they were


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What a forecast remembers of the time before the deploy.

    Attributes:
        sums: of `w z` and of `w w` over the last m, m - 1 ... 0 buckets, negative: running sums that are 0 at the
            deploy; shape (2, m + 1). `z` is less the control's share, and pulled in.
        known: how many of the m have a value.
        newest_z, newest_w, newest_middle: the newest NEWEST as they were, and their running medians.
        last: the last one that was measured.
        usual_gap: so many in a row are missing about once in BRIDGE buckets; what that does is in the noise already.
    """

    sums: Floats
    known: int
    newest_z: Floats
    newest_w: Floats
    newest_middle: Floats
    last: Newest
    usual_gap: int

    def __len__(self) -> int:
        return int(self.sums.shape[1]) - 1

    def means(self, z: Floats, w: Floats, lengths: tuple[int, ...], kappa: Floats) -> Floats:
        """As the function, for buckets since the deploy, shape (k, n): all at once, the calls are what it costs."""
        sums = np.concatenate([self.sums, np.cumsum([w * z, w * w], axis=1)], axis=1)
        now, old = sums[:, None, len(self) : -1], sums.take(_begins(lengths, len(self), len(z)), axis=1)
        return np.asarray((now[0] - old[0]) / (now[1] - old[1] + kappa[:, None]))

    @staticmethod
    def of(fitted: Fitted, z: Floats, w: Floats, missing: NDArray[np.bool_]) -> Memory:
        size = min(fitted.forecast.memory, len(z))
        last = min(NEWEST, len(z))
        pulled, weights = fitted.pulled[len(z) - size :], fitted.weight[len(z) - size :]
        sums = np.zeros((2, size + 1))
        np.cumsum([(weights * pulled)[::-1], (weights * weights)[::-1]], axis=1, out=sums[:, 1:])
        newest_z, newest_w = fitted.alone[len(z) - last :], w[len(z) - last :]
        middle = middles(newest_z, newest_w > 0)
        there = np.flatnonzero(~missing)
        gap = len(z) - 1 - int(there[-1]) if len(there) else len(z)
        before = Newest(gap, float(w[-1 - gap]), float(middle[-1 - gap])) if gap < last else Newest(gap, 0.0, 0.0)
        count = int(np.count_nonzero(weights > 0))
        return Memory(-sums[:, ::-1], count, newest_z, newest_w, middle, before, _usual_gap(missing))


def _usual_gap(missing: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(missing, prepend=False, append=False))
    lengths = np.sort(edges[1::2] - edges[::2])
    often = -(-len(missing) // BRIDGE)
    return int(lengths[-often]) if len(lengths) >= often > 0 else 0


@lru_cache(maxsize=256)
def _begins(lengths: tuple[int, ...], past: int, count: int) -> NDArray[np.int64]:
    """Where in the sums the last so many buckets before each new one begin, shape (k, count)."""
    return np.asarray(np.maximum(past + np.arange(count) - np.array(lengths)[:, None], 0))


def forecast_level(
    forecast: Forecast,
    memory: Memory,
    seen: tuple[Floats, Floats],
    missing: NDArray[np.bool_],
    upper: Floats,
    control: tuple[Floats, Floats] | None,
) -> tuple[Floats, Floats, Floats]:
    """The relative deviation that is expected of each new bucket, given all before it; the calm and the recent one.

    Shape (n,) each, as in `Fitted`.

    `seen` is their `(z, w)`, `missing` where nothing was measured, `upper` as in `pull`; `control` the control's
    `(z, w)` of its NEWEST and the same buckets.
    """
    z, w = seen
    shared = np.zeros(len(z))
    if forecast.control is not None and forecast.control_kappa is not None and control is not None:
        start = len(control[0]) - len(z)
        w = w * (control[1][start:] > 0)
        missing = missing | (control[1][start:] == 0)
        shared = followed(forecast.control, forecast.control_kappa, control, start)
        z = np.where(w > 0, z - w * shared, 0.0)
    last = len(memory.newest_z)
    middle = middles(np.concatenate([memory.newest_z, z]), np.concatenate([memory.newest_w, w]) > 0, last)
    calm = shared + relative(calm_of(np.concatenate([memory.newest_middle, middle]), last), w)
    if not len(forecast.lengths):
        return shared, calm, np.zeros(len(z))
    pulled, w = bridge(pull(z, w, forecast.reach, upper, middle), w, middle, missing, memory.last)
    rows = memory.means(pulled, w, forecast.lengths, forecast.kappa)
    return shared + forecast.weights @ rows, calm, rows[-1]
