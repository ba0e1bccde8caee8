"""What the buckets before the deploy say of harm: learned once, when a watch opens; held against the new ones later."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.fitting import Judge, Past, local_noise, signs
from watcher.detect.statistics import CLIP, pulled, scan, signed_root
from watcher.model.series import Floats
from watcher.model.service import Harm

WINDOWS = 4  # before the deploy, in which harm is looked for
MOST = 720  # buckets of them
CERTAIN = float(np.log(100.0))  # -ln of the probability at which a change before the deploy counts as one
NEAREST = 2  # buckets before the deploy; in a single one anything can happen
KEPT = 0.5  # share of a change that must still be there


@dataclass(frozen=True, slots=True)
class Claim:
    """A harmful change before the deploy that had not gone by then.

    Attributes:
        sign: +1 up, -1 down.
        onset: bucket in which it began, counted from the deploy: negative.
        effect: relative change against the buckets before `onset`.
        base: mean relative deviation from the profile before `onset`.
    """

    sign: float
    onset: int
    effect: float
    base: float

    def is_still_there(self, z: Floats, w: Floats) -> bool:
        """By the deviations since the deploy, shape (n,), of the judge that made the claim."""
        return self.sign * (level_of(z, w) - self.base) >= KEPT * abs(self.effect)


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """The buckets before the deploy as one judge sees them: innovations, sensitivities and fences, shape (n,)."""

    eps: Floats
    w: Floats
    high: Floats
    claim: Claim | None


Buckets = tuple[Floats, Floats, Floats]  # as the arrays of `Before`, since the deploy


def find_before(judge: Judge, past: Past, harm: Harm, looks: int) -> Before:
    """The windows that end at the deploy, judged as if a deploy had begun with each; `past` is the judge's own."""
    size = min(len(past.w), WINDOWS * looks, MOST)
    eps, w, high = past.eps[-size:] / judge.local, past.w[-size:] / judge.local, past.high[-size:]
    before = Before(eps, w, high, None)
    sign = _significant(judge, past, harm, looks)
    return before if sign is None else replace(before, claim=_claim(judge, before, past, sign))


def _significant(judge: Judge, past: Past, harm: Harm, looks: int) -> float | None:
    """The direction of what these windows show, if it is more than chance."""
    best: tuple[float, float] | None = None
    backs = [back for back in range(1, WINDOWS + 1) if len(past.w) >= back * looks]
    for back in backs:
        start = len(past.w) - back * looks
        stop = start + looks
        local = float(local_noise(past, np.array([start]))[0])
        eps, w = past.eps[None, start:stop] / local, past.w[None, start:stop] / local
        for sign in signs(harm):
            result = scan(eps, w, past.high[None, start:stop], judge.shape, sign)
            evidence = float(judge.evidence(result.main.max(axis=1), result.spike.max(axis=1))[0])
            if evidence >= CERTAIN + np.log(len(backs)) and (best is None or evidence > best[0]):
                best = evidence, sign
    return None if best is None else best[1]


def _claim(judge: Judge, before: Before, past: Past, sign: float) -> Claim | None:
    nothing = np.empty(0)
    gain = shift_gain(judge, before, (nothing, nothing, nothing), sign)[: -NEAREST + 1]
    if not len(gain) or gain.max() <= 0:
        return None
    onset = len(past.w) - len(before.w) + int(np.argmax(gain))
    size = len(past.w) - onset
    earlier = slice(max(onset - max(size, 10), 0), onset)
    base = level_of(past.z[earlier], past.weight[earlier])
    effect = level_of(past.z[onset:], past.weight[onset:]) - base
    newest = level_of(past.z[-min(8, size) :], past.weight[-min(8, size) :]) - base
    if sign * effect <= 0 or sign * newest < KEPT * sign * effect:
        return None
    return Claim(sign, -size, effect, base)


def level_of(z: Floats, w: Floats) -> float:
    """Weighted mean relative deviation; 0 of nothing."""
    weight = float(w @ w)
    return float(w @ z) / weight if weight > 0 else 0.0


def shift_gain(judge: Judge, before: Before, seen: Buckets, sign: float, *, clipped: bool = True) -> Floats:
    """Log likelihood ratio of a lasting shift that begins with each bucket, against none.

    Over the buckets before the deploy and those `seen` since, shape (n,). Clipped, no single bucket proves anything;
    else a large one says by its size where the change was.
    """
    eps, w, high = (np.concatenate(pair) for pair in zip((before.eps, before.w, before.high), seen, strict=True))
    eps = np.clip(eps, -CLIP, high) if clipped else pulled(eps, high)
    response = judge.model.forecast.response(len(w))
    total, information = _ahead(eps * w, response), _ahead(w * w, response * response)
    root = signed_root(sign * total, information, sign, judge.shape.counts)
    return np.asarray(np.maximum(root, 0.0) ** 2 / 2, dtype=np.float64)


def _ahead(values: Floats, response: Floats) -> Floats:
    """Sum of each bucket and what follows, weighted by the response since it; shape as `values`."""
    return np.asarray(np.convolve(values[::-1], response)[: len(values)][::-1], dtype=np.float64)
