"""Whether harm is older than the deploy: a tested claim, and all that may acquit a deploy of harm it arrived with.

The likelihood of a shift that began before the deploy is held against that of one that began with it or later. If the
second is true, the first over the second is a likelihood ratio that walks back in time, and the chance that it ever
reaches c nats is at most exp(-c) (Ville's inequality): at most one deploy in a hundred that did it goes free.
"""

from __future__ import annotations

import numpy as np

from watcher.detect.before import CERTAIN, NEAREST, Before, Buckets, level_of, shift_gain
from watcher.detect.fitting import Judge
from watcher.detect.forecast import REACH
from watcher.detect.judging import Seen, deviations
from watcher.detect.onset import Onset, locate
from watcher.detect.opinion import LN10, Opinion, Subject
from watcher.detect.statistics import CLIP, scan
from watcher.model.series import Floats

OVERSHOOT = 1.0  # nats by which the walk passes a bound when it does
FRESH = (8, 13, 21, 34, 55, 89, 144)  # buckets before the deploy that its level is read from
NEAR, LATEST = 8, 20  # buckets just before the deploy, and the newest since
SURE = 4.0  # s.e. by which a level must have left another
DOUBT = 2.0  # s.e. by which the harm before the deploy may be larger than seen


def onset_of(subject: Subject, opinion: Opinion) -> Onset | None:
    """When the harm began, in buckets since the deploy (negative: before it)."""
    before, verdict = _before(subject, opinion), opinion.verdict
    gain = shift_gain(opinion.judge, before, verdict.until_surest, verdict.sign, clipped=False)
    deploy = len(before.w)
    found = locate(gain, deploy)
    return None if found is None else Onset(found.at - deploy, found.low - deploy, found.high - deploy)


def older(subject: Subject, opinion: Opinion, seen: Seen, suspect: float) -> tuple[float, str] | None:
    """If the deploy arrived with harm: the evidence (-log10) that it has grown since, and a clause on what there was.

    `suspect` is the evidence (-log10) from which on the harm seen since the deploy counts.
    """
    judge, verdict, before = opinion.judge, opinion.verdict, _before(subject, opinion)
    claim = before.claim
    if opinion.evidence / LN10 < suspect:
        z, w, _ = deviations(judge, subject.calibrated.axis, seen.grid)
        if claim is None or not claim.is_still_there(z, w):
            return None
        return 0.0, f"a change of {claim.effect:+.0%} was under way before the deploy"
    gain = shift_gain(judge, before, verdict.until_surest, verdict.sign)
    onsets = [each for each in (_proved(judge, gain, len(before.w)),) if each is not None]
    if claim is not None and claim.sign == verdict.sign:
        onsets.append(claim.onset)
    if not onsets or _outgrown(subject, seen, min(onsets), verdict.sign):
        return None
    since = verdict.eps, verdict.w, verdict.high
    least = subject.signal.min_effect
    grown = min(_grown(judge, before, onset, since, verdict.sign, least) for onset in onsets)
    return grown / LN10, f"it began about {-min(onsets)} buckets before the deploy"


def _before(subject: Subject, opinion: Opinion) -> Before:
    return subject.calibrated.before[subject.calibrated.judges.index(opinion.judge)]


def _proved(judge: Judge, gain: Floats, deploy: int) -> int | None:
    """The likeliest onset before the deploy, if it is likelier than all since beyond doubt; counted from the deploy."""
    if deploy < NEAREST or len(gain) <= deploy:
        return None
    ago = np.arange(deploy, NEAREST - 1, -1)
    spread = judge.shape.spread[np.minimum(ago, len(judge.shape.spread)) - 1]
    lead = (gain[: len(ago)] - gain[deploy:].max()) / np.maximum(spread, 1.0) ** 2
    best = int(np.argmax(lead))
    return best - deploy if lead[best] >= CERTAIN - OVERSHOOT else None


def _outgrown(subject: Subject, seen: Seen, onset: int, sign: float) -> bool:
    """Whether the level left that of the buckets just before the deploy by at least half of what began with `onset`.

    A signal that wanders shows some change before most deploys; what steps away from it since is not that change.
    """
    judge = subject.calibrated.judges[-1]
    z, w, _ = deviations(judge, subject.calibrated.axis, seen.grid)
    z, w = z[-LATEST:], w[-LATEST:]
    past_z, past_w = judge.model.past_z, judge.model.past_w
    start = max(len(past_z) + onset, 0)
    earlier = slice(max(start - LATEST, 0), start)
    near = level_of(past_z[-NEAR:], past_w[-NEAR:])
    had = sign * (near - level_of(past_z[earlier], past_w[earlier]))
    weights = float(w @ w), float(past_w[-NEAR:] @ past_w[-NEAR:])
    if min(weights) <= 0:
        return False
    error = judge.model.scale * judge.local * float(np.sqrt(1 / weights[0] + 1 / weights[1]))
    return sign * (level_of(z, w) - near) >= max(had / 2, SURE * error)


def _grown(judge: Judge, before: Before, onset: int, since: Buckets, sign: float, least: float) -> float:
    """Evidence (-ln p) of more harm since the deploy than what began with bucket `onset` (negative) accounts for.

    `least` is the relative harm that does not count.
    """
    eps, w, high = since
    size = _harm_before(judge, before, onset, sign) + least
    part = _shown(judge, w, sign * size, judge.model.forecast.response(len(eps) - onset)[-onset:])
    # What is larger scatters more.
    wider = 1 + size if sign > 0 else 1.0
    rest, w = np.where(w > 0, (eps - part) / wider, 0.0), w / wider
    result = scan(rest[None], w[None], high[None], judge.shape, sign)
    return float(judge.evidence(result.main.max(axis=1), result.spike.max(axis=1))[0])


def _shown(judge: Judge, w: Floats, size: float, response: Floats) -> Floats:
    """Mean of the innovations under a shift of relative size `size`: the forecast follows it so far and no farther."""
    reach = REACH / (judge.model.scale * judge.local)
    high = np.inf if judge.model.noise.counts else reach
    return np.asarray(w * size - np.clip(w * size, -reach, high) * (1 - response), dtype=np.float64)


def _harm_before(judge: Judge, before: Before, onset: int, sign: float) -> float:
    """As large as the harm may have been just before the deploy, relative; never negative."""
    sizes = [0.0]
    response = judge.model.forecast.response(-onset)
    for length in (-onset, *(each for each in FRESH if each < -onset)):
        eps, news = before.eps[-length:], response[-length:] * before.w[-length:]
        known = news > 0
        if not known.any():
            continue
        # Mean of what is within reach of the median: neither one wild bucket nor a hundred large ones mislead it.
        middle = float(np.median(eps[known] / news[known]))
        information = float(news @ news)
        rest = np.clip(eps - news * middle, -CLIP, before.high[-length:])
        size = middle + float(rest @ news) / information
        spread = max(float(judge.shape.spread[min(length, len(judge.shape.spread)) - 1]), 1.0)
        doubt = DOUBT if length == -onset else DOUBT / 2
        sizes.append(sign * size + doubt * spread / float(np.sqrt(information)))
    return max(sizes)
