"""Peers' rules, written anew from their documentation: each gives a score by look that alarms from `default` on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ruptures import KernelCPD
from scipy import stats
from scipy.optimize import brentq

from benchmarks.detection.cases import Case
from watcher.model.series import Floats
from watcher.model.service import Harm

BEFORE = 60  # buckets before the deploy that a before-and-after rule compares with


@dataclass(frozen=True, slots=True)
class Rule:
    """`scores(case)` has one figure a look, shape (looks,), of which the running maximum counts."""

    name: str
    default: float
    scores: Callable[[Case], Floats]


def _parts(case: Case) -> tuple[Floats, Floats, float]:
    """The hour before, the watch, and the sign of harm."""
    values = case.quotients
    before = values[max(case.first - BEFORE, 0) : case.first]
    after = values[case.first : case.first + case.looks]
    return before[~np.isnan(before)], after, -1.0 if case.harm is Harm.DOWN else 1.0


def three_sigma(case: Case) -> Floats:
    """Deviation of each point from the hour before, in that hour's s.d."""
    before, after, sign = _parts(case)
    spread = float(before.std()) or 1e-9
    return np.asarray(np.nan_to_num(sign * (after - before.mean()) / spread, nan=-9.0), dtype=np.float64)


def static_threshold(case: Case) -> Floats:
    """Flagger, Argo: how many points so far lie beyond the 1st (99th) percentile of the last day."""
    values, sign = case.quotients, _parts(case)[2]
    day = values[max(case.first - int(86400 / case.step), 0) : case.first]
    bound = float(np.nanquantile(sign * day, 0.99))
    return np.cumsum(np.nan_to_num(sign * _parts(case)[1], nan=-math.inf) > bound).astype(np.float64)


def mann_whitney(case: Case) -> Floats:
    """-log10 p of the one-sided rank-sum test at each look, from the fifth on; below a 10 % change nothing counts."""
    before, after, sign = _parts(case)
    out = np.zeros(case.looks)
    for look in range(5, case.looks + 1):
        now = after[:look][~np.isnan(after[:look])]
        if len(now) < 5 or len(before) < 5:
            continue
        change = sign * (now.mean() - before.mean()) / max(abs(before.mean()), 1e-12)
        if change >= 0.1:
            side = "greater" if sign > 0 else "less"
            out[look - 1] = -math.log10(max(stats.mannwhitneyu(now, before, alternative=side).pvalue, 1e-300))
    return out


def _shift_bound(now: Floats, before: Floats, z: float, sign: float) -> tuple[float, float]:
    """Lower confidence bound and estimate of the harmful shift by inverting the rank-sum test."""
    now, before = sign * now, sign * before
    n, m = len(now), len(before)
    sd = math.sqrt(n * m * (n + m + 1) / 12)

    def excess(shift: float, q: float) -> float:
        ranks = stats.rankdata(np.concatenate([now - shift, before]))[:n].sum()
        return float((ranks - n * (n + 1) / 2 - n * m / 2) / sd - q)

    low, high = float(now.min() - before.max()) - 1e-9, float(now.max() - before.min()) + 1e-9

    def root(q: float) -> float:
        if excess(low, q) <= 0:
            return low
        return high if excess(high, q) >= 0 else float(brentq(excess, low, high, args=(q,), xtol=1e-4))

    return root(z), root(0.0)


def _kayenta_at(case: Case, look: int) -> float:
    """z up to which the confidence interval of the shift stays beyond a quarter of the estimate; 2.326 is default."""
    before, after, sign = _parts(case)
    now = after[:look][~np.isnan(after[:look])]
    if len(now) < 2 or len(before) < 2 or (np.ptp(now) == 0 and np.ptp(before) == 0):
        return 0.0
    best = 0.0
    for z in (0.5, 1.0, 1.64, 2.326, 3.0, 4.0, 5.0, 6.0):
        bound, estimate = _shift_bound(now, before, z, sign)
        if estimate <= 0 or bound <= 0.25 * estimate:
            break
        best = z
    return best


def kayenta_each(case: Case) -> Floats:
    """Judged every fifth of the window, as a canary run with growing lookback is."""
    out = np.zeros(case.looks)
    for look in {round(case.looks * part / 5) for part in range(1, 6)}:
        out[look - 1] = _kayenta_at(case, look)
    return out


def kayenta_end(case: Case) -> Floats:
    out = np.zeros(case.looks)
    out[-1] = _kayenta_at(case, case.looks)
    return out


def confidence_sequence(case: Case) -> Floats:
    """GrowthBook's asymptotic confidence sequence of the difference in means; the score is -log10 alpha."""
    before, after, sign = _parts(case)
    out = np.zeros(case.looks)
    for look in range(3, case.looks + 1):
        now = after[:look][~np.isnan(after[:look])]
        if len(now) < 3 or len(before) < 3:
            continue
        n = len(now) + len(before)
        error = math.sqrt(now.var(ddof=1) / len(now) + before.var(ddof=1) / len(before)) or 1e-12
        gap = sign * (now.mean() - before.mean())
        for exponent in np.arange(0.5, 12.1, 0.25):
            alpha = 10.0**-exponent
            rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / 5000)
            root = math.sqrt(n * rho**2 + 1)
            if gap <= error * math.sqrt(n) * math.sqrt(2 * root**2 / (n * rho) ** 2 * math.log(root / alpha)):
                break
            out[look - 1] = exponent
    return out


def kernel_cpd(case: Case) -> Floats:
    """Raw KernelCPD on the hour before and what came since: the gain of one change, in penalties of 2 ln n."""
    before, after, sign = _parts(case)
    out = np.zeros(case.looks)
    for look in range(5, case.looks + 1, 5):
        both = np.concatenate([before, after[:look][~np.isnan(after[:look])]])
        if len(both) < 20 or np.ptp(both) == 0:
            continue
        scaled = ((both - np.median(both)) / (1.4826 * np.median(np.abs(both - np.median(both))) or 1.0))[:, None]
        at = KernelCPD(kernel="linear", min_size=2).fit(scaled).predict(n_bkps=1)[0]
        left, right = scaled[:at, 0], scaled[at:, 0]
        gain = len(left) * len(right) / len(both) * (right.mean() - left.mean()) ** 2
        if at >= len(before) - 2 and sign * (right.mean() - left.mean()) > 0:
            out[look - 1] = gain / (2 * math.log(len(both)))
    return out


PEERS = (
    Rule("Kayenta, at five judgements", 2.326, kayenta_each),
    Rule("Kayenta, at the end", 2.326, kayenta_end),
    Rule("static threshold, 5 bad points", 5.0, static_threshold),
    Rule("3 sigma of the last hour", 3.0, three_sigma),
    Rule("Mann-Whitney, 10 % floor", 2.0, mann_whitney),
    Rule("confidence sequence", 2.0, confidence_sequence),
    Rule("KernelCPD, penalty 2 ln n", 1.0, kernel_cpd),
)
