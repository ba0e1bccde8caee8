"""What a calibration has settled on for a signal: told to people, so that they can see whether it makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from watcher.detect.baseline import Profile
from watcher.detect.calibration import Calibration
from watcher.detect.noise import Scale


class Baseline(StrEnum):
    """What a bucket is held against."""

    LEVEL = "level"  # no time of day predicts anything
    DAY = "day"  # the same minute of other days
    WORKDAY = "workday"  # ... of other working days, or weekends
    WEEKDAY = "weekday"  # ... of the same day of other weeks


@dataclass(frozen=True, slots=True)
class Learned:
    """`days` of history are behind the baseline; `control` is the one that is used, named or found.

    Of a share above a half `odds` that it counts come to each that it leaves out; if `turned`, the latter are judged.
    `incidents` that were no deploy's were found, more than are chance, the newest at `newest_incident`, unix seconds.
    `clock_change`: when clocks were changed, if nobody had said so and the history shows it, unix seconds.
    """

    baseline: Baseline
    scale: Scale
    days: int
    control: str | None
    odds: float | None = None
    turned: bool = False
    incidents: int = 0
    newest_incident: float | None = None
    clock_change: float | None = None


def learned(calibration: Calibration, name: str) -> Learned | None:
    """Of the signal of that name; None if it cannot be judged."""
    calibrated = calibration.signals[name]
    judges = calibrated.judges
    if not judges:
        return None
    model = judges[-1].model
    side, incidents = calibrated.side, judges[0].incidents
    found = calibrated.axis.clock.changes if calibration.plan.zone is None else ()
    return Learned(
        baseline=_baseline(model.profile),
        scale=model.noise.scale,
        days=model.profile.days,
        control=judges[0].control,
        odds=side.odds,
        turned=side.turned,
        incidents=incidents.count if incidents is not None else 0,
        newest_incident=calibrated.axis.time(calibrated.first - incidents.age) if incidents is not None else None,
        clock_change=found[-1] if found else None,
    )


def _baseline(profile: Profile) -> Baseline:
    if float(np.ptp(profile.curves)) == 0:
        return Baseline.LEVEL
    return {1: Baseline.DAY, 2: Baseline.WORKDAY}.get(len(np.unique(profile.classes)), Baseline.WEEKDAY)
