"""Peers' rules, written anew from their documentation and source, each at its default settings."""

from __future__ import annotations

import math

import numpy as np
from ruptures import KernelCPD

from benchmarks.detection import otava
from benchmarks.detection.ranks import KAYENTA, kayenta_each, kayenta_end, mann_whitney
from benchmarks.detection.thresholds import ARGO_WORSE, argo, flagger, three_sigma
from benchmarks.detection.views import Rule, View
from watcher.model.series import Floats

EVERY = 5  # looks between two runs of what is dear
SLACK = 2  # points before the deploy that a change may be placed at and still be the deploy's


def confidence_sequence(view: View) -> Floats:
    """GrowthBook's asymptotic confidence sequence of the difference in means; the score is -log10 alpha."""
    alphas = 10.0 ** -np.arange(0.5, 12.1, 0.25)
    rho = np.sqrt((-2 * np.log(alphas) + np.log(-2 * np.log(alphas) + 1)) / 5000)
    out, before = np.zeros(len(view.after)), view.before
    for look in range(3, len(view.after) + 1):
        now = view.now(look)
        if len(now) < 3 or len(before) < 3:
            continue
        n = len(now) + len(before)
        error = math.sqrt(now.var(ddof=1) / len(now) + before.var(ddof=1) / len(before)) or 1e-12
        root = np.sqrt(n * rho**2 + 1)
        half = error * math.sqrt(n) * np.sqrt(2 * root**2 / (n * rho) ** 2 * np.log(root / alphas))
        beyond = now.mean() - before.mean() > half
        count = int(np.argmin(beyond)) if not beyond.all() else len(beyond)
        out[look - 1] = -math.log10(alphas[count - 1]) if count else 0.0
    return out


def kernel_cpd(view: View) -> Floats:
    """Raw KernelCPD on the hour before and what came since: the gain of one change, in penalties of 2 ln n."""
    out, before = np.zeros(len(view.after)), view.before
    for look in range(EVERY, len(view.after) + 1, EVERY):
        both = np.concatenate([before, view.now(look)])
        if len(both) < 20 or np.ptp(both) == 0:
            continue
        scaled = ((both - np.median(both)) / (1.4826 * np.median(np.abs(both - np.median(both))) or 1.0))[:, None]
        at = KernelCPD(kernel="linear", min_size=2).fit(scaled).predict(n_bkps=1)[0]
        left, right = scaled[:at, 0], scaled[at:, 0]
        gain = len(left) * len(right) / len(both) * (right.mean() - left.mean()) ** 2
        if at >= len(before) - SLACK and right.mean() > left.mean():
            out[look - 1] = gain / (2 * math.log(len(both)))
    return out


def otava_itself(view: View) -> Floats:
    """-log10 p of the surest harmful change point since the deploy, by Otava's own code at its defaults (p < .001)."""
    out, before = np.zeros(len(view.after)), view.before
    for look in range(EVERY, len(view.after) + 1, EVERY):
        both = np.concatenate([before, view.now(look)])
        if len(both) < 3:
            continue
        for point in otava.change_points(both):
            if point.index >= len(before) - SLACK and point.after > point.before:
                out[look - 1] = max(out[look - 1], -math.log10(max(point.p, 1e-300)))
    return out


def peers() -> tuple[Rule, ...]:
    """Every rule that can be run here: Otava only where it is installed."""
    rules = (
        Rule("Kayenta, at each look", KAYENTA, kayenta_each),
        Rule("Kayenta, at the end", KAYENTA, kayenta_end),
        Rule("Flagger, 5 failed checks", 1.0 + 1e-9, flagger),
        Rule("Argo Rollouts, failureLimit 3", ARGO_WORSE, argo),
        Rule("3 sigma of the last hour", 3.0, three_sigma),
        Rule("Mann-Whitney, 10 % floor", 2.0, mann_whitney),
        Rule("GrowthBook's confidence sequence", 2.0, confidence_sequence),
        Rule("KernelCPD, penalty 2 ln n", 1.0, kernel_cpd),
    )
    return (*rules, Rule("Otava", 3.0, otava_itself, otava.spent)) if otava.is_installed() else rules
