"""What the buckets before the deploy say of harm: learned once, when a watch opens; held against the new ones later."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.fitting import Judge, local_noise, signs
from watcher.detect.incidents import Windows
from watcher.detect.modelling import Past
from watcher.detect.statistics import clipped, harmful, pulled, scan, signed_root
from watcher.detect.tail import Growth, fit_tail
from watcher.detect.window import Ints
from watcher.model.series import Floats
from watcher.model.service import Harm

WINDOWS = 4  # before the deploy, in which harm is looked for
MOST = 720  # buckets of them
CERTAIN = float(np.log(100.0))  # -ln of the probability at which a change before the deploy counts as one
LENGTHS = (2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)  # of stretches that end at the deploy
NEAREST = 2  # buckets before the deploy; in a single one anything can happen
KEPT = 0.5  # share of a change that must still be there
UNUSUAL = 0.25  # share of it by which the level must be off the usual


Buckets = tuple[Floats, Floats, Floats]  # innovations, sensitivities and fences


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
        """By the deviations since the deploy and their sensitivities, shape (n,), of the judge that made the claim."""
        return self.sign * (mean_deviation(z, w) - self.base) >= KEPT * abs(self.effect)


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """The buckets before the deploy as one judge sees them, as in `Past`, shape (n,)."""

    eps: Floats
    calm: Floats
    slack: float
    w: Floats
    high: Floats
    claim: Claim | None

    def towards(self, sign: float) -> Buckets:
        """Innovations as far as they are harm of this sign, sensitivities and fences."""
        return harmful(self.eps, self.calm, sign, self.slack), self.w, self.high


def find_before(judge: Judge, past: Past, harm: Harm, looks: int) -> Before:
    """What `past`, the judge's own, shows at its end."""
    size = min(len(past.w), WINDOWS * looks, MOST)
    eps, calm, w = (each[-size:] / judge.local for each in (past.eps, past.calm, past.w))
    before = Before(eps, calm, past.slack / judge.local, w, past.high[-size:], None)
    sign = _significant(judge, past, harm, looks)
    return before if sign is None else replace(before, claim=_claim(judge, before, past, sign))


def _significant(judge: Judge, past: Past, harm: Harm, looks: int) -> float | None:
    """The direction of what the history's end shows, if that is more than chance: by two tests, half of it each."""
    directions = signs(harm)
    found = [
        (evidence, sign)
        for sign in directions
        for evidence in (_under_way(judge, past, sign, looks), _windows(judge, past, sign, looks))
    ]
    evidence, sign = max(found, default=(0.0, 0.0))
    return sign if evidence >= CERTAIN + np.log(len(found)) else None


