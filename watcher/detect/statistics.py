"""The scan: at each look, how unlike the expected the buckets since the deploy are, over all stretches at once.

Stretches that begin at the deploy come first; shorter ones, for harm that begins later, pay a fixed price. Beside the
clipped statistic runs an unclipped one over one to three buckets, for short violent harm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from watcher.model.series import Floats

STRETCHES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
SPIKES = (1, 2, 3)
PRICE = 1.0  # s.d. that a stretch pays which does not begin at the deploy
SHAPE = 0.46  # exponent of the boundary (Wang and Tsiatis 1987): 0.5 is flat
LEVEL = 3.0  # s.d. about which the boundary is bent
CLIP = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What turns sums into comparable deviations.

    Attributes:
        response: see `Forecast.response`, shape (m,).
        inflation: s.d. of a deviation over the last L buckets, `exp(a + b ln L)`: what the forecast left unexplained.
        counts: whether sums are skewed like those of counts.
        direction: +1 harm is up, -1 down.
    """

    response: Floats
    inflation: tuple[float, float]
    counts: bool

    def spread(self, length: int) -> Floats:
        """Inflation for stretches of 1 .. length buckets, shape (length,)."""
        a, b = self.inflation
        return np.asarray(np.exp(a + b * np.log(np.arange(1, length + 1))), dtype=np.float64)


def price_of_growing(length: int) -> Floats:
    """Price of the stretch from the deploy to each look: small ones pay more, so that the boundary falls slowly."""
    looks = np.arange(1, length + 1)
    return np.asarray(LEVEL * ((looks / length) ** (SHAPE - 0.5) - 1), dtype=np.float64)


def signed_root(total: Floats, information: Floats, sign: float, counts: bool) -> Floats:
    """Signed root of the likelihood ratio of harm against none: standard normal if there is none.

    `total` is the sum of deviations with variance `information`, harm positive. For counts it is the deviance of an
    equivalent Poisson count with mean `information`: right in both tails from a fraction of an event upwards.
    """
    enough = information > 1e-9
    safe = np.where(enough, information, 1.0)
    if not counts or float(information.min(initial=math.inf)) > 2500:
        return np.where(enough, total / np.sqrt(safe), 0.0)
    change = np.maximum(sign * total / safe, -1 + 1e-12)
    deviance = 2 * safe * ((1 + change) * np.log1p(change) - change)
    return np.where(enough, np.copysign(np.sqrt(np.maximum(deviance, 0.0)), total), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """Deviations at each look, shape (windows, looks): `main` clipped and priced, `spike` unclipped."""

    main: Floats
    spike: Floats


def scan(eps: Floats, w: Floats, high: Floats, shape: Shape, sign: float, looks: int) -> Scan:
    """Scans windows of buckets; `looks` is the length of the whole window, of which the arrays hold the first part.

    Args:
        eps: innovations in s.d., 0 where missing, shape (windows, n).
        w: s.d. that a relative harm of 1 is, 0 where missing, same shape.
        high: upper fence of `eps`, broadcastable.
        shape: see `Shape`.
        sign: +1 if harm is up, -1 if it is down.
        looks: n at the window's end.
    """
    width = eps.shape[1]
    clipped = sign * np.clip(eps, -CLIP, high)
    sums, weights = _sums(w * clipped), _sums(w * w)
    response, spread = shape.response[:width], shape.spread(width)
    total = np.cumsum(w * clipped * response, axis=1)
    information = np.cumsum(w * w * response * response, axis=1)
    growing = signed_root(total, information, sign, shape.counts) / spread
    main = growing - price_of_growing(looks)[:width]
    for length in STRETCHES:
        if length > width or length >= looks:
            break
        part = _stretch(sums, weights, length, response, sign, shape.counts)
        np.maximum(main[:, length - 1 :], part / spread[length - 1] - PRICE, out=main[:, length - 1 :])
    raw_sums = _sums(w * (sign * eps))
    spike = _stretch(raw_sums, weights, 1, response, sign, shape.counts)
    for length in SPIKES[1:]:
        if length <= width:
            part = _stretch(raw_sums, weights, length, response, sign, shape.counts)
            np.maximum(spike[:, length - 1 :], part, out=spike[:, length - 1 :])
    return Scan(main, spike)


def growing(eps: Floats, w: Floats, high: Floats, response: Floats, sign: float, counts: bool) -> Floats:
    """The deviation of the stretch from the deploy alone, neither inflated nor priced; shape as `eps`."""
    clipped = sign * np.clip(eps, -CLIP, high)
    total = np.cumsum(w * clipped * response, axis=1)
    return signed_root(total, np.cumsum(w * w * response * response, axis=1), sign, counts)


def _sums(values: Floats) -> Floats:
    out = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out


def _stretch(sums: Floats, weights: Floats, length: int, response: Floats, sign: float, counts: bool) -> Floats:
    """Deviation of the last `length` buckets, if harm began with the first of them.

    All of it is news in the first bucket, and later on the response's mean; exact for white and first-order noise.
    """
    total, weight = sums[:, length:] - sums[:, :-length], weights[:, length:] - weights[:, :-length]
    if length > 1:
        rest = float(response[1:length].mean())
        stop = sums.shape[1] - length
        first = sums[:, 1 : stop + 1] - sums[:, :stop]
        first_weight = weights[:, 1 : stop + 1] - weights[:, :stop]
        total = rest * total + (1 - rest) * first
        weight = rest * rest * weight + (1 - rest * rest) * first_weight
    return signed_root(total, weight, sign, counts)
