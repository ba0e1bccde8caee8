"""What hindsight would find on real series, as a mark to measure the distance from: an oracle is no method.

On real traffic no law is known and so no bound. In its place stands the best that one simple scan, or the product's own
scores, could have done had somebody known each series' placebos and harmed watches before: the threshold of every
series, and of the scan its one length and kind of residual, chosen after the fact.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from benchmarks.detection.cases import Case
from benchmarks.detection.product import THRESHOLD
from benchmarks.detection.runs import HEAD, PRODUCT, Result, bar_at_one, sum_up
from benchmarks.detection.table import per_hundred, show
from benchmarks.detection.views import BEFORE, View, views
from watcher.model.series import Floats

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55)
ANCHOR = 30  # buckets before the deploy that tell the level
CLIP = 3.0  # robust s.d.
NOTHING = -1e9  # before a scan has its length
ABOVE = 1e-9  # a score must pass the highest placebo's, not reach it
CHOSEN = "chosen"


def residuals(view: View) -> dict[str, Floats]:
    """What past days and the half hour before did not lead to expect, shape (looks,) each.

    `relative` to what was expected: the median of the same minute of the days before, over seven minutes, at the level
    before the deploy; `clipped`: in robust s.d. of the hour before, clipped.
    """
    day, size = round(86400 / view.step), len(view.history)
    values = np.concatenate([view.history, view.after])
    begin = size - BEFORE
    days = [values[begin - back : len(values) - back] for back in range(day, begin + 1, day)]
    profile = np.nanmedian(days, axis=0) if days else np.ones(len(values) - begin)
    profile = ndimage.uniform_filter1d(np.nan_to_num(profile, nan=float(np.nanmedian(profile))), 7, mode="nearest")
    near = slice(BEFORE - ANCHOR, BEFORE)
    expected = profile * (np.nanmedian(values[begin:][near]) / (float(np.median(profile[near])) or 1.0))
    known = np.where(expected == 0, np.nan, np.abs(expected))
    relative = np.nan_to_num((values[begin:] - expected) / known)
    hour, after = relative[:BEFORE], relative[BEFORE:]
    scatter = 1.4826 * float(np.median(np.abs(hour - np.median(hour)))) or 1e-9
    return {"relative": after, "clipped": np.clip(after / scatter, -CLIP, CLIP)}


def scans(case: Case) -> dict[str, Floats]:
    """Each residual and length -> the highest mean so far of as many in a row since the deploy, shape (looks,)."""
    shown = [residuals(view) for view in views(case)]
    out = {}
    for name in shown[0]:
        total = np.cumsum([np.concatenate([[0.0], each[name]]) for each in shown], axis=1)
        for length in LENGTHS:
            means = np.full(case.looks, NOTHING)
            means[length - 1 :] = ((total[:, length:] - total[:, :-length]) / length).max(axis=0)
            out[f"{name} {length}"] = np.maximum.accumulate(means)
    return out


def with_hindsight(results: Sequence[Result], methods: Sequence[str], look: int) -> list[Result]:
    """Of each series the method that finds most by that look with at most 1 % of its placebos called, less its line."""
    out = []
    for group in dict.fromkeys(each.group for each in results):
        part = [each for each in results if each.group == group]
        bars = {method: bar_at_one([each for each in part if not each.change], method) + ABOVE for method in methods}
        sums = {method: sum_up(part, method, bars[method], (look,)) for method in methods}
        worth = {method: (got.found[look], -got.delay) for method, got in sums.items()}
        best = max(worth, key=worth.__getitem__)
        out += [replace(each, scores={CHOSEN: each.scores[best] - bars[best]}) for each in part]
    return out


def tell(title: str, cases: Sequence[Case], results: Sequence[Result], by: Sequence[int]) -> None:
    """The product as it is, the product with hindsight, and the scan with hindsight; `results` are of `cases`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # minutes that no day has
        scanned = [replace(each, scores=scans(case)) for case, each in zip(cases, results, strict=True)]
    rows = {
        f"{PRODUCT}, no hindsight": sum_up(results, PRODUCT, THRESHOLD, by),
        f"{PRODUCT}, best threshold of each series": sum_up(
            with_hindsight(results, [PRODUCT], by[-1]), CHOSEN, 0.0, by
        ),
        "scan of residuals, best threshold and length of each series": sum_up(
            with_hindsight(scanned, list(scanned[0].scores), by[-1]), CHOSEN, 0.0, by
        ),
    }
    out = [
        [name, per_hundred(got.false), *(f"{100 * got.found[look]:.0f}" for look in by), f"{got.delay:.2f}"]
        for name, got in rows.items()
    ]
    show(title, (*HEAD, *(f"by {look}" for look in by), "delay"), out, _note(results))


def _note(results: Sequence[Result]) -> str:
    each = sum(result.change == 0 for result in results) / len({result.group for result in results})
    return (
        "With hindsight, which nobody has: of each series the threshold that at most 1 % of its own placebos pass (of "
        f"fewer than 100 none; here it has {each:.0f}; the fewer, the kinder), and of a scan of residuals the one "
        "length, and relative or clipped residuals, that then find most."
    )
