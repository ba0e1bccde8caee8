"""When the change began. Asked only after an alarm: `ruptures` places a change, it does not tell if there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.model.series import Floats

INTERVAL = 1.92  # half the 95 % quantile of chi-square with one degree of freedom
FEWEST = 6


@dataclass(frozen=True, slots=True)
class Onset:
    """Positions within the residuals: the change's first bucket and its 95 % interval."""

    at: int
    low: int
    high: int


def locate(residuals: Floats, inflation: float) -> Onset | None:
    """Splits gap-free residuals (s.d. units, shape (n,)) in two: `KernelCPD` with a linear kernel, one change.

    Args:
        residuals: deviations from the expected, before and after the deploy.
        inflation: s.d. by which means of these residuals scatter more than independent ones would.

    The interval holds every split whose likelihood ratio against the best is within the chi-square bound, as if the
    sizes before and after were known at each (profile likelihood).
    """
    if len(residuals) < FEWEST:
        return None
    # ruptures and scipy cost a second to import; most watches never alarm.
    from ruptures import KernelCPD  # noqa: PLC0415

    clipped = np.clip(residuals, -6.0, 6.0)
    at = int(KernelCPD(kernel="linear", min_size=2).fit(clipped[:, None]).predict(n_bkps=1)[0])
    count = len(clipped)
    sums = np.cumsum(clipped)
    splits = np.arange(1, count)
    gain = (sums[:-1] - sums[-1] * splits / count) ** 2 / (splits * (1 - splits / count))
    spread = max(float(np.var(np.diff(clipped))) / 2, 1e-9) * max(inflation, 1.0) ** 2
    ratio = gain / (2 * spread)
    within = splits[ratio >= ratio.max() - INTERVAL]
    return Onset(at, min(int(within.min()), at), max(int(within.max()), at))