def _under_way(judge: Judge, past: Past, sign: float, looks: int) -> float:
    """Evidence (-ln p) that some stretch that ends at the deploy is unlike those that end elsewhere in the history."""
    size = len(past.w)
    reach = min(WINDOWS * looks, MOST, size // 3)
    lengths = [length for length in LENGTHS if length <= reach]
    if not lengths:
        return 0.0
    # What is under way now is no example of what is usual, if there is enough besides.
    newest = size - min(WINDOWS * looks, size // 3)
    ends = np.arange(newest, lengths[-1] - 1, -max(looks // 3, 1))[::-1]
    standing = _standing(judge, past, sign, lengths, np.append(ends, size))
    longest = lengths[-1]
    begins, here = ends - longest, size - longest
    local = past.local[begins] + here - past.local[here]
    windows = Windows(begins, local, longest, (newest - longest) / looks, past.day, here)
    # Whether it began before the deploy does not depend on how often such things come.
    tail = replace(fit_tail(standing[None, :-1], windows, Growth.SQUARE), incidents=None)
    return tail.evidence_of_one(float(standing[-1]))


def _windows(judge: Judge, past: Past, sign: float, looks: int) -> float:
    """Evidence (-ln p) of the windows that end at the deploy, each judged as if a deploy had begun there.

    For what lasts: older harm is seen only here, where the forecast has followed it since.
    """
    backs = min(len(past.w) // max(looks, 1), WINDOWS)
    starts = len(past.w) - looks * np.arange(1, backs + 1)
    if not backs:
        return 0.0
    places = starts[:, None] + np.arange(looks)
    local = local_noise(past, starts)[:, None]
    eps = harmful(past.eps[places] / local, past.calm[places] / local, sign, past.slack / local)
    result = scan(eps, past.w[places] / local, past.high[places], judge.shape, sign)
    return float(judge.lasting.evidence(result.lasting.max(axis=1)).max()) - float(np.log(backs))


def _standing(judge: Judge, past: Past, sign: float, lengths: list[int], ends: Ints) -> Floats:
    """The largest deviation, in s.d., of the last `lengths` buckets before each of `ends`; shape (len(ends),)."""
    local = local_noise(past, ends)
    eps = sign * past.w * clipped(harmful(past.eps, past.calm, sign, past.slack), past.high)
    total, weight = (np.concatenate([[0.0], np.cumsum(each)]) for each in (eps, past.w * past.w))
    out = np.full(len(ends), -np.inf)
    for length in lengths:
        part, information = total[ends] - total[ends - length], weight[ends] - weight[ends - length]
        root = signed_root(part / local**2, information / local**2, sign, judge.shape.counts)
        np.maximum(out, root / judge.shape.spread[min(length, len(judge.shape.spread)) - 1], out=out)
    return out


def _claim(judge: Judge, before: Before, past: Past, sign: float) -> Claim | None:
    nothing = np.empty(0)
    gain = shift_gain(judge, before, (nothing, nothing, nothing), sign)[: -NEAREST + 1]
    if not len(gain) or gain.max() <= 0:
        return None
    onset = len(past.w) - len(before.w) + int(np.argmax(gain))
    size = len(past.w) - onset
    earlier = slice(max(onset - max(size, 10), 0), onset)
    base = mean_deviation(past.z[earlier], past.weight[earlier])
    effect = mean_deviation(past.z[onset:], past.weight[onset:]) - base
    latest = onset + np.flatnonzero(past.weight[onset:] > 0)[-8:]
    newest = mean_deviation(past.z[latest], past.weight[latest])
    # The end of a burst is no harm: what there is must be off the usual too, which may have learned of it.
    if sign * effect <= 0 or sign * (newest - base) < KEPT * sign * effect or sign * newest < UNUSUAL * sign * effect:
        return None
    return Claim(sign, -size, effect, base)


def mean_deviation(z: Floats, w: Floats) -> float:
    """Weighted mean relative deviation; 0 of nothing."""
    weight = float(w @ w)
    return float(w @ z) / weight if weight > 0 else 0.0


def shift_gain(judge: Judge, before: Before, seen: Buckets, sign: float, *, sized: bool = False) -> Floats:
    """Log likelihood ratio of a lasting shift that begins with each bucket, against none.

    Over the buckets before the deploy and those `seen` since, shape (n,). The forecast follows a shift as its response
    says, or not at all: there are limits to what it believes. Clipped, no single bucket proves anything; `sized`, a
    large one says by its size where the change was.
    """
    eps, w, high = (np.concatenate(pair) for pair in zip(before.towards(sign), seen, strict=True))
    eps = pulled(eps, high) if sized else clipped(eps, high)
    response = judge.model.forecast.response(len(w))
    followed = _ahead(eps * w, response), _ahead(w * w, response * response)
    ignored = np.cumsum((eps * w)[::-1])[::-1], np.cumsum((w * w)[::-1])[::-1]
    roots = [signed_root(sign * total, weight, sign, judge.shape.counts) for total, weight in (followed, ignored)]
    return np.asarray(np.maximum(np.maximum(*roots), 0.0) ** 2 / 2, dtype=np.float64)


def _ahead(values: Floats, response: Floats) -> Floats:
    """Sum of each bucket and what follows, weighted by the response since it; shape as `values`."""
    return np.asarray(np.convolve(values[::-1], response)[: len(values)][::-1], dtype=np.float64)
