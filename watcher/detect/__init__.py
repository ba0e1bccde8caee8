"""Series -> Findings: pure mathematics that knows no policy, no clock and no network.

`calibrate` once at a watch's start, over the service's own history; `look` at each look; `recovery` after a rollback.
The three functions and `Calibration` are the whole interface: an engine can be replaced behind them.
"""

from __future__ import annotations
