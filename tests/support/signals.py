"""Made signals for the decision engine: one seed, one series; no global state."""

from __future__ import annotations

import math

import numpy as np

from watcher import detect
from watcher.model.finding import Findings
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Role, Signal
from watcher.model.watch import WatchPlan

DEPLOY = 1_700_006_400.0  # a Wednesday, 00:00 UTC
DAY = 86_400.0


def signal(name: str = "orders", kind: Kind = Kind.COUNT, harm: Harm = Harm.DOWN, step: float = 60.0) -> Signal:
    return Signal(name=name, kind=kind, harm=harm, source="made", step=step)


def control(name: str, kind: Kind = Kind.COUNT, step: float = 60.0) -> Signal:
    return Signal(name=name, kind=kind, harm=Harm.EITHER, source="made", step=step, role=Role.CONTROL)


def plan(*signals: Signal, looks: int = 60, deploy: float = DEPLOY, probability: float = 0.01) -> WatchPlan:
    until = deploy + looks * signals[0].step
    return WatchPlan(tuple(signals), deploy, until, until, probability)


def times(step: float = 60.0, days: float = 5.0, looks: int = 60, deploy: float = DEPLOY) -> Floats:
    return np.asarray(deploy + step * np.arange(-int(days * DAY / step) + 1, looks + 1), dtype=np.float64)


def day_curve(at: Floats, depth: float = 0.5) -> Floats:
    return np.asarray(1 + depth * np.sin(2 * math.pi * at / DAY), dtype=np.float64)


def series(at: Floats, values: Floats, totals: Floats | None = None, step: float = 60.0) -> Series:
    return Series(times=at, values=values, step=step, complete_until=math.inf, totals=totals)


def orders(seed: int, change: float = 0.0, mean: float = 100.0, looks: int = 60, since: float = DEPLOY) -> Series:
    """Poisson counts a minute with a day-curve, changed by `change` after `since`."""
    at = times(looks=looks)
    rate = mean * day_curve(at) * np.where(at > since, 1 + change, 1.0)
    return series(at, np.random.default_rng(seed).poisson(rate).astype(np.float64))


def calibrated(of: WatchPlan, data: dict[str, Series]) -> detect.Calibration:
    return detect.calibrate(of, {name: each.between(-math.inf, of.started_at) for name, each in data.items()})


def watched(of: WatchPlan, data: dict[str, Series], every: int = 1) -> list[Findings]:
    """All looks of a watch, as a live one would have made them."""
    calibration = calibrated(of, data)
    first = next(iter(data.values()))
    looks = first.times[(first.times > of.started_at) & (first.times <= max(of.until, of.ticket_until))][
        every - 1 :: every
    ]
    out: list[Findings] = []
    for at in looks.tolist():
        recent = {name: each.between(calibration.recent_from, at) for name, each in data.items()}
        out.append(detect.look(calibration, recent, at, out[-1] if out else None))
    return out
