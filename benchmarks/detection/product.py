"""The product through its public interface alone: `calibrate` once, `look` as a live watch would."""

from __future__ import annotations

import math
import time

import numpy as np

from benchmarks.detection.cases import Case
from watcher import detect
from watcher.model.series import Floats


class Product:
    """Scores of one case by look. A score never falls, so looks between two equal ones need not be made."""

    def __init__(self, case: Case) -> None:
        self._case, self._plan, self._series = case, case.plan, case.series
        before = time.perf_counter()
        self._calibration = detect.calibrate(
            self._plan, {name: each.between(-math.inf, case.deploy) for name, each in self._series.items()}
        )
        self.seconds = time.perf_counter() - before
        self._scores: dict[int, float] = {}

    def score(self, look: int) -> float:
        """After `look` looks (from 1)."""
        if look not in self._scores:
            at = float(self._case.times[self._case.first + look - 1])
            recent = {name: each.between(self._calibration.recent_from, at) for name, each in self._series.items()}
            self.findings = detect.look(self._calibration, recent, at, None)
            self._scores[look] = self.findings.score
        return self._scores[look]

    def scores(self) -> Floats:
        """After every look, running maximum, shape (looks,); equal stretches are not looked at twice."""
        looks = self._case.looks
        out = np.full(looks, np.nan)

        def fill(low: int, high: int) -> None:
            if math.isclose(self.score(low), self.score(high), abs_tol=0.02) or high - low <= 1:
                out[low - 1 : high] = self.score(low)
                out[high - 1] = self.score(high)
                return
            middle = (low + high) // 2
            fill(low, middle)
            fill(middle, high)

        fill(1, looks)
        return np.maximum.accumulate(out)
