"""Whether harm was already under way when the deploy began: a tested claim about the buckets before it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.fitting import Judge, Past, local_noise, signs
from watcher.detect.forecast import relative
from watcher.detect.statistics import scan
from watcher.model.series import Floats
from watcher.model.service import Harm

CERTAIN = float(np.log(300.0))  # -ln of the probability at which a change before the deploy counts as one
KEPT = 0.5  # share of it that must still be there


@dataclass(frozen=True, slots=True)
class Before:
    """A harmful change before the deploy that had not gone by then.

    Attributes:
        sign: +1 up, -1 down.
        onset: bucket in which it began.
        effect: relative change against the buckets before `onset`.
        level: median relative deviation from the profile just before the deploy.
    """

    sign: float
    onset: int
    effect: float
    level: float


def find_before(judge: Judge, past: Past, harm: Harm, looks: int) -> Before | None:
    """Judges the one and the two windows that end at the deploy as if a deploy had begun with each."""
    best: tuple[float, float, int] | None = None
    for back in (1, 2):
        start = len(past.w) - back * looks
        if start < 0:
            break
        stop = start + looks
        local = float(local_noise(past, np.array([start]))[0])
        eps, w = past.eps[None, start:stop] / local, past.w[None, start:stop] / local
        for sign in signs(harm):
            result = scan(eps, w, past.high[None, start:stop], judge.shape, sign)
            evidence = float(judge.evidence(result.main.max(axis=1), result.spike.max(axis=1))[0])
            if evidence >= CERTAIN and (best is None or evidence > best[0]):
                best = evidence, sign, start
    if best is None:
        return None
    _, sign, start = best
    deviation = relative(past.z, past.weight)
    onset = start + _step(sign * deviation[start:])
    return _still(deviation, past, sign, onset)


def _step(values: Floats) -> int:
    """Where the mean of what follows differs most from the mean of what went before."""
    count = len(values)
    if count < 3:
        return 0
    sums = np.cumsum(values)
    left = np.arange(1, count)
    gap = (sums[-1] - sums[:-1]) / (count - left) - sums[:-1] / left
    return int(np.argmax(gap * np.sqrt(left * (count - left)))) + 1


def _still(deviation: Floats, past: Past, sign: float, onset: int) -> Before | None:
    earlier = deviation[max(onset - max(len(deviation) - onset, 10), 0) : onset]
    base = float(np.median(earlier)) if len(earlier) else 0.0
    effect = sign * (float(np.median(deviation[onset:])) - base)
    level = float(np.median(deviation[-min(8, len(deviation) - onset) :]))
    if effect <= 0 or sign * (level - base) < KEPT * effect:
        return None
    return Before(sign, past.first + onset, sign * effect, level)
