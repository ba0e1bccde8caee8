"""The scan: at each look, how unlike the expected the buckets since the deploy are, over all stretches at once.

Stretches that begin at the deploy come first; shorter ones, for harm that begins later, pay a fixed price. There are
two statistics. In the lasting one no bucket counts for more than its fence (3 s.d., of counts a few events more): it
sees what stays. In the violent one a bucket says more the farther off it is: it sees what is short and large, over one
to three buckets or since the deploy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from watcher.detect.window import Ints
from watcher.model.series import Floats

STRETCHES = (5, 10, 20, 40, 80, 160)  # of the lasting statistic; shorter ones are the violent one's
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
        pulls: whether a bucket far beyond the fence counts by its logarithm in the violent statistic; else as it is.
    """

    response: Floats
    rest: Floats
    spread: Floats
    price: Floats
    counts: bool
    pulls: bool

    def violent(self, eps: Floats, high: Floats | float) -> Floats:
        """Innovations as far as they count in the violent statistic; `high` is their upper fence."""
        return pulled(eps, high) if self.pulls else eps


def shape_of(
    response: Floats, inflation: tuple[float, float], counts: bool, pulls: bool = True, least: float = 0.0
) -> Shape:
    """`inflation` is `a, b` of the spread `exp(a + b ln L)`, which is `least` at least."""
    looks = np.arange(1, len(response) + 1)
    rest = np.ones(len(response))
    rest[1:] = np.cumsum(response[1:]) / looks[:-1]
    # Short stretches pay more: the boundary falls slowly as more is known. That is not the share of looks: where the
    # forecast soon follows a change, most of what there is to know of one since the deploy is known at once.
    known = np.cumsum(response * response)
    price = LEVEL * ((known / known[-1]) ** (SHAPE - 0.5) - 1)
    spread = np.maximum(np.exp(inflation[0] + inflation[1] * np.log(looks)), least)
    return Shape(response, rest, spread, price, counts, pulls)


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
    """The largest deviation at each look by either statistic, priced, shape (windows, looks)."""

    lasting: Floats
    violent: Floats


def scan(eps: Floats, w: Floats, high: Floats, shape: Shape, sign: float) -> Scan:
    """Scans windows of buckets, of which the arrays may hold only the first looks.

    Args:
        eps: innovations in s.d., 0 where missing, shape (windows, n).
        w: s.d. that a relative harm of 1 is, 0 where missing, same shape.
        high: upper fence of `eps`, broadcastable.
        shape: see `Shape`.
        sign: +1 if harm is up, -1 if it is down.
    """
    if len(eps) == 1:
        return _scan_one(eps[0], w[0], high[0], shape, sign)
    width = eps.shape[1]
    harm, squares = sign * w, w * w
    weights = _sums(squares)

    information = informing(squares, shape.response[:width])

    def largest(values: Floats, lengths: list[int]) -> Floats:
        since = growing(values, information, shape, sign, LEAST) / shape.spread[:width] - shape.price[:width]
        return np.maximum(since, _largest(values, squares, weights, lengths, shape, sign) - PRICE, out=since)

    return Scan(
        largest(harm * clipped(eps, high), _lasting(width, len(shape.response))),
        largest(harm * shape.violent(eps, high), _violent(width)),
    )


def _lasting(width: int, looks: int) -> list[int]:
    return [length for length in STRETCHES if length <= width and length < looks]


def _violent(width: int) -> list[int]:
    return [length for length in SPIKES if length <= width]


def harmful(eps: Floats, calm: Floats, sign: float, slack: Floats | float) -> Floats:
    """Innovations, of which harm counts as far as the calm level shows it too: the end of a burst is no loss.

    `calm` are deviations from that level and `slack` how far it may be off, in s.d.; shape as `eps`.
    """
    off = sign * eps
    return np.asarray(sign * np.where(off > 0, np.minimum(off, np.maximum(sign * calm + slack, 0.0)), off))


def clipped(eps: Floats, high: Floats | float) -> Floats:
    """Innovations within the fences."""
    return np.minimum(np.maximum(eps, -CLIP), high)


def pulled(eps: Floats, high: Floats | float) -> Floats:
    """Innovations beyond the fences count by their logarithm: of two far off the farther says a little more."""
    inside = clipped(eps, high)
    far = (inside != eps).ravel().nonzero()[0]
    if len(far):
        fence = inside.ravel()[far]
        inside.ravel()[far] = fence * (1 + np.log(eps.ravel()[far] / fence))
    return np.asarray(inside, dtype=np.float64)


def informing(squares: Floats, response: Floats) -> Floats:
    """The information of the stretch from the deploy to each look, in s.d. squared; shape as `squares`."""
    return np.asarray(np.cumsum(squares * (response * response), axis=1))


