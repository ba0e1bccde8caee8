"""From a signal's model and history to what judges its next minutes: the scan, and the tails of quiet windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from watcher.detect.drift import Drift, fit_drift
from watcher.detect.forecast import RECENT
from watcher.detect.incidents import Incidents, Windows
from watcher.detect.modelling import Model, Past
from watcher.detect.noise import ACTIVE, Scale, lift, standardise
from watcher.detect.path import Path, follow
from watcher.detect.statistics import TINY, Shape, clipped, growing, harmful, informing, scan, shape_of
from watcher.detect.tail import Growth, Tail, fit_tail
from watcher.detect.window import Ints
from watcher.model.series import Floats
from watcher.model.service import Harm

LASTING, VIOLENT, SLOW = math.log(0.45), math.log(0.45), math.log(0.1)  # shares of the two scans and of drifts
CORROBORATED = 2.5  # a drift counts up to so many times what the scans say, in -ln of a probability
LOCAL = 120  # buckets before the deploy that tell how noisy it is now
ORDINARY = 0.7  # s.d.: mean distance of a normal deviation, clipped, from zero
LOCAL_PRIOR = 15.0, 60.0  # buckets' worth of the usual noise; the second where noise is that of single events
MOST_POINTS = 20_000  # looks in all quiet windows together
LEAST_INFORMATION = 0.3
MARGIN = 0.3  # in -ln of a probability: what is learned from a few days may be a little wrong,
SHORT_MARGIN = 2.0  # and what is learned from a single window very much so
FEWEST = 8  # quiet windows
LEAST_TOLD = 0.03  # information of a stretch, in s.d. squared: with less even an event in it tells no scatter
SPARSE = 0.2  # events in a bucket
LEAST_TRUST = 0.5
BODY = 0.15  # probability at which the two statistics' dependence is read off


@dataclass(frozen=True, slots=True, eq=False)
class Quiet:
    """Windows of the own history without (known) harm.

    Attributes:
        starts: bucket numbers at which they begin, shape (p,).
        evidence: -ln probability of each, as if it were judged, shape (p,).
        independent: how many windows' worth of history they hold.
    """

    starts: Ints
    evidence: Floats
    independent: float


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Everything that judges one signal in one way.

    Attributes:
        path: where the signal would go without the deploy, less what the control explains.
        local: noise just before the deploy over usual noise.
        lasting, violent: of the two statistics' largest in a window; see `Scan`.
        overlap: probability of either scan over the sum of both, from quiet windows.
        learned: information of the whole history, in s.d. squared that a relative harm of 1 is.
        control: name of the control that the model uses, or None.
    """

    model: Model
    shape: Shape
    path: Path
    lasting: Tail
    violent: Tail
    drift: Drift
    local: float
    overlap: float
    independent: float
    learned: float
    control: str | None

    def evidence(self, lasting: Floats, violent: Floats, drift: Floats) -> Floats:
        """-ln of the probability that a quiet window comes to such maxima, of many windows; shape (windows,)."""
        scanned = np.maximum(stronger(self.lasting, self.violent, lasting, violent) - self.price, 0.0)
        slow = self.drift.tail.evidence(drift) + (SLOW - self.margin)
        return np.maximum(scanned, np.minimum(slow, CORROBORATED * scanned))

    def parts(self, lasting: float, violent: float, drift: float) -> tuple[float, float, float]:
        """What each statistic of one window says, for what it costs that there are others; the largest counts."""
        price = self.price
        stays = max(self.lasting.evidence_of_one(lasting) + LASTING - price, 0.0)
        large = max(self.violent.evidence_of_one(violent) + VIOLENT - price, 0.0)
        slow = self.drift.tail.evidence_of_one(drift) + (SLOW - self.margin)
        return stays, large, min(slow, CORROBORATED * max(stays, large))

    def adrift(self, missing: NDArray[np.bool_]) -> Floats | float:
        """Variance, in an innovation's, that gaps add to what came since: in each the level may have moved as by harm.

        Gaps as the history is full of are no news. `missing` are those of the buckets since the deploy.
        """
        before, usual = self.model.memory.last.gap, self.model.memory.usual_gap
        if not (before or missing.any()):
            return 0.0
        edges = np.diff(missing.astype(np.int8), prepend=1 if before else 0, append=0)
        begins, ends = (edges == 1).nonzero()[0].tolist(), (edges == -1).nonzero()[0].tolist()
        if before:
            begins.insert(0, -before)
        size = len(missing)
        grown, news = self.path.part(size + before + 1).point ** 2 - 1, self.model.forecast.response(size) ** 2
        out = np.zeros(size)
        for begin, end in zip(begins, ends, strict=True):
            if end - begin > usual:
                out[end:] += (grown[end - begin] - grown[usual]) * news[: size - end].cumsum()
        return out

    @property
    def incidents(self) -> Incidents | None:
        """What the signal does by itself now and then, by the statistic that shows more of it."""
        found = [each.incidents for each in (self.lasting, self.violent) if each.incidents is not None]
        return max(found, key=lambda each: each.count, default=None)

    @property
    def price(self) -> float:
        """What two scans cost that were learned from a few days, in -ln of a probability."""
        return math.log(self.overlap) + self.margin

    @property
    def margin(self) -> float:
        """What is learned from few windows may be wrong, in -ln of a probability."""
        return MARGIN + SHORT_MARGIN / max(self.independent, 1.0)


