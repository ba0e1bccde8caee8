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
PRICE = 1.2  # s.d. that a stretch pays which does not begin at the deploy
SHAPE = 0.46  # exponent of the boundary (Wang and Tsiatis 1987): 0.5 is flat
LEVEL = 3.0  # s.d. about which the boundary is bent
CLIP = 3.0
LEAST = 1.0  # s.d.: smaller deviations need no exact probability
TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What turns sums into comparable deviations, for a window of m looks.

    Attributes:
        response: see `Forecast.response`, shape (m,).
        rest: its mean over the 2nd to the L-th bucket, shape (m,).
        spread: s.d. of a deviation over L buckets: what the forecast left unexplained, shape (m,).
        price: of the stretch from the deploy to each look, shape (m,).
        counts: whether sums are skewed like those of counts.
    """

    response: Floats
    rest: Floats
    spread: Floats
    price: Floats
    counts: bool


def shape_of(response: Floats, inflation: tuple[float, float], counts: bool) -> Shape:
    """`inflation` is `a, b` of the spread `exp(a + b ln L)`."""
    looks = np.arange(1, len(response) + 1)
    rest = np.ones(len(response))
    rest[1:] = np.cumsum(response[1:]) / looks[:-1]
    # Short stretches pay more, so that the boundary falls slowly from look to look.
    price = LEVEL * ((looks / len(response)) ** (SHAPE - 0.5) - 1)
    return Shape(response, rest, np.exp(inflation[0] + inflation[1] * np.log(looks)), price, counts)


def signed_root(total: Floats, information: Floats, sign: float, counts: bool, least: float = -math.inf) -> Floats:
    """Signed root of the likelihood ratio of harm against none: standard normal if there is none.

    `total` is the sum of deviations with variance `information`, harm positive. For counts it is the deviance of an
    equivalent Poisson count with mean `information`: right in both tails from a fraction of an event upwards. Below
    `least` it may be left as it is: such deviations are nobody's largest.
    """
    # In C order: what is written to a flat view of it must be seen.
    root = np.ascontiguousarray(total / np.sqrt(np.maximum(information, TINY)), dtype=np.float64)
    if not counts:
        return root
    some = np.flatnonzero(root > least) if least > -math.inf else np.arange(root.size)
    mean = np.maximum(information.ravel()[some], TINY)
    change = np.maximum(sign * total.ravel()[some] / mean, -1 + 1e-12)
    deviance = 2 * mean * ((1 + change) * np.log1p(change) - change)
    root.ravel()[some] = np.copysign(np.sqrt(np.maximum(deviance, 0.0)), sign * change)
    return root


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """Deviations at each look, shape (windows, looks): `main` clipped and priced, `spike` unclipped."""

    main: Floats
    spike: Floats


def scan(eps: Floats, w: Floats, high: Floats, shape: Shape, sign: float) -> Scan:
    """Scans windows of buckets, of which the arrays may hold only the first looks.

    Args:
        eps: innovations in s.d., 0 where missing, shape (windows, n).
        w: s.d. that a relative harm of 1 is, 0 where missing, same shape.
        high: upper fence of `eps`, broadcastable.
        shape: see `Shape`.
        sign: +1 if harm is up, -1 if it is down.
    """
    width = eps.shape[1]
    weighted = w * pulled(eps, high)
    if sign < 0:
        weighted = -weighted
    squares = w * w
    main = growing(weighted, squares, shape, sign, LEAST) / shape.spread[:width] - shape.price[:width]
    lengths = [length for length in STRETCHES if length <= width and length < len(shape.response)]
    if lengths:
        later = _stretches(weighted, squares, lengths, shape, sign)
        later /= shape.spread[np.array(lengths) - 1][:, None]
        np.maximum(main, later.max(axis=1) - PRICE, out=main)
    spikes = [length for length in SPIKES if length <= max(width, 1)]
    return Scan(main, _stretches(sign * w * eps, squares, spikes, shape, sign).max(axis=1))


def harmful(eps: Floats, calm: Floats, sign: float, slack: Floats | float) -> Floats:
    """Innovations, of which harm counts as far as the calm level shows it too: the end of a burst is no loss.

    `calm` are deviations from that level and `slack` how far it may be off, in s.d.; shape as `eps`.
    """
    off = sign * eps
    return np.asarray(sign * np.where(off > 0, np.minimum(off, np.maximum(sign * calm + slack, 0.0)), off))


def pulled(eps: Floats, high: Floats) -> Floats:
    """Innovations beyond the fences count by their logarithm: no single bucket decides, a large one still says more."""
    inside = np.clip(eps, -CLIP, high)
    far = np.flatnonzero(inside != eps)
    if len(far):
        fence = inside.ravel()[far]
        inside.ravel()[far] = fence * (1 + np.log(eps.ravel()[far] / fence))
    return np.asarray(inside, dtype=np.float64)


def growing(weighted: Floats, squares: Floats, shape: Shape, sign: float, least: float = -math.inf) -> Floats:
    """The deviation of the stretch from the deploy to each look, neither inflated nor priced; shape as `weighted`."""
    response = shape.response[: weighted.shape[1]]
    total = np.cumsum(weighted * response, axis=1)
    return signed_root(total, np.cumsum(squares * (response * response), axis=1), sign, shape.counts, least)


def _sums(values: Floats) -> Floats:
    out = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out


def _stretches(values: Floats, squares: Floats, lengths: list[int], shape: Shape, sign: float) -> Floats:
    """Deviation of the last `lengths` buckets at each look, if harm began with the first of them: (windows, k, looks).

    All of it is news in the first bucket, and later on the response's mean; exact for white and first-order noise.
    Minus infinity where there are not so many buckets yet.
    """
    begins = np.arange(1, values.shape[1] + 1) - np.array(lengths)[:, None]
    missing = begins < 0
    begins = np.maximum(begins, 0)
    rest = shape.rest[np.array(lengths) - 1][:, None]
    sums, weights = _sums(values), _sums(squares)
    total = rest * (sums[:, None, 1:] - np.take(sums, begins, axis=1))
    weight = rest * rest * (weights[:, None, 1:] - np.take(weights, begins, axis=1))
    if np.any(rest != 1.0):
        total += (1 - rest) * np.take(values, begins, axis=1)
        weight += (1 - rest * rest) * np.take(squares, begins, axis=1)
    root = signed_root(total, weight, sign, shape.counts, LEAST)
    root[:, missing] = -np.inf
    return root
