"""What the minutes before say of the next one: means over the last 1, 3, 8 ... 1440 buckets, weighted by least squares.

A heterogeneous autoregression (Corsi 2009, J. Financial Econometrics 7:174): it learns from the history whether the
level drifts, how long noise lasts and how far back to anchor, and leaves innovations that are nearly independent. How
a lasting harm shows in them follows from the same coefficients (`response`), so nothing of it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from watcher.detect.noise import active
from watcher.model.series import Floats

LENGTHS = (1, 3, 8, 21, 60, 180, 540, 1440)
CONTROL_LENGTHS = (1, 4, 20)
SLOW = 60  # own means this long stand beside the control while its share is learned
ENOUGH = 4000  # buckets that coefficients are learned from
REACH = 4.0  # times the usual distance from the median of the newest buckets: where a point's influence ends
PRIOR = 0.02  # of the usual information: what a mean must have to be half believed
EVENT = 1.0  # information of a single event
MIDDLE = 15  # buckets of that median
BRIDGE = 60  # missing buckets in a row through which the level is taken to have stayed
BEHIND = (1, 16, 31, 46, 61)  # buckets ago: whose medians' median is the calm level
WILDEST = 12.0  # sum of the sizes of the weights; of real signals it is hardly ever more than 4
RECENT = 8  # buckets that tell where the level is now


@dataclass(frozen=True, slots=True)
class Newest:
    """The last measured bucket before some: how many are missing after it, its sensitivity and its running median."""

    gap: int
    w: float
    middle: float


NEVER = Newest(BRIDGE, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Coefficients of the means over the last `lengths` buckets; the last of them has none: drifts are read off it.

    Attributes:
        kappa: prior weight of each mean, shape (k,): means over little traffic are drawn to zero.
        control: how much of the control's mean deviation over the newest CONTROL_LENGTHS buckets this signal follows;
            that part is taken off before anything else.
        control_kappa: as `kappa`, of the control's means.
        reach: how far from the median of the newest buckets a point has influence, in s.d.
    """

    lengths: tuple[int, ...]
    weights: Floats
    kappa: Floats
    control: Floats | None = None
    control_kappa: Floats | None = None
    reach: float = REACH

    @property
    def memory(self) -> int:
        return max(self.lengths, default=1)

    def response(self, length: int) -> Floats:
        """How much of a lasting harm is still news in the 1st, 2nd ... bucket after it began, shape (length,)."""
        since = np.arange(length)[:, None]
        lengths = np.asarray(self.lengths, dtype=np.float64)[None, :]
        news = 1 - (np.minimum(since, lengths) / lengths) @ self.weights
        return np.asarray(np.clip(news, 0.0, 2.0), dtype=np.float64)


def means(z: Floats, w: Floats, lengths: tuple[int, ...], kappa: Floats, start: int = 0, newest: int = 0) -> Floats:
    """Weighted mean relative deviation over the L buckets before each one from `start`; shape (k, n - start).

    With `newest` 1 the bucket itself is the newest of the L.
    """
    pad = max(lengths, default=0)
    size = len(z) - start
    sums = np.zeros((2, pad + 1 + len(z)))
    np.cumsum(w * z, out=sums[0, pad + 1 :])
    np.cumsum(w * w, out=sums[1, pad + 1 :])
    first = pad + start + newest
    total, weight = sums[:, first : first + size]
    out = np.empty((len(lengths), size))
    for row, length in enumerate(lengths):
        old_total, old_weight = sums[:, first - length : first - length + size]
        np.divide(total - old_total, weight - old_weight + kappa[row], out=out[row])
    return out


def usable(lengths: tuple[int, ...], points: int) -> tuple[int, ...]:
    """Those that `points` of history can speak of."""
    return tuple(length for length in lengths if length * 4 <= points)


def _prior(w: Floats, lengths: tuple[int, ...]) -> Floats:
    return np.asarray(PRIOR * _typical(w) * np.asarray(lengths, dtype=np.float64))


def _typical(w: Floats) -> float:
    known = w > 0
    return float(np.mean(w[known] ** 2)) if known.any() else 1.0


