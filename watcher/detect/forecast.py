"""What the minutes before say of the next one: means over the last 1, 3, 8 ... 1440 buckets, weighted by least squares.

A heterogeneous autoregression (Corsi 2009, J. Financial Econometrics 7:174): it learns from the history whether the
level drifts, how long noise lasts and how far back to anchor, and leaves innovations that are nearly independent. How
a lasting harm shows in them follows from the same coefficients (`response`), so nothing of it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.noise import active
from watcher.model.series import Floats

LENGTHS = (1, 3, 8, 21, 60, 180, 540, 1440)
CONTROL_LENGTHS = (1, 4, 20)
SLOW = 60  # own means this long stand beside the control while its share is learned
ENOUGH = 4000  # buckets that coefficients are learned from
REACH = 4.0  # s.d. at which a point's influence on the forecast ends


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Coefficients of the means over the last `lengths` buckets.

    Attributes:
        kappa: prior weight of each mean, shape (k,): means over little traffic are drawn to zero.
        control: how much of the control's mean deviation over the newest CONTROL_LENGTHS buckets this signal follows;
            that part is taken off before anything else.
        control_kappa: as `kappa`, of the control's means.
    """

    lengths: tuple[int, ...]
    weights: Floats
    kappa: Floats
    control: Floats | None = None
    control_kappa: Floats | None = None

    @property
    def memory(self) -> int:
        return max((*self.lengths, *(CONTROL_LENGTHS if self.control is not None else ())), default=1)

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
    known = w > 0
    typical = float(np.mean(w[known] ** 2)) if known.any() else 1.0
    return np.asarray(0.02 * typical * np.asarray(lengths, dtype=np.float64), dtype=np.float64)


def _least_squares(columns: Floats, target: Floats) -> Floats:
    """Coefficients of the rows of `columns`, slightly drawn to zero."""
    size = np.maximum(np.sqrt(np.mean(columns * columns, axis=1)), 1e-12)
    scaled = columns / size[:, None]
    gram = scaled @ scaled.T
    gram[np.diag_indices_from(gram)] += 1.0 + 1e-4 * columns.shape[1]
    return np.asarray(np.linalg.solve(gram, scaled @ target) / size, dtype=np.float64)


def fit_control(z: Floats, w: Floats, upper: Floats, control: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """How a signal follows its control: coefficients of the control's means, and their prior weights."""
    cz, cw = np.clip(control[0], -REACH, REACH), control[1]
    kappa = _prior(cw, CONTROL_LENGTHS)
    slow = tuple(length for length in usable(LENGTHS, int(np.count_nonzero(w > 0))) if length >= SLOW)
    pulled = np.clip(z, -REACH, upper)
    columns = [
        *(w * row for row in means(cz, cw, CONTROL_LENGTHS, kappa, newest=1)),
        *(w * row for row in means(pulled, w, slow, _prior(w, slow))),
    ]
    known = active(np.where(cw > 0, w * w, 0.0))
    if np.count_nonzero(known) < 20:
        return np.zeros(len(CONTROL_LENGTHS)), kappa
    return _least_squares(np.array(columns)[:, known], pulled[known])[: len(CONTROL_LENGTHS)], kappa


def followed(coefficients: Floats, kappa: Floats, control: tuple[Floats, Floats], start: int = 0) -> Floats:
    """The relative deviation that the control's own accounts for. Nothing is pulled in: if it moves, this follows."""
    rows = means(control[0], control[1], CONTROL_LENGTHS, kappa, start, newest=1)
    return np.asarray(coefficients @ rows, dtype=np.float64)


def fit_forecast(z: Floats, w: Floats, control: tuple[Floats, Floats] | None, upper: Floats) -> tuple[Forecast, Floats]:
    """Least squares of `z`, less what it follows of its control, on its own past; returns innovations as well.

    `control` is the control's `(z, w)` on the same buckets. `upper` is each bucket's upper fence in s.d.
    """
    known = w > 0
    shares = kappas = None
    if control is not None:
        shares, kappas = fit_control(z, w, upper, control)
        known = known & (control[1] > 0)
        z = np.where(known, z - w * followed(shares, kappas, control), 0.0)
    points = int(known.sum())
    lengths = usable(LENGTHS, points)
    if not lengths or points < 20:
        return Forecast((), np.empty(0), np.empty(0), shares, kappas), np.where(known, z, 0.0)
    pulled = np.clip(z, -REACH, upper)
    kappa = _prior(w, lengths)
    design = w * means(pulled, w * known, lengths, kappa)
    learn = np.flatnonzero(active(np.where(known, w * w, 0.0)))
    # Neighbours say nearly the same: a few thousand buckets teach as much as all of them.
    learn = learn[:: max(len(learn) // ENOUGH, 1)]
    weights = _least_squares(design[:, learn], pulled[learn])
    # A forecast that remembers more than there is would explode.
    if weights.sum() > 0.995:
        weights = weights * (0.995 / float(weights.sum()))
    return Forecast(lengths, weights, kappa, shares, kappas), np.where(known, z - weights @ design, 0.0)


def relative(z: Floats, w: Floats) -> Floats:
    """Relative deviation of each bucket; 0 where nothing is known."""
    return np.divide(z, w, out=np.zeros_like(z), where=w > 0)


def innovations(
    forecast: Forecast, z: Floats, w: Floats, upper: Floats, control: tuple[Floats, Floats] | None, start: int
) -> Floats:
    """Innovations (in s.d.) of the buckets from `start`, given all before them in the same arrays."""
    if forecast.control is not None and forecast.control_kappa is not None and control is not None:
        w = w * (control[1] > 0)
        z = z - w * followed(forecast.control, forecast.control_kappa, control)
    pulled = np.clip(z, -REACH, upper)
    predicted = w[start:] * (forecast.weights @ means(pulled, w, forecast.lengths, forecast.kappa, start))
    return np.where(w[start:] > 0, z[start:] - predicted, 0.0)
