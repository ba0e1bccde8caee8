"""After a rollback: are the signals back to what was expected of them before the deploy?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from watcher.detect.calibration import Calibrated, Calibration
from watcher.detect.clean import clean
from watcher.detect.expectation import band_of, effect_of, expect
from watcher.detect.window import Grid, regrid
from watcher.model.finding import Band, Recoveries, Recovery
from watcher.model.series import Series
from watcher.model.service import Harm, Role, Signal

FEWEST = 3
LATEST = 15  # buckets that the newest state is read from
LEFT = 1 / 3  # share of the harm seen that may be left
HARMLESS = 0.05  # a relative change of what is judged of this size is nobody's emergency


def band(calibration: Calibration, name: str, series: Series) -> Band:
    """Expected, low and high at `series.times`, before and after the deploy; NaN where nothing can be said."""
    signal = next(each for each in calibration.plan.signals if each.name == name)
    with np.errstate(all="ignore"):
        return band_of(calibration.signals[name], signal.kind, series)


def recovery(calibration: Calibration, recent: Mapping[str, Series], since: float, at: float) -> Recoveries:
    """For each watched signal, whether the points in `(since, at]` are back; never raises on data.

    Recovered: the change that is left is not distinguishable from none, or below the signal's minimum effect, or at
    most a third of the worst seen between the deploy and `since`.
    """
    out = {}
    with np.errstate(all="ignore"):
        for signal in calibration.plan.signals:
            if signal.role is not Role.CONTROL:
                out[signal.name] = _recovered(calibration, signal, recent.get(signal.name), since, at)
    return out


def _recovered(calibration: Calibration, signal: Signal, series: Series | None, since: float, at: float) -> Recovery:
    calibrated = calibration.signals[signal.name]
    if not calibrated.judges or series is None or not len(series):
        return Recovery.UNMEASURABLE
    axis, side = calibrated.axis, calibrated.side
    last = axis.index(min(at, series.complete_until))
    grid = side.judged(clean(regrid(series, axis, calibrated.first, last + 1), signal.kind).grid)
    split = max(axis.index(since) + 1 - calibrated.first, 0)
    after = grid.values[split:]
    present = np.flatnonzero(~np.isnan(after))
    if len(present) < FEWEST:
        enough = (at - since) / axis.step > 2 * FEWEST + 4
        return Recovery.UNMEASURABLE if enough else Recovery.NOT_YET
    newest = split + int(present[max(len(present) - LATEST, 0)])
    left = _harm(calibrated, signal, grid, newest, len(grid))
    if left is None:
        return Recovery.UNMEASURABLE
    size, lowest = left
    worst = _worst(calibrated, signal, grid, split)
    allowed = max(abs(side.change(side.least(signal))), side.small(HARMLESS), LEFT * worst)
    return Recovery.RECOVERED if size <= allowed or (lowest <= 0 and size <= 0.5 * worst) else Recovery.NOT_YET


def _worst(calibrated: Calibrated, signal: Signal, grid: Grid, split: int) -> float:
    """Largest harm over five buckets in a row before the rollback."""
    found = [0.0]
    for stop in range(min(5, split), split + 1, 2):
        harm = _harm(calibrated, signal, grid, max(stop - 5, 0), stop) if stop else None
        found.append(harm[0] if harm else 0.0)
    return max(found)


def _harm(calibrated: Calibrated, signal: Signal, grid: Grid, start: int, stop: int) -> tuple[float, float] | None:
    """Relative harm over buckets `start <= i < stop`, and the lower end of its interval; harm is positive."""
    judge = calibrated.judges[-1]
    effect = effect_of(calibrated, judge, expect(calibrated, judge, grid, None), grid, start, stop)
    if effect is None:
        return None
    if signal.harm is Harm.UP or (signal.harm is Harm.EITHER and effect.change > 0):
        return effect.change, effect.low
    return -effect.change, -effect.high