def growing(weighted: Floats, information: Floats, shape: Shape, sign: float, least: float = -math.inf) -> Floats:
    """The deviation of the stretch from the deploy to each look, neither inflated nor priced; shape as `weighted`.

    `information` is that of `informing`.
    """
    total = np.cumsum(weighted * shape.response[: weighted.shape[1]], axis=1)
    return signed_root(total, information, sign, shape.counts, least)


def _largest(values: Floats, squares: Floats, weights: Floats, lengths: list[int], shape: Shape, sign: float) -> Floats:
    """The largest deviation of a stretch of one of the `lengths` at each look.

    Harm is taken to have begun with the stretch's first bucket: all of it is news there, and later on the response's
    mean; exact for white and first-order noise. Minus infinity where there are not so many buckets yet. `weights` are
    the `_sums` of the squares.
    """
    sums = _sums(values)
    out = np.full(values.shape, -np.inf)
    # One length at a time: such arrays stay in the processor's cache.
    for length in lengths:
        count = values.shape[1] - length + 1
        rest = float(shape.rest[length - 1])
        total = _news(sums[:, length:] - sums[:, :count], values[:, :count], rest)
        weight = _news(weights[:, length:] - weights[:, :count], squares[:, :count], rest * rest)
        root = signed_root(total, weight, sign, shape.counts, LEAST)
        root /= shape.spread[length - 1]
        part = out[:, length - 1 :]
        np.maximum(part, root, out=part)
    return out


def _scan_one(eps: Floats, w: Floats, high: Floats, shape: Shape, sign: float) -> Scan:
    """`scan` of a single window, shape (n,): all stretches at once, as what it costs is the number of calls."""
    width = len(eps)
    at = _stretches(width, len(shape.response))
    values, sums = np.empty((3, width)), np.zeros((3, width + 1))
    harm = sign * w
    np.multiply(harm, clipped(eps, high), out=values[0])
    np.multiply(harm, shape.violent(eps, high), out=values[1])
    np.multiply(w, w, out=values[2])
    values.cumsum(axis=1, out=sums[:, 1:])
    response, rest = shape.response[:width], shape.rest.take(at.last)
    squares = values[2]
    total, weight = np.empty((len(rest) + 2, width)), np.empty((len(rest) + 2, width))
    _news(np.subtract(sums.take(at.ends), sums.take(at.begins), out=total[:-2]), values.take(at.firsts), rest)
    _news(np.subtract(sums[2, 1:], sums[2].take(at.old), out=weight[:-2]), squares.take(at.old), rest * rest)
    # The last rows are the stretch from the deploy.
    (values[:2] * response).cumsum(axis=1, out=total[-2:])
    weight[-2:] = (squares * (response * response)).cumsum()
    root = signed_root(total, weight, sign, shape.counts, LEAST)
    since = root[-2:] / shape.spread[:width] - shape.price[:width]
    parts = root[:-2] / shape.spread.take(at.last)
    parts[at.missing] = -np.inf
    for row, part in zip(since, (parts[: at.lasting], parts[at.lasting :]), strict=True):
        np.maximum(row, part.max(axis=0, initial=-np.inf) - PRICE, out=row)
    return Scan(since[:1], since[1:])


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """Where the stretches of a window lie that end at each of its looks: the lasting statistic's first.

    Attributes:
        lasting: how many of the rows are the lasting statistic's.
        last: their last buckets' places, counted from their first, shape (rows, 1).
        ends, begins, firsts: places in the sums and values of `_scan_one`, all rows of them, shape (rows, n).
        old: the bucket with which each stretch begins, shape (rows, n); `missing` where that is before the deploy.
    """

    lasting: int
    last: Ints
    ends: Ints
    begins: Ints
    firsts: Ints
    old: Ints
    missing: NDArray[np.bool_]


@lru_cache(maxsize=128)
def _stretches(width: int, looks: int) -> _Stretches:
    lasting = _lasting(width, looks)
    lengths = np.array([*lasting, *_violent(width)], dtype=np.int64)[:, None]
    # Lasting stretches are sums of the first of the three rows of values, violent ones of the second.
    row = (np.arange(len(lengths)) >= len(lasting))[:, None].astype(np.int64)
    ends = np.arange(1, width + 1)
    missing = ends < lengths
    old = np.maximum(ends - lengths, 0)
    of_sums = row * (width + 1)
    return _Stretches(len(lasting), lengths - 1, of_sums + ends, of_sums + old, row * width + old, old, missing)


def _news(total: Floats, first: Floats, rest: Floats | float) -> Floats:
    """The sum of a stretch of which the first bucket counts whole, the others by `rest`; in place of `total`."""
    total *= rest
    total += (1 - rest) * first
    return total


def _sums(values: Floats) -> Floats:
    out = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out
