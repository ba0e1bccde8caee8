"""Finds out how often Prometheus scrapes what a query reads: the right range of `increase` depends on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from watcher.sources.prometheus_api import Api
from watcher.sources.selection import quoted

_RELEARN = 3600.0
_SPANS = ("10m", "1h")
_FEWEST = 4  # samples


class Scrapes:
    """Intervals by selector, each learnt from samples and believed for an hour; safe to use from several threads."""

    def __init__(self, api: Api, fixed: float | None, now: Callable[[], float]) -> None:
        self._api = api
        self._fixed = fixed
        self._now = now
        self._learnt: dict[str, tuple[float, float]] = {}  # selector -> (interval, when)

    def interval(self, selector: str, at: float) -> float | None:
        """Seconds between the samples of the best-sampled series of `selector` before `at`; None if there are none."""
        if self._fixed is not None:
            return self._fixed
        known = self._learnt.get(selector)
        if known and self._now() - known[1] < _RELEARN:
            return known[0]
        for span in _SPANS:
            found = self._spacing(selector, span, at)
            if found is not None:
                self._learnt[selector] = (found, self._now())
                return found
        return None

    def _spacing(self, selector: str, span: str, at: float) -> float | None:
        busiest = self._api.instant(f"topk(1, count_over_time({selector}[{span}]))", at).series
        if not busiest:
            return None
        name = selector.partition("{")[0].strip()
        exact = ",".join(f"{label}={quoted(value)}" for label, value in busiest[0].labels.items())
        samples = self._api.instant(f"{name}{{{exact}}}[{span}]", at).series
        if not samples or len(samples[0].times) < _FEWEST:
            return None
        return _rounded(float(np.median(np.diff(samples[0].times))))


def _rounded(interval: float) -> float:
    """Scrapes jitter by milliseconds: 14.998 is 15."""
    whole = round(interval)
    return float(whole) if whole >= 1 and abs(interval - whole) <= 0.02 * interval else round(interval, 3)
