"""Where a signal would have gone without the deploy: its forecast frozen at the last bucket before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watcher.detect.forecast import Forecast, Memory
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
        index = np.minimum(np.arange(length), len(self.level) - 1)
        return Path(self.level[index], self.point[index], self.sum[index])


def follow(forecast: Forecast, memory: Memory, looks: int) -> Path:
    """Iterates the forecast on itself; what a bucket weighs is taken to stay as it was."""
    count = max(min(looks, FARTHEST), 1)
    past_z, past_w = memory.z, memory.w
    known = past_w > 0
    if not len(forecast.lengths) or not known.any():
        return Path(np.zeros(1), np.ones(1), np.ones(1))
    weight = float(np.mean(past_w[known] ** 2))
    size = len(past_z)
    total, mass, wave = (np.zeros(size + count + 1) for _ in range(3))
    total[1 : size + 1] = np.cumsum(past_w * past_z)
    mass[1 : size + 1] = np.cumsum(past_w * past_w)
    lengths = np.asarray(forecast.lengths)
    level, psi = np.zeros(count), np.zeros(count)
    for step in range(count):
        end = size + step
        begin = np.maximum(end - lengths, 0)
        means = (total[end] - total[begin]) / (mass[end] - mass[begin] + forecast.kappa)
        level[step] = forecast.weights @ means
        echo = forecast.weights @ ((wave[end] - wave[np.maximum(begin, size)]) / lengths)
        psi[step] = 1.0 if step == 0 else echo
        total[end + 1] = total[end] + weight * level[step]
        mass[end + 1] = mass[end] + weight
        wave[end + 1] = wave[end] + psi[step]
    squares = np.cumsum(psi * psi)
    steps = np.arange(1, count + 1)
    return Path(level, np.sqrt(squares), np.sqrt(np.cumsum(np.cumsum(psi) ** 2) / steps))
