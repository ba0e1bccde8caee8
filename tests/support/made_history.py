"""Made histories of one signal, one bucket a minute, that end at `END`."""

from __future__ import annotations

import numpy as np

from watcher.model.series import Series

STEP = 60.0
END = 1_800_000_000.0 // 86400 * 86400


def times(days: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    count = int(days * 1440)
    return END - STEP * np.arange(count - 1, -1, -1, dtype=np.float64)


def counts(days: float, per_bucket: float, seed: int = 1) -> Series:
    """Events at a steady rate."""
    at = times(days)
    values = np.random.default_rng(seed).poisson(per_bucket, len(at)).astype(np.float64)
    return Series(at, values, STEP, END)


def ratio(days: float, per_bucket: float, share: float, seed: int = 1) -> Series:
    """A share of a steady number of events."""
    rng = np.random.default_rng(seed)
    totals = rng.poisson(per_bucket, int(days * 1440))
    return Series(times(days), rng.binomial(totals, share).astype(np.float64), STEP, END, totals.astype(np.float64))