def stronger(lasting_tail: Tail, violent_tail: Tail, lasting: Floats, violent: Floats) -> Floats:
    """-ln probability by the statistic that says more, each with its share of the budget."""
    return np.maximum(lasting_tail.evidence(lasting) + LASTING, violent_tail.evidence(violent) + VIOLENT)


def signs(harm: Harm) -> tuple[float, ...]:
    return {Harm.UP: (1.0,), Harm.DOWN: (-1.0,), Harm.EITHER: (1.0, -1.0)}[harm]


def local_noise(past: Past, starts: Ints) -> Floats:
    """Scatter over the buckets before each start, over the usual; drawn to 1, shape (p,)."""
    sums, counts = past.scatter
    usual = max(float(sums[-1]) / max(int(counts[-1]), 1), 1e-3)
    begins = np.maximum(starts - LOCAL, 0)
    prior = LOCAL_PRIOR[0] + (LOCAL_PRIOR[1] - LOCAL_PRIOR[0]) * past.certain
    # Of rare events it takes longer to see as much of their scatter.
    prior *= max(ORDINARY / usual, 1.0) if past.certain > 0 else 1.0
    seen = counts[starts] - counts[begins] + prior
    ratio = (sums[starts] - sums[begins] + prior * usual) / (seen * usual)
    return np.asarray(np.clip(ratio, max(0.25, math.sqrt(past.certain)), 4.0), dtype=np.float64)


