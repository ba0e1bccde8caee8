"""The smallest harm that a window can show: known before the first look, so that nobody waits for what cannot come."""

from __future__ import annotations

import math

import numpy as np

from watcher.detect.fitting import MARGIN, SHARE_OF_MAIN, Judge
from watcher.detect.statistics import CLIP, signed_root
from watcher.model.series import Floats
from watcher.model.service import Harm

POWER = 0.8416  # z of 80 %


def detectable(judge: Judge, w: Floats, harm: Harm, evidence: float) -> float | None:
    """Smallest lasting relative change from the deploy on that is called with 80 % probability within the window.

    Args:
        judge: see `Judge`.
        w: expected sensitivity of the window's buckets, shape (m,).
        harm: the direction; for either, the larger of the two.
        evidence: -ln of the probability at which this signal calls harm.

    A loss of more than everything (above 1) means: not even a total loss would show. None: nothing can be said.
    """
    if not len(w) or float(np.sum(w * w)) < 1e-6:
        return None
    looks = len(w)
    scale = judge.model.scale * judge.local
    here = w / scale
    information = np.cumsum((here * judge.shape.response[:looks]) ** 2)
    evidence += MARGIN
    level = judge.main.level(evidence - math.log(SHARE_OF_MAIN) + math.log(judge.overlap))
    bar = (level + judge.shape.price[:looks]) * judge.shape.spread[:looks]
    found = [_growing(judge, here, information, bar, sign) for sign in _signs(harm)]
    spike = judge.spike.level(evidence - math.log(1 - SHARE_OF_MAIN) + math.log(judge.overlap))
    largest = float(here.max())
    return min(max(found), max(_spike(judge, largest, spike, sign) for sign in _signs(harm)))


def _signs(harm: Harm) -> tuple[float, ...]:
    return {Harm.UP: (1.0,), Harm.DOWN: (-1.0,), Harm.EITHER: (1.0, -1.0)}[harm]


def _growing(judge: Judge, w: Floats, information: Floats, bar: Floats, sign: float) -> float:
    """The least over all looks of the change whose typical (80 %) sum reaches the bar there."""
    reach = np.maximum(information, 1e-12)
    low, high = np.full(len(bar), 1e-5), np.full(len(bar), 1e4)
    for _ in range(20):
        middle = np.sqrt(low * high)
        ok = _root(judge, middle, reach, sign) >= bar
        high, low = np.where(ok, middle, high), np.where(ok, low, middle)
    if not judge.model.noise.counts:
        clipped = high * np.maximum.accumulate(w) > CLIP
        needed = (bar / CLIP) ** 2
        high = np.where(clipped & (np.arange(1, len(bar) + 1) < needed), 1e4, high)
    return float(high.min())


def _root(judge: Judge, change: Floats, information: Floats, sign: float) -> Floats:
    """Deviation that a change reaches with 80 % probability; past a total loss it goes on as if more could be lost."""
    variance = information * (1 + sign * change) if judge.model.noise.counts else information
    total = change * information - POWER * np.sqrt(np.maximum(variance, 0.0))
    bounded = np.minimum(total, information) if sign < 0 and judge.model.noise.counts else total
    root = signed_root(bounded, information, sign, judge.model.noise.counts)
    beyond = np.maximum(change - 1, 0.0) * np.sqrt(information) if sign < 0 and judge.model.noise.counts else 0.0
    return np.asarray(root + beyond, dtype=np.float64)


def _spike(judge: Judge, w: float, bar: float, sign: float) -> float:
    information = np.array([w * w])
    low, high = 1e-5, 1e4
    for _ in range(20):
        middle = math.sqrt(low * high)
        if float(_root(judge, np.array([middle]), information, sign)[0]) >= bar:
            high = middle
        else:
            low = middle
    return high
