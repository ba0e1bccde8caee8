"""The two rules that rest on ranks: Kayenta's judge, and a plain Mann-Whitney test at every look."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from benchmarks.detection.views import View
from watcher.model.series import Floats

KAYENTA = 2.326  # z of its 98 % interval
FEWEST = 5  # points after the deploy before either rule is asked


def rank_sum_z(now: Floats, before: Floats, shift: float = 0.0) -> float:
    """z of the hypothesis that `now` lies no more than `shift` above `before`; ties and continuity corrected.

    Source: Mann and Whitney (1947), normal approximation.
    """
    n, m = len(now), len(before)
    gaps = now[:, None] - before[None, :] - shift
    above = np.count_nonzero(gaps > 0) + 0.5 * np.count_nonzero(gaps == 0)
    counts = np.unique(np.concatenate([now - shift, before]), return_counts=True)[1].astype(np.float64)
    ties = float(np.sum(counts**3 - counts)) / ((n + m) * (n + m - 1))
    sd = math.sqrt(max(n * m / 12 * (n + m + 1 - ties), 1e-12))
    return float((above - n * m / 2 - math.copysign(0.5, above - n * m / 2)) / sd)


def kayenta_at(view: View, look: int) -> float:
    """z up to which the interval of the shift stays beyond a quarter of the estimated shift; high from 2.326 on.

    Inverting the rank-sum test gives the interval, so its lower end passes a bound exactly if the test at that bound
    does; the ends of the interval are clipped to the smallest and largest gap, as Kayenta clips them. Its second
    condition, at default settings: the mean has grown. Its absolute tolerance of 1e-4 is left out, in its favour.
    """
    now, before = view.now(look), view.before
    if len(now) < FEWEST or len(before) < 2 or np.ptp(np.concatenate([now, before])) == 0:
        return 0.0
    gaps = now[:, None] - before[None, :]
    bound = 0.25 * float(np.median(gaps))
    if bound <= 0 or now.mean() <= before.mean():
        return 0.0
    z = rank_sum_z(now, before, bound)
    clipped = float(gaps.min()) > bound and rank_sum_z(now, before, float(gaps.min())) <= KAYENTA
    return max(z, KAYENTA) if clipped else max(z, 0.0)


def kayenta_each(view: View) -> Floats:
    """Judged at every look, as a canary run with a growing window is."""
    return np.array([kayenta_at(view, look) for look in range(1, len(view.after) + 1)])


def kayenta_end(view: View) -> Floats:
    """Judged once, at the end."""
    out = np.zeros(len(view.after))
    out[-1] = kayenta_at(view, len(view.after))
    return out


def mann_whitney(view: View) -> Floats:
    """-log10 p of the one-sided test at each look; below a 10 % change of the mean nothing counts."""
    out, before = np.zeros(len(view.after)), view.before
    for look in range(1, len(view.after) + 1):
        now = view.now(look)
        if len(now) < FEWEST or len(before) < FEWEST:
            continue
        if now.mean() - before.mean() >= 0.1 * max(abs(before.mean()), 1e-12):
            out[look - 1] = -special.log_ndtr(-rank_sum_z(now, before)) / math.log(10)
    return out
