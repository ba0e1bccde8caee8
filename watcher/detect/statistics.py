"""The scan: at each look, how unlike the expected the buckets since the deploy are, over all stretches at once.

Stretches that begin at the deploy come first; shorter ones, for harm that begins later, pay a fixed price. Beside the
clipped statistic runs an unclipped one over one to three buckets, for short violent harm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from watcher.detect.baseline import Ints
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
    mean = np.maximum(information, TINY)
    # In C order: what is written to a flat view of it must be seen.
    root = np.ascontiguousarray(total / np.sqrt(mean), dtype=np.float64)
    if not counts:
        return root
    some = (root > least).ravel().nonzero()[0]
    mean = mean.ravel()[some]
    change = np.maximum(sign * total.ravel()[some] / mean, -1 + 1e-12)
    deviance = (1 + change) * np.log1p(change)
    deviance -= change
    deviance *= 2 * mean
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
    weights = _sums(squares)
    if lengths:
        np.maximum(main, _largest(weighted, squares, weights, lengths, shape, sign, priced=True), out=main)
    spikes = [length for length in SPIKES if length <= max(width, 1)]
    return Scan(main, _largest(sign * w * eps, squares, weights, spikes, shape, sign, priced=False))


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


def _largest(
    values: Floats, squares: Floats, weights: Floats, lengths: list[int], shape: Shape, sign: float, *, priced: bool
) -> Floats:
    """The largest deviation of a stretch of one of the `lengths` at each look, inflated and priced or as it is.

    Harm is taken to have begun with the stretch's first bucket: all of it is news there, and later on the response's
    mean; exact for white and first-order noise. Minus infinity where there are not so many buckets yet. `weights` are
    the `_sums` of the squares.
    """
    sums = _sums(values)
    if len(values) == 1:
        return _largest_of_one((values[0], sums[0]), (squares[0], weights[0]), lengths, shape, sign, priced=priced)
    out = np.full(values.shape, -np.inf)
    # One length at a time: such arrays stay in the processor's cache.
    for length in lengths:
        count = values.shape[1] - length + 1
        rest = float(shape.rest[length - 1])
        total = _news(sums[:, length:] - sums[:, :count], values[:, :count], rest)
        weight = _news(weights[:, length:] - weights[:, :count], squares[:, :count], rest * rest)
        root = signed_root(total, weight, sign, shape.counts, LEAST)
        if priced:
            root /= shape.spread[length - 1]
        part = out[:, length - 1 :]
        np.maximum(part, root, out=part)
    return out - PRICE if priced else out


def _largest_of_one(
    values: tuple[Floats, Floats],
    squares: tuple[Floats, Floats],
    lengths: list[int],
    shape: Shape,
    sign: float,
    *,
    priced: bool,
) -> Floats:
    """`_largest` of a single window, given with its sums: all lengths at once, as its cost is that of the calls."""
    each, begins, missing = _begins(len(values[0]), tuple(lengths))
    rest = shape.rest[each - 1][:, None]
    total = _news(values[1][1:] - values[1].take(begins), values[0].take(begins), rest)
    weight = _news(squares[1][1:] - squares[1].take(begins), squares[0].take(begins), rest * rest)
    root = signed_root(total, weight, sign, shape.counts, LEAST)
    root[missing] = -np.inf
    if priced:
        root /= shape.spread[each - 1][:, None]
    largest: Floats = root.max(axis=0)[None]
    return largest - PRICE if priced else largest


@lru_cache(maxsize=512)
def _begins(size: int, lengths: tuple[int, ...]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """The lengths, where stretches of such length that end at each of so many looks begin, and which ones cannot."""
    each = np.array(lengths)
    begins = np.arange(1, size + 1) - each[:, None]
    return each, np.maximum(begins, 0), begins < 0


def _news(total: Floats, first: Floats, rest: Floats | float) -> Floats:
    """The sum of a stretch of which the first bucket counts whole, the others by `rest`; in place of `total`."""
    total *= rest
    total += (1 - rest) * first
    return total


def _sums(values: Floats) -> Floats:
    out = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out
