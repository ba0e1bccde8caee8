"""A control speaks for the buckets that it has; where it is silent, the own history judges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.signals import DEPLOY, calibrated, control, plan, series, signal, times

from watcher import detect
from watcher.model.finding import Cause, Finding, Findings, State
from watcher.model.series import Series

LOOKS = 60
MINUTE = 60.0


def shop(seed: int, harm: float, since: float, touched: float = 0.0) -> dict[str, Series]:
    """Two regions of one shop, whose traffic wanders together; `touched`: what the control loses of its own."""
    rng, at = np.random.default_rng(seed), times(looks=LOOKS)
    steps = 0.08 * math.sqrt(1 - 0.95**2) * rng.standard_normal(len(at))
    level = np.zeros(len(at))
    for place in range(1, len(at)):
        level[place] = 0.95 * level[place - 1] + steps[place]
    both = 300 * np.exp(level)
    after = at > since
    return {
        "orders": series(at, rng.poisson(both * np.where(after, 1 + harm, 1.0)).astype(np.float64)),
        "others": series(at, rng.poisson(both * np.where(after, 1 + touched, 1.0)).astype(np.float64)),
    }


def last(data: dict[str, Series]) -> Finding:
    """The last of a watch's looks, all of them made."""
    of = plan(signal(), control("others"), looks=LOOKS)
    calibration = calibrated(of, data)
    assert calibration.controls(["orders"]) == {"others"}
    found: Findings | None = None
    for at in (DEPLOY + MINUTE * np.arange(1, LOOKS + 1)).tolist():
        recent = {name: each.between(-math.inf, at) for name, each in data.items()}
        found = detect.look(calibration, recent, at, found)
    assert found is not None
    return found.of("orders")


@pytest.mark.parametrize("stops", [20, 41, 57])
def test_a_control_that_stops_hides_no_harm(stops: int) -> None:
    data = shop(4, -0.6, DEPLOY + 41 * MINUTE)
    data["others"] = data["others"].between(-math.inf, DEPLOY + stops * MINUTE)
    assert last(data).state is State.ALARM


def test_a_control_with_a_gap_hides_no_harm_in_it() -> None:
    data = shop(4, -0.6, DEPLOY + 30 * MINUTE)
    at = data["others"].times
    data["others"] = data["others"].taken(np.flatnonzero((at <= DEPLOY + 28 * MINUTE) | (at > DEPLOY + 45 * MINUTE)))
    of = plan(signal(), control("others"), looks=LOOKS)
    at_gap = DEPLOY + 44 * MINUTE
    recent = {name: each.between(-math.inf, at_gap) for name, each in data.items()}
    found = detect.look(calibrated(of, data), recent, at_gap, None).of("orders")
    assert found.state is State.ALARM


def test_a_control_that_lags_a_little_is_used_all_the_same() -> None:
    data = shop(6, 0.0, DEPLOY)
    both = last(data)
    data["others"] = data["others"].between(-math.inf, DEPLOY + (LOOKS - 2) * MINUTE)
    assert last(data).detectable == both.detectable
    assert last(data).state is State.QUIET


def test_certain_harm_that_only_the_control_explains_is_not_called_healthy() -> None:
    """The deploy touches the control too, by less than what proves that it moved."""
    found = [last(shop(seed, -0.3, DEPLOY, touched=-0.3)) for seed in range(4)]
    assert {each.cause for each in found} <= {Cause.SHARED_WITH_CONTROL, Cause.LEVEL_SHIFT}
    assert all(each.state in {State.SUSPECT, State.ALARM} for each in found)
