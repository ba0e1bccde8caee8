"""Whether a series is fit to be a signal's control: alike, and yet another."""

from __future__ import annotations

import numpy as np

from watcher.detect.modelling import Past

COPY = 0.08  # share of the scatter that a true control leaves at least


def likeness(one: Past, two: Past) -> float:
    """Correlation of the deviations' means over eight buckets, slow drift removed."""
    known = (one.w > 0) & (two.w > 0)
    size = len(known) // 8 * 8
    if size < 64:
        return 0.0
    rows = [
        np.diff(np.where(known, np.clip(each.eps, -4, 4), 0.0)[:size].reshape(-1, 8).mean(axis=1))
        for each in (one, two)
    ]
    spread = float(rows[0].std() * rows[1].std())
    return float(np.mean((rows[0] - rows[0].mean()) * (rows[1] - rows[1].mean())) / spread) if spread > 0 else 0.0


def is_copy(alone: Past, controlled: Past) -> bool:
    """Whether the control explains so much that it can only be the signal itself, which then could never be harmed."""
    known = (alone.w > 0) & (controlled.w > 0)
    return bool(known.any() and np.median(alone.w[known]) < COPY * np.median(controlled.w[known]))
