"""Whether harm is older than the deploy: a tested claim, and all that may acquit a deploy of harm it arrived with.

The likelihood of a shift that began before the deploy is held against that of one that began with it or later. If the
second is true, the first over the second is a likelihood ratio that walks back in time, and the chance that it ever
reaches c nats is at most exp(-c) (Ville's inequality): at most one deploy in a hundred that did it goes free.
"""

from __future__ import annotations

import math

import numpy as np

from watcher.detect.before import CERTAIN, KEPT, NEAREST, Before, Buckets, shift_gain
from watcher.detect.fitting import Judge
from watcher.detect.judging import Seen, deviations
from watcher.detect.noise import Scale
from watcher.detect.onset import Onset, locate
from watcher.detect.opinion import LN10, Opinion, Subject
from watcher.detect.statistics import TINY, clipped, scan
from watcher.detect.window import Ints
from watcher.kit.text import percent
from watcher.model.series import Floats

OVERSHOOT = 1.0  # nats by which the walk passes a bound when it does
GROWING = {Scale.EVENTS, Scale.SHARE, Scale.RELATIVE}  # scales on which noise grows with the level
FRESH = (13, 34, 89)  # buckets before the deploy that its level is read from
DOUBT = 2.0  # s.e. by which the harm before the deploy may be larger than seen


def onset_of(subject: Subject, opinion: Opinion, *, grown: bool) -> Onset | None:
    """When the harm began, in buckets since the deploy (negative: before it); what has `grown`, since the deploy."""
    before, verdict = _before(subject, opinion), opinion.verdict
    gain = shift_gain(opinion.judge, before, verdict.until_surest, verdict.sign, sized=True)
    deploy = len(before.w)
    if grown:
        gain[:deploy] = -np.inf
    found = locate(gain, deploy)
    return None if found is None else Onset(found.at - deploy, found.low - deploy, found.high - deploy)


def older(subject: Subject, opinion: Opinion, seen: Seen, suspect: float) -> tuple[float, str] | None:
    """If the deploy arrived with harm: the evidence (-log10) that it has grown since, and a clause on what there was.

    `suspect` is the evidence (-log10) from which on the harm seen since the deploy counts.
    """
    judge, verdict, before = opinion.judge, opinion.verdict, _before(subject, opinion)
    claim = before.claim
    least = subject.calibrated.side.least(subject.signal)
    if claim is not None and abs(claim.effect) < least:
        claim = None
    if opinion.evidence / LN10 < suspect:
        if claim is None or not claim.is_still_there(*deviations(judge, subject.calibrated.axis, seen.grid)[:2]):
            return None
        return 0.0, f"a {_told(subject, claim.effect)} was under way before the deploy"
    onsets = [claim.onset] if claim is not None and claim.sign == verdict.sign else []
    gain = shift_gain(judge, before, verdict.until_surest, verdict.sign)
    proved = _proved(judge, before, gain, verdict.until_surest, verdict.sign)
    if proved is not None:
        onsets.append(proved)
    elif _is_new(judge, before, gain):
        return None
    if not onsets:
        return None
    since = verdict.eps, verdict.w, verdict.high
    grown = min(_grown(judge, before, onset, since, verdict.sign, least) for onset in onsets)
    return grown / LN10, f"it began about {-min(onsets)} buckets before the deploy"


def _told(subject: Subject, relative: float) -> str:
    """A relative change of what is judged: `rise of 12 %`, `fall of 0.3 %`."""
    change = subject.calibrated.side.change(relative)
    return f"{'rise' if change > 0 else 'fall'} of {percent(abs(change))}"


def _before(subject: Subject, opinion: Opinion) -> Before:
    return subject.calibrated.before[subject.calibrated.judges.index(opinion.judge)]


def _is_new(judge: Judge, before: Before, gain: Floats) -> bool:
    """Whether an onset since the deploy is likelier than all before it beyond doubt, whatever else there was."""
    deploy = len(before.w)
    lead = gain[deploy:].max(initial=0.0) - gain[: max(deploy - NEAREST + 1, 0)].max(initial=0.0)
    return bool(lead >= CERTAIN * max(float(judge.shape.spread[-1]), 1.0) ** 2)


