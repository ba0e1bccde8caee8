"""The band of what was expected, for a chart: made when somebody looks at one, or once for good when the watch ends.

A look that made it would spend an eighth of its time on what nobody may ever see.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from threading import Lock

import numpy as np

from watcher import detect
from watcher.engine.gather import Gathered
from watcher.model.series import Series
from watcher.model.watch import Watch
from watcher.store import looks
from watcher.store.database import Tx
from watcher.store.looks import Chart

_OPENED = 16  # calibrations of the watches that people look at just now; up to half a megabyte each


class Bands:
    """Fills in what the store does not have yet; safe to use from several threads."""

    def __init__(self) -> None:
        self._opened: OrderedDict[str, detect.Calibration] = OrderedDict()
        self._lock = Lock()

    def __call__(self, tx: Tx, watch: Watch, signal: str, chart: Chart) -> Chart:
        """The chart of a signal of `watch`, with a band wherever one can be said."""
        lacking = np.isnan(chart.expected) & (chart.times > watch.started_at)
        calibration = self._calibration(tx, watch.id) if lacking.any() else None
        if calibration is None or signal not in calibration.signals:
            return chart
        band = detect.band(calibration, signal, _series(watch, signal, chart))
        return replace(
            chart,
            expected=np.where(lacking, band.expected, chart.expected),
            low=np.where(lacking, band.low, chart.low),
            high=np.where(lacking, band.high, chart.high),
        )

    def _calibration(self, tx: Tx, watch_id: str) -> detect.Calibration | None:
        """What the watch's looks rest on for good; None if it is not there (yet, or any more), or of another engine."""
        with self._lock:
            known = self._opened.get(watch_id)
            if known is not None:
                self._opened.move_to_end(watch_id)
                return known
        data = looks.calibration(tx, watch_id)
        try:
            opened = None if data is None else detect.Calibration.from_bytes(data)
        except ValueError:
            return None
        if opened is not None:
            with self._lock:
                self._opened[watch_id] = opened
                while len(self._opened) > _OPENED:
                    self._opened.popitem(last=False)
        return opened


def _series(watch: Watch, signal: str, chart: Chart) -> Series:
    totals = None if np.isnan(chart.totals).all() else chart.totals
    return Series(chart.times, chart.values, watch.policy.signal(signal).step, math.inf, totals)


def keep_bands(tx: Tx, watch: Watch, gathered: Gathered) -> None:
    """Writes the bands of the points since the deploy, which no later engine might be able to make."""
    for name, series in gathered.recent.items():
        since = series.between(watch.started_at, math.inf)
        if len(since):
            looks.keep_band(tx, watch.id, name, detect.band(gathered.calibration, name, since))
