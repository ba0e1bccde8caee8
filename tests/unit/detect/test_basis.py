"""What a calibration says that it has settled on."""

from __future__ import annotations

import numpy as np
from support.signals import DAY, calibrated, control, day_curve, plan, series, signal, times

from watcher.detect import Baseline, Learned, learned
from watcher.detect.noise import Scale
from watcher.engine import advice
from watcher.model.series import Floats
from watcher.model.service import Kind


def drawn(rate: Floats, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).poisson(rate).astype(np.float64)


def found(at: Floats, rate: Floats) -> Learned | None:
    return learned(calibrated(plan(signal()), {"orders": series(at, drawn(rate))}), "orders")


def test_the_baseline_is_the_one_that_the_history_has() -> None:
    at = times(days=21)
    weekday = (at // DAY + 3) % 7
    level = found(at, np.full(len(at), 200.0))
    assert level is not None
    assert (level.baseline, level.scale, level.control) == (Baseline.LEVEL, Scale.EVENTS, None)
    daily = found(at, 200 * day_curve(at))
    assert daily is not None
    assert (daily.baseline, daily.days) == (Baseline.DAY, 21)
    weekend = found(at, 200 * day_curve(at) * np.where(weekday >= 5, 0.3, 1.0))
    assert weekend is not None
    assert weekend.baseline is Baseline.WORKDAY
    each = found(at, 200 * day_curve(at, 0.9) ** np.where(weekday % 2 == 0, 1.0, -1.0) * (1 + weekday / 3))
    assert each is not None
    assert each.baseline is Baseline.WEEKDAY


def test_the_scale_and_the_control_are_told_in_words() -> None:
    at = times()
    weather = np.exp(0.2 * np.cumsum(np.random.default_rng(3).normal(0, 0.05, len(at))))
    data = {"orders": series(at, drawn(200 * weather)), "other": series(at, drawn(200 * weather, 2))}
    one = learned(calibrated(plan(signal(), control("other")), data), "orders")
    assert one is not None
    assert one.control == "other"
    assert advice.basis(one).endswith(", and against other")
    latency = learned(calibrated(plan(signal(kind=Kind.LATENCY)), {"orders": series(at, 1 + drawn(weather))}), "orders")
    assert latency is not None
    assert advice.basis(latency).startswith("as logarithms, against ")


def test_what_cannot_be_judged_has_settled_on_nothing() -> None:
    at = times()[-70:]
    assert found(at, np.full(len(at), 200.0)) is None
