"""Finds out how often Prometheus scrapes what a query reads: the right range of `increase` depends on it."""

from __future__ import annotations

import numpy as np

from watcher.sources.prometheus_api import Api
from watcher.sources.selection import quoted

_RELEARN = 3600.0
_MOST = 1000
_SPANS = ("10m", "1h")
_FEWEST = 4  # samples
_LONG = 8 * 3600.0  # seconds


class Scrapes:
    """Intervals by selector, each learnt from samples around a time; safe to use from several threads."""

    def __init__(self, api: Api, fixed: float | None) -> None:
        self._api = api
        self._fixed = fixed
        self._learnt: dict[tuple[str, int], float] = {}  # selector, hour -> interval

    def interval(self, selector: str, at: float, kin: str = "") -> float | None:
        """Seconds between the samples of the best-sampled series of `selector` before `at`; None if there are none.

        What is learnt of one `selector` is taken for all of the same `kin`.
        """
        if self._fixed is not None:
            return self._fixed
        key = (kin or selector, int(at // _RELEARN))
        if key in self._learnt:
            return self._learnt[key]
        for span in _SPANS:
            found = self._spacing(selector, span, at)
            if found is not None:
                if len(self._learnt) >= _MOST:
                    self._learnt.clear()
                self._learnt[key] = found
                return found
        return None

    def longest(self, selector: str, start: float, end: float, kin: str = "") -> float | None:
        """The longest interval at the end, the middle and the beginning of a long time, for it may have changed."""
        times = (end,) if end - start < _LONG else (end, (start + end) / 2, start + _LONG / 8)
        found = [self.interval(selector, at, kin) for at in times]
        return max((interval for interval in found if interval is not None), default=None)

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
