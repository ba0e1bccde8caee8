"""Where a signal would have gone without the deploy: its forecast frozen at the last bucket before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.forecast import Forecast
from watcher.detect.memory import Memory
from watcher.detect.window import Ints
from watcher.model.series import Floats

FARTHEST = 120  # buckets; later ones keep the last forecast


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Forecast of the relative deviation, bucket by bucket from the deploy.

    Attributes:
        level: expected relative deviation from the profile, shape (m,).
        point: s.d. of one bucket's error over that of an innovation, shape (m,).
        sum: s.d. of the error of the sum of the first n buckets over that of n innovations' sum, shape (m,).
    """

    level: Floats
    point: Floats
    sum: Floats

    def part(self, length: int) -> Path:
        """The first `length` buckets; the last one's figures go on for ever."""
        index: slice | Ints = slice(length)
        if length > len(self.level):
            index = np.minimum(np.arange(length), len(self.level) - 1)
        return Path(self.level[index], self.point[index], self.sum[index])


def follow(forecast: Forecast, memory: Memory, looks: int) -> Path:
    """Iterates the forecast on itself; what a bucket weighs is taken to stay as it was."""
    count = max(min(looks, FARTHEST), 1)
    if not len(forecast.lengths) or not memory.known:
        return Path(np.zeros(1), np.ones(1), np.ones(1))
    # What the newest 0, 1, 2 ... buckets of the past sum up to.
    total, mass = -memory.sums[:, ::-1]
    weight = float(mass[-1]) / memory.known
    lengths = np.asarray(forecast.lengths)
    ago = np.arange(count)[:, None] - np.arange(count)
    echo, feedback, level = np.zeros((count, count)), np.zeros((count, count)), np.zeros(count)
    for length, share, kappa in zip(lengths.tolist(), forecast.weights.tolist(), forecast.kappa.tolist(), strict=True):
        old = np.clip(length - np.arange(count), 0, len(memory))
        new = np.minimum(np.arange(count), length)
        here = share / (mass[old] + weight * new + kappa)
        within = (ago > 0) & (ago <= length)
        echo += within * (share / length)
        feedback += within * (weight * here)[:, None]
        level += here * total[old]
    one = np.eye(count)
    psi = np.linalg.solve(one - echo, one[:, 0])
    squares = np.cumsum(psi * psi)
    steps = np.arange(1, count + 1)
    path = np.asarray(np.linalg.solve(one - feedback, level), dtype=np.float64)
    return Path(path, np.sqrt(squares), np.sqrt(np.cumsum(np.cumsum(psi) ** 2) / steps))