def quiet_starts(past: Past, looks: int, wanted: float, most: int, gap: int = 0) -> Ints:
    """Positions of windows of `looks` buckets within the history that are like the watch's.

    They hold about as much information as is `wanted`; and where the watch begins after hours in which little happened,
    so do they: where a shop's day will begin is not known as well as how it goes on. `gap`: how many are missing last.
    """
    last = len(past.w) - looks
    if last < 0:
        return np.empty(0, dtype=np.int64)
    stride = max(looks // 6, 1, -(-(last + 1) * looks // most))
    starts = np.arange(last, -1, -stride)[::-1]
    sums = np.concatenate([[0.0], np.cumsum(past.w * past.w)])
    information = sums[starts + looks] - sums[starts]
    reference = wanted if wanted > 0 else float(np.median(information))
    alike = information >= LEAST_INFORMATION * reference
    about = alike & (information <= reference / LEAST_INFORMATION)
    if about.sum() >= max(0.1 * len(starts), FEWEST):
        alike = about
    if alike.sum() < FEWEST:
        # Windows in which nothing happened say nothing of how it is when something does.
        alike = information > ACTIVE * float(information.mean())
    idle = sums[starts] - sums[np.maximum(starts - looks, 0)] < LEAST_INFORMATION * reference
    # What is missing at the end was not idle.
    end = len(past.w) - gap
    here = alike & (idle == (sums[end] - sums[max(end - looks, 0)] < LEAST_INFORMATION * reference))
    return np.asarray(starts[here if here.sum() >= FEWEST else alike], dtype=np.int64)


def windows(values: Floats, starts: Ints, looks: int) -> Floats:
    """The `looks` buckets from each start on; shape (p, looks)."""
    if not len(starts):
        return np.empty((0, looks))
    return np.asarray(sliding_window_view(values, looks)[starts])


def to_come(model: Model, path: Path, looks: int, total: float) -> tuple[Floats, Floats]:
    """Sensitivity and s.d. of the buckets to come, shape (looks,), if denominators are `total`."""
    expected = lift(model.noise, model.ahead, path.part(looks).level)
    if model.noise.scale is not Scale.SHARE:
        return standardise(model.noise, expected, expected, None)[1:]
    return standardise(model.noise, expected, expected * total, np.full(looks, total))[1:]


def fit_judge(
    model: Model, past: Past, harm: Harm, looks: int, total: float, control: str | None, most: int = MOST_POINTS
) -> tuple[Judge, Quiet]:
    """Calibrates the scan on quiet windows of the history, with the code that judges the deploy.

    Those are taken in which about as much happens as in the watch to come, with `total` for a usual denominator.
    """
    path = follow(model.forecast, model.memory, looks)
    sensitivity, _ = to_come(model, path, looks, total)
    starts = quiet_starts(past, looks, float(np.sum((sensitivity / model.scale) ** 2)), most, model.memory.last.gap)
    response = model.forecast.response(looks)
    local = local_noise(past, np.concatenate([starts, [len(past.w)]]))
    eps, calm, w = (windows(each, starts, looks) / local[:-1, None] for each in (past.eps, past.calm, past.w))
    towards = {sign: harmful(eps, calm, sign, past.slack / local[:-1, None]) for sign in signs(harm)}
    high = windows(past.high, starts, looks)
    covered = np.zeros(len(past.w) + 1)
    np.add.at(covered, starts, 1.0)
    np.add.at(covered, starts + looks, -1.0)
    independent = float(np.count_nonzero(np.cumsum(covered)[:-1] > 0)) / looks
    counts = model.noise.counts
    moves = not past.still
    shape = shape_of(response, (0.0, 0.0), counts, moves)
    information = informing(w * w, response)
    deviations = [growing(sign * w * clipped(one, high), information, shape, sign) for sign, one in towards.items()]
    shape = shape_of(response, _inflation(deviations, information, independent), counts, moves, math.sqrt(past.certain))
    scans = [scan(one, w, high, shape, sign) for sign, one in towards.items()]
    lasting = np.array([one.lasting.max(axis=1, initial=-9.0) for one in scans])
    violent = np.array([one.violent.max(axis=1, initial=-9.0) for one in scans])
    # Without scatter to be measured by, how far it went when it moved is all there is to know. Sums of a few events are
    # far from normal: there too the history's own maxima say more than what is known of sums.
    usual = 1.0 if moves else LEAST_TRUST
    trust = min(max(past.events / SPARSE, LEAST_TRUST), usual)
    of = Windows(starts, past.local[starts], looks, independent, past.day, len(past.w))
    lasting_tail = fit_tail(lasting, of, Growth.SQUARE, trust, bounded=moves)
    violent_tail = fit_tail(violent, of, Growth.HEAVY if moves else Growth.LOG, trust, bounded=moves)
    lasting, violent = lasting.max(axis=0), violent.max(axis=0)
    found = np.maximum(stronger(lasting_tail, violent_tail, lasting, violent), 0.0)
    overlap = shared(found, independent, 1.0)
    drift, drifts = fit_drift(past.recent, _least_drift(past), of, signs(harm), usual, bounded=moves)
    learned = max(float(np.sum(past.w * past.w)) / float(local[-1]) ** 2, TINY)
    judge = Judge(
        model, shape, path, lasting_tail, violent_tail, drift, float(local[-1]), overlap, independent, learned, control
    )
    return judge, Quiet(past.first + starts, judge.evidence(lasting, violent, drifts), independent)


def _least_drift(past: Past) -> float:
    """S.d. of the difference of two recent levels at usual traffic, by the scatter of single buckets alone."""
    squares = past.w[past.w > 0] ** 2
    return math.sqrt(0.5 / (RECENT * float(squares.mean()))) if len(squares) else 1.0


def shared(evidence: Floats, independent: float, most: float) -> float:
    """How often quiet windows exceed the BODY level, over BODY: what dependence leaves of a sum of probabilities."""
    if not len(evidence):
        return most
    seen = float(np.mean(evidence >= -np.log(BODY))) / BODY
    prior = 0.75 * most
    return float(np.clip((seen * independent * BODY + prior * 5) / (independent * BODY + 5), 0.3 * most**0.5, most))


def _inflation(deviations: list[Floats], information: Floats, independent: float) -> tuple[float, float]:
    """`a, b` of `exp(a + b ln L)`: the s.d. of deviations over L buckets, drawn to 1 where windows are few.

    `information` is that of the stretches, shape as a deviation: those in which nothing happened tell nothing.
    """
    looks = deviations[0].shape[1]
    if not len(deviations[0]) or looks < 2:
        return 0.0, 0.0
    told = information > np.maximum(ACTIVE * information.mean(axis=0), LEAST_TOLD)
    some = np.maximum(np.count_nonzero(told, axis=0), 1)
    square = (
        np.mean([np.minimum(each * each, 9.0).sum(axis=0, where=told) / some for each in deviations], axis=0) / 0.99
    )
    lengths = np.arange(1, looks + 1)
    certain = independent * looks / lengths * told.mean(axis=0)
    spread = 0.5 * np.log((square * certain + 5.0) / (certain + 5.0))
    # Few long stretches, many short ones; and the short ones weigh no more than what they are wanted for.
    weight = 1.0 / lengths
    logs = np.log(lengths)
    middle, level = np.average(logs, weights=weight), np.average(spread, weights=weight)
    steep = np.sum(weight * (logs - middle) * (spread - level)) / np.sum(weight * (logs - middle) ** 2)
    slope = float(np.clip(steep, 0.0, 0.5))
    return float(level - slope * middle), slope
