"""Rules that compare points with a line: 3 sigma, and the two delivery controllers that count failures.

Flagger and Argo Rollouts leave the line to their users. Two readings of what a user would write: for Flagger, whose
templates have a fixed range, the 99th percentile of the history's last day; for Argo, whose conditions may be any
expression, a fifth worse than the mean of the hour before. The score is how far the line could be moved before the rule
alarmed no more, so that both can be set to 1 % false like the others.
"""

from __future__ import annotations

import numpy as np

from benchmarks.detection.views import View
from watcher.model.series import Floats

FLAGGER_THRESHOLD = 5  # failed checks; they need not follow one another
ARGO_FAILURE_LIMIT = 3  # one more than that many failed measurements
ARGO_ERROR_LIMIT = 4  # one more than that many failed queries, one after the other
ARGO_WORSE = 0.2
NEVER = -99.0


def three_sigma(view: View) -> Floats:
    """Deviation of each point from the hour before, in that hour's s.d."""
    before = view.before
    if not len(before):
        return np.full(len(view.after), NEVER)
    return np.asarray(np.nan_to_num((view.after - before.mean()) / (float(before.std()) or 1e-9), nan=NEVER))


def kth_largest(values: Floats, k: int) -> Floats:
    """The k-th largest of the values so far, for each of them; NEVER as long as there are fewer."""
    out = np.full(len(values), NEVER)
    for place in range(k - 1, len(values)):
        out[place] = np.partition(values[: place + 1], place + 1 - k)[place + 1 - k]
    return out


def flagger(view: View) -> Floats:
    """The fifth failed check rolls back at the next tick; a missing value fails. 1: at the line, above it: beyond."""
    day = view.history[-int(86400 / view.step) :]
    day = day[~np.isnan(day)]
    if not len(day):
        return np.full(len(view.after), NEVER)
    middle, line = float(np.median(day)), float(np.quantile(day, 0.99))
    off = (view.after - middle) / max(line - middle, 1e-9 * max(abs(middle), 1e-9))
    worst = kth_largest(np.where(np.isnan(view.after), np.inf, off), FLAGGER_THRESHOLD)
    return np.concatenate([[NEVER], worst[:-1]])


def argo(view: View) -> Floats:
    """The fourth failed measurement aborts; so does the fifth query in a row without a value."""
    before = view.before
    if not len(before):
        return np.full(len(view.after), NEVER)
    worse = (view.after - before.mean()) / max(abs(float(before.mean())), 1e-12)
    failed = kth_largest(np.nan_to_num(worse, nan=NEVER), ARGO_FAILURE_LIMIT + 1)
    missing = np.isnan(view.after).astype(np.int64)
    in_a_row = np.convolve(missing, np.ones(ARGO_ERROR_LIMIT + 1, dtype=np.int64))[: len(missing)]
    return np.where(in_a_row > ARGO_ERROR_LIMIT, np.inf, failed)
