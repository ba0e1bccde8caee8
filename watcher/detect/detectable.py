"""The smallest harm that a window can show: known before the first look, so that nobody waits for what cannot come."""

from __future__ import annotations

import math

import numpy as np

from watcher.detect.fitting import LASTING, MARGIN, VIOLENT, Judge, signs, to_come
from watcher.detect.modelling import upper_fence
from watcher.detect.statistics import CLIP, PRICE, TINY, clipped, signed_root
from watcher.model.series import Floats
from watcher.model.service import Harm

POWER = 0.8416  # z of 80 %
FEWEST_EVENTS = 3  # more than expected: one or two are nobody's harm
FEWEST_SHOWN = 4.3  # more by the law, of which 80 % (Poisson) come to FEWEST_EVENTS
HALF = 0.5  # s.e. by which a measured change must pass what counts as harm


def smallest(
    judge: Judge, looks: int, total: float, harm: Harm, evidence: float, min_effect: float
) -> tuple[float | None, float | None]:
    """The smallest harm that the window shows: relative (`detectable`); where events are counted and more of them are
    harm, also as so many more.

    Args:
        judge: see `Judge`.
        looks: buckets of the window.
        total: their usual denominator.
        harm: as in `detectable`.
        evidence: as in `detectable`.
        min_effect: its `least`.
    """
    noise = judge.model.noise
    w, sd = to_come(judge.model, judge.path, looks, total)
    least = detectable(judge, w, upper_fence(noise, sd, CLIP), harm, evidence, min_effect)
    if least is None or harm is not Harm.UP or noise.single <= 0:
        return least, None
    expected = float(w @ sd) / noise.single
    least = max(least, FEWEST_SHOWN / expected)
    return least, least * expected


def detectable(judge: Judge, w: Floats, high: Floats, harm: Harm, evidence: float, least: float = 0.0) -> float | None:
    """Smallest lasting relative change from the deploy on that is called with 80 % probability within the window.

    Args:
        judge: see `Judge`.
        w: expected sensitivity of the window's buckets, shape (m,).
        high: their upper fences, s.d. of the noise, shape (m,).
        harm: the direction; for either, the larger of the two.
        evidence: -ln of the probability at which this signal calls harm.
        least: relative change that must be passed, by half a standard error, for it to be called harm.

    A loss of more than everything (above 1) means: not even a total loss would show. None: nothing can be said.
    """
    if not len(w) or float(np.sum(w * w)) < 1e-6:
        return None
    looks = len(w)
    scale = judge.model.scale * judge.local
    here = w / scale / np.sqrt(1 + judge.adrift(np.zeros(looks, dtype=np.bool_)))
    information = np.cumsum((here * judge.shape.response[:looks]) ** 2)
    evidence += MARGIN + math.log(judge.overlap)
    stays, large = judge.lasting.level(evidence - LASTING), judge.violent.level(evidence - VIOLENT)
    price, spread = judge.shape.price[:looks], judge.shape.spread[:looks]
    bars = (stays + price) * spread, (large + price) * spread, (large + PRICE) * spread[0]
    found = [_least(judge, here, high / judge.model.scale, information, bars, sign) for sign in signs(harm)]
    surest = min(max(lasting for lasting, _ in found), max(short for _, short in found))
    return max(surest, least + _doubt(judge, here)) if least > 0 else surest


def _doubt(judge: Judge, w: Floats) -> float:
    """By how much a change must pass a bound to be measured past it by HALF a standard error, in 80 % of cases."""
    path = judge.path.part(len(w))
    known = w > 0
    counts = np.maximum(np.cumsum(known), 1)
    # Of the sum of the first buckets, each as certain as it is sensitive; its error is relative to their number.
    errors = np.sqrt(np.cumsum(np.where(known, 1 / np.maximum(w, 1e-12), 0.0) ** 2)) / counts
    return (HALF + POWER) * float((errors * path.sum * np.maximum(judge.shape.spread[: len(w)], 1.0)).min())


def _least(
    judge: Judge, w: Floats, high: Floats, information: Floats, bars: tuple[Floats, Floats, float], sign: float
) -> tuple[float, float]:
    """The least change whose typical (80 %) sum reaches the bar of either statistic at some look, or in one bucket.

    The first is of a change that lasts, the second of one that one bucket shows.
    """
    looks, busiest = len(w), int(w.argmax())
    reach = np.concatenate([information, information, [float(w[busiest]) ** 2]]).clip(1e-12)
    bar = np.concatenate([bars[0], bars[1], [bars[2]]])
    largest = np.maximum(np.maximum.accumulate(w), TINY)
    largest = np.concatenate([largest, largest, largest[-1:]])
    fence = np.concatenate([high, high, high[busiest : busiest + 1]]) if sign > 0 else np.full(len(bar), CLIP)
    low, top = np.full(len(bar), 1e-5), np.full(len(bar), 1e4)
    for _ in range(16):  # to a part in three thousand
        middle = np.sqrt(low * top)
        sizes = middle * largest  # of which each statistic counts less the larger they are
        sizes[:looks] = clipped(sizes[:looks], fence[:looks])
        sizes[looks:] = judge.shape.violent(sizes[looks:], fence[looks:])
        ok = _root(judge, middle, sizes / largest, reach, sign) >= bar
        top, low = np.where(ok, middle, top), np.where(ok, low, middle)
    return float(top[:-1].min()), float(top[-1])


def _root(judge: Judge, change: Floats, counted: Floats, information: Floats, sign: float) -> Floats:
    """Deviation that a change reaches with 80 % probability, as far as it is `counted`; past a total loss it goes on as
    if more could be lost.
    """
    variance = information * (1 + sign * counted) if judge.model.noise.counts else information
    total = counted * information - POWER * np.sqrt(np.maximum(variance, 0.0))
    bounded = np.minimum(total, information) if sign < 0 and judge.model.noise.counts else total
    root = signed_root(bounded, information, sign, judge.model.noise.counts)
    beyond = np.maximum(change - 1, 0.0) * np.sqrt(information) if sign < 0 and judge.model.noise.counts else 0.0
    return np.asarray(root + beyond, dtype=np.float64)
