"""How far the level has come since the deploy: for harm that grows so slowly that no bucket of it is news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from watcher.detect.forecast import RECENT
from watcher.detect.incidents import Windows
from watcher.detect.tail import Growth, Tail, fit_tail
from watcher.model.series import Floats

SMOOTH = 5  # looks either side over which the usual drift is read
WILD = 3.0  # s.d. beyond which a drift says no more of what is usual


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """How a signal's level drifts without harm, and how it did before the deploy.

    Attributes:
        before: the level at the buckets before the deploy, newest first, shape (m,).
        spread: s.d. of the drift after 0, 1, 2 ... buckets, shape (m,).
        tail: of the largest drift in a window, in that measure.
    """

    before: Floats
    spread: Floats
    tail: Tail

    def since(self, level: Floats, sign: float) -> Floats:
        """The drift towards `sign` at each look so far, in s.d.; `level` at each bucket since the deploy."""
        size = min(len(level), len(self.spread))
        then = np.concatenate([level[:1], self.before[: max(size - 1, 0)]])[:size]
        return _drift(sign * level[:size], sign * level[:1], sign * then) / self.spread[:size]


def fit_drift(
    level: Floats,
    least: float,
    windows: Windows,
    signs: Sequence[float],
    trust: float,
    *,
    bounded: bool,
) -> tuple[Drift, Floats]:
    """How `level`, as of each bucket of the history, shape (n,), drifts in its `windows`.
    `least` is the s.d. by which two levels differ at usual traffic if nothing drifts.

    Also the largest drift in each of the windows, shape (p,). `trust` and `bounded`: see `fit_tail`.
    """
    starts, looks = windows.starts, windows.looks
    after = starts[:, None] + np.arange(looks)
    # What lies before the history is taken to have been level.
    before = np.maximum(starts[:, None] - np.arange(looks), 0)
    drifts = [_drift(sign * level[after], sign * level[starts][:, None], sign * level[before]) for sign in signs]
    spread = _spread(np.concatenate(drifts)) if len(starts) else np.ones(looks)
    # Where windows begin before a shop opens, that nothing has drifted yet says little of what will.
    spread = np.maximum(spread, least * np.sqrt(np.clip(np.arange(looks), 1, RECENT) / RECENT))
    largest = np.array([(each / spread).max(axis=1, initial=0.0) for each in drifts])
    newest = level[np.maximum(len(level) - np.arange(1, looks + 1), 0)]
    tail = fit_tail(largest, windows, Growth.SQUARE, trust, bounded=bounded)
    return Drift(newest, spread, tail), largest.max(axis=0)


def _drift(now: Floats, start: Floats, then: Floats) -> Floats:
    """From the start until now, less what came in as long a time before it: what was under way goes on by itself."""
    return np.asarray(now - start - np.maximum(start - then, 0.0))


def _spread(drifts: Floats) -> Floats:
    squares = drifts * drifts
    square = squares.mean(axis=0)
    for _ in range(2):
        square = np.minimum(squares, WILD**2 * square).mean(axis=0)
    square[0] = square[min(1, len(square) - 1)]  # nothing has come yet
    logs = np.log(np.maximum(square, 1e-12)) / 2
    wide = 2 * SMOOTH + 1
    return np.exp(np.convolve(np.pad(logs, SMOOTH, mode="edge"), np.full(wide, 1 / wide), "valid"))