def _least_squares(columns: Floats, target: Floats) -> Floats:
    """Coefficients of the rows of `columns`, slightly drawn to zero."""
    size = np.maximum(np.sqrt(np.mean(columns * columns, axis=1)), 1e-12)
    scaled = columns / size[:, None]
    gram = scaled @ scaled.T
    gram[np.diag_indices_from(gram)] += 1.0 + 1e-4 * columns.shape[1]
    return np.asarray(np.linalg.solve(gram, scaled @ target) / size, dtype=np.float64)


def middles(z: Floats, known: NDArray[np.bool_], start: int = 0) -> Floats:
    """Median of each bucket from `start` on and those before it, the last known value standing in for missing ones."""
    filled = z if known.all() else z[np.maximum.accumulate(np.where(known, np.arange(len(z)), 0))]
    lead = min(start, MIDDLE - 1)
    padded = filled[start - lead :]
    if lead < MIDDLE - 1:
        padded = np.concatenate([np.full(MIDDLE - 1 - lead, filled[0] if len(z) else 0.0), padded])
    windows = as_strided(padded, (len(z) - start, MIDDLE), padded.strides * 2, writeable=False)
    return np.asarray(np.partition(windows, MIDDLE // 2, axis=1)[:, MIDDLE // 2])


def calm_of(middle: Floats, start: int = 0) -> Floats:
    """Where the signal was over the last hour or so, short bursts left out, by its running medians; from `start`."""
    padded = np.concatenate([np.full(BEHIND[-1], middle[0]), middle]) if len(middle) else middle
    size = len(middle) - start
    one, two, three, four, five = (padded[BEHIND[-1] + start - ago :][:size] for ago in BEHIND)
    # The median of five is that of the middle two of four and the fifth.
    low = np.maximum(np.minimum(one, two), np.minimum(three, four))
    high = np.minimum(np.maximum(one, two), np.maximum(three, four))
    low, high = np.minimum(low, high), np.maximum(low, high)
    return np.asarray(np.maximum(low, np.minimum(high, five)))


def pull(z: Floats, w: Floats, reach: float, upper: Floats | float, middle: Floats | None = None) -> Floats:
    """`z` drawn to within reach of where the signal is now, wherever its profile may be; 0 where missing.

    `upper` widens the upper fence: single events of a sparse count are no outliers. `middle` are `middles(z, w > 0)`.
    """
    known = w > 0
    middle = middles(z, known) if middle is None else middle
    return np.where(known, np.minimum(np.maximum(z, middle - reach), middle + (reach + upper)), 0.0)


def bridge(
    pulled: Floats, w: Floats, middle: Floats, missing: NDArray[np.bool_], before: Newest = NEVER
) -> tuple[Floats, Floats]:
    """`pulled` and `w` with short gaps filled in by the running median before them.

    Else the forecast fell back to the profile, wherever the signal was. `before` is what came before the first one.
    """
    if not missing.any():
        return pulled, w
    place = np.arange(len(w))
    last = np.maximum.accumulate(np.where(missing, -1, place))
    short = missing & (np.where(last < 0, place + 1 + before.gap, place - last) <= BRIDGE)
    level, weight = np.where(last < 0, before.middle, middle[last]), np.where(last < 0, before.w, w[last])
    return np.where(short, level, pulled), np.where(short, weight, w)


def reach_of(off: Floats, w: Floats) -> float:
    """REACH times the usual distance `off` from the running median."""
    known = active(w * w)
    if not known.any():
        return REACH
    off = off[known]
    usual = float(np.sqrt(np.mean(np.minimum(off * off, REACH * REACH))))
    # The square of the outliers must not set the measure for outliers.
    usual = min(usual, float(np.sqrt(np.mean(np.minimum(off * off, (REACH * usual) ** 2)))))
    return REACH * max(usual, 1e-3)


def fit_control(z: Floats, w: Floats, upper: Floats, control: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """How a signal follows its control: coefficients of the control's means, and their prior weights."""
    cz, cw = _pulled(control[0], control[1], 0.0), control[1]
    kappa = _prior(cw, CONTROL_LENGTHS)
    slow = tuple(length for length in usable(LENGTHS, int(np.count_nonzero(w > 0))) if length >= SLOW)
    pulled = _pulled(z, w, upper)
    columns = [
        *(w * row for row in means(cz, cw, CONTROL_LENGTHS, kappa, newest=1)),
        *(w * row for row in means(pulled, w, slow, _prior(w, slow))),
    ]
    known = active(np.where(cw > 0, w * w, 0.0))
    if np.count_nonzero(known) < 20:
        return np.zeros(len(CONTROL_LENGTHS)), kappa
    return _least_squares(np.array(columns)[:, known], pulled[known])[: len(CONTROL_LENGTHS)], kappa


def _pulled(z: Floats, w: Floats, upper: Floats | float) -> Floats:
    middle = middles(z, w > 0)
    return pull(z, w, reach_of(z - middle, w), upper, middle)


def followed(coefficients: Floats, kappa: Floats, control: tuple[Floats, Floats], start: int = 0) -> Floats:
    """The relative deviation that the control's own accounts for. Nothing is pulled in: if it moves, this follows."""
    rows = means(control[0], control[1], CONTROL_LENGTHS, kappa, start, newest=1)
    return np.asarray(coefficients @ rows, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A forecast over its own history, shape (n,): `z` less what the control explains, as it was; the same pulled in,
    short gaps bridged, with its sensitivities `weight`; the relative deviation that was forecast for each bucket, and
    the calm one, the control's share included; and the mean one of the `recent` buckets before each, without that
    share.
    """

    forecast: Forecast
    alone: Floats
    pulled: Floats
    weight: Floats
    level: Floats
    calm: Floats
    recent: Floats


def fit_forecast(
    z: Floats,
    w: Floats,
    missing: NDArray[np.bool_],
    control: tuple[Floats, Floats] | None,
    upper: Floats,
    least: float = 0.0,
) -> Fitted:
    """Least squares of `z`, less what it follows of its control, on its own past.

    `missing` is where nothing was measured, `control` the control's `(z, w)` on the same buckets, `upper` each bucket's
    upper fence beyond the reach, s.d.; with less information than `least` only the level is learned.
    """
    known = w > 0
    shares = kappas = None
    shared = np.zeros(len(z))
    if control is not None:
        shares, kappas = fit_control(z, w, upper, control)
        known = known & (control[1] > 0)
        missing = missing | (control[1] == 0)
        shared = np.where(known, followed(shares, kappas, control), 0.0)
        z = np.where(known, z - w * shared, 0.0)
    points = int(known.sum())
    lengths = usable(LENGTHS, points)
    middle = middles(z, known)
    reach = reach_of(z - middle, w * known)
    pulled, weight = bridge(pull(z, w * known, reach, upper, middle), w * known, middle, missing)
    calm = shared + relative(calm_of(middle), w)
    if not lengths or points < 20 or float(w[known] @ w[known]) < least:
        forecast = Forecast((), np.empty(0), np.empty(0), shares, kappas, reach)
        return Fitted(forecast, z, pulled, weight, shared, calm, np.zeros(len(z)))
    kappa = _prior(w, lengths)
    # What little traffic says of the level is no drift once there is more: it weighs half as the usual traffic would.
    lengths, kappa = (*lengths, RECENT), np.append(kappa, max(RECENT * _typical(w), EVENT))
    rows = means(pulled, weight, lengths, kappa)
    learn = np.flatnonzero(active(np.where(known, w * w, 0.0)))
    # Neighbours say nearly the same: a few thousand buckets teach as much as all of them.
    learn = learn[:: max(len(learn) // ENOUGH, 1)]
    weights = np.append(_least_squares(w[learn] * rows[:-1, learn], pulled[learn]), 0.0)
    # A forecast that remembers more than there is would explode; one learned of nothing but a wild value means nothing.
    if weights.sum() > 0.995:
        weights = weights * (0.995 / float(weights.sum()))
    weights = weights / max(float(np.abs(weights).sum()) / WILDEST, 1.0)
    forecast = Forecast(lengths, weights, kappa, shares, kappas, reach)
    return Fitted(forecast, z, pulled, weight, shared + weights @ rows, calm, rows[-1])


def relative(z: Floats, w: Floats) -> Floats:
    """Relative deviations; 0 where nothing is known."""
    return np.divide(z, w, out=np.zeros_like(z), where=w > 0)