def _proved(judge: Judge, before: Before, gain: Floats, seen: Buckets, sign: float) -> int | None:
    """The likeliest onset before the deploy, if it is likelier than all since beyond doubt; counted from the deploy."""
    deploy = len(before.w)
    if deploy < NEAREST or len(gain) <= deploy:
        return None
    ago = np.arange(deploy, NEAREST - 1, -1)
    spread = np.maximum(judge.shape.spread[np.minimum(ago, len(judge.shape.spread)) - 1], 1.0)
    lead = np.minimum(gain[: len(ago)] - gain[deploy:].max(), _alone(judge, before, seen, sign, ago)) / spread**2
    best = int(np.argmax(lead))
    return best - deploy if lead[best] >= CERTAIN - OVERSHOOT else None


def _alone(judge: Judge, before: Before, seen: Buckets, sign: float, ago: Ints) -> Floats:
    """Log likelihood ratio of the harm, at the size seen, in the last `ago` buckets before the deploy alone.

    The size is that of all buckets since, but no less than what those after the deploy leave room for. Where the later
    half of the buckets before does not show it, the ratio is minus infinity: wild ones that had passed are no harm
    that lasts.
    """
    sums = [np.cumsum(each[::-1]) for each in _evidence(before.towards(sign), sign)]
    total, weight = (each[ago - 1] for each in sums)
    late, late_weight = (each[(ago + 1) // 2 - 1] for each in sums)
    since, since_weight = (float(each.sum()) for each in _evidence(seen, sign))
    least = (since - DOUBT * math.sqrt(since_weight)) / max(since_weight, TINY)
    size = np.maximum((total + since) / np.maximum(weight + since_weight, TINY), least)
    if judge.shape.counts:
        # Of an equivalent Poisson count, as in `signed_root`.
        factor = np.maximum(1 + sign * size, TINY)
        ratio = (weight + sign * total) * np.log(factor) - weight * (factor - 1)
    else:
        ratio = total * size - weight * size * size / 2
    lasted = late >= KEPT * size * late_weight - np.sqrt(late_weight)
    return np.where(lasted & (size > 0), ratio, -np.inf)


def _evidence(buckets: Buckets, sign: float) -> tuple[Floats, Floats]:
    eps, w, high = buckets
    return sign * clipped(eps, high) * w, w * w


def _grown(judge: Judge, before: Before, onset: int, since: Buckets, sign: float, least: float) -> float:
    """Evidence (-ln p) of more harm since the deploy than what began with bucket `onset` (negative) accounts for.

    `least` is the relative harm that does not count.
    """
    eps, w, high = since
    size = _harm_before(judge, before, onset, sign) + least
    wider = _wider(judge, w, size) if sign > 0 and judge.model.noise.scale in GROWING else 1.0
    rest, w = np.where(w > 0, (eps - sign * size * w) / wider, 0.0), w / wider
    result = scan(rest[None], w[None], high[None], judge.shape, sign)
    return max(judge.parts(float(result.lasting.max()), float(result.violent.max()), 0.0))


def _wider(judge: Judge, w: Floats, size: float) -> float:
    """By how much more a signal scatters that has grown by `size`, relative: single events by the square root."""
    noise, known = judge.model.noise, w > 0
    if noise.event <= 0 or not known.any():
        return 1 + size
    together = noise.c2 * (float(np.median(w[known])) * judge.model.scale * judge.local) ** 2
    share = min(max(together, 0.0), 1.0)
    return math.sqrt((1 - share) * (1 + size) + share * (1 + size) ** 2)


def _harm_before(judge: Judge, before: Before, onset: int, sign: float) -> float:
    """As large as the harm may have been just before the deploy, relative, as far as it was news; never negative."""
    sizes = [0.0]
    for length in (-onset, *(each for each in FRESH if each < -onset)):
        eps, w = before.eps[-length:], before.w[-length:]
        known = w > 0
        if not known.any():
            continue
        # Mean of what is within reach of the median: neither one wild bucket nor a hundred large ones mislead it.
        middle = float(np.median(eps[known] / w[known]))
        information = float(w @ w)
        rest = clipped(eps - w * middle, before.high[-length:])
        size = middle + float(rest @ w) / information
        spread = max(float(judge.shape.spread[min(length, len(judge.shape.spread)) - 1]), 1.0)
        # The largest of several lies on the safe side by itself.
        doubt = DOUBT if length == -onset else 0.0
        sizes.append(sign * size + doubt * spread / float(np.sqrt(information)))
    return max(sizes)
