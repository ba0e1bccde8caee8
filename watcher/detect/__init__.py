"""Series -> Findings: pure mathematics that knows no policy, no clock and no network.

`calibrate` once at a watch's start, over the service's own history, and `learned` for what it has settled on; `look` at
each look (`Judged` keeps what it made of points, for when it sees the same ones), or `highest` for a first idea of one;
`band` for the chart; `recovery` after a rollback. These and `Calibration` are all of it: an engine can be replaced
behind them.
"""

from __future__ import annotations

from watcher.detect.basis import Baseline, Learned, learned
from watcher.detect.calibration import Calibration, OtherEngineError, calibrate
from watcher.detect.judged import Judged
from watcher.detect.looking import highest, look
from watcher.detect.recovering import band, recovery

__all__ = [
    "Baseline",
    "Calibration",
    "Judged",
    "Learned",
    "OtherEngineError",
    "band",
    "calibrate",
    "highest",
    "learned",
    "look",
    "recovery",
]
