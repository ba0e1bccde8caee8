"""From the largest deviations of quiet windows to the probability of a larger one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.signals import DEPLOY, times

from watcher.detect.modelling import fit_model
from watcher.detect.tail import Growth, fit_tail
from watcher.detect.window import Axis, Grid
from watcher.model.service import Kind

NEAR_NORMAL = np.abs(np.random.default_rng(1).standard_normal((400, 60))).max(axis=1)


def test_half_of_a_tail_of_near_normal_sums_is_known_before_any_history() -> None:
    tail = fit_tail(np.empty(0), 0.0, Growth.SQUARE)
    assert tail.evidence_of_one(tail.threshold) == pytest.approx(np.log(5))
    assert tail.evidence_of_one(6.0) > np.log(100)


def test_where_sums_are_not_near_normal_the_history_says_more() -> None:
    wild = np.concatenate([NEAR_NORMAL[:360], np.linspace(4, 5.2, 40)])
    usual, doubted = (fit_tail(wild, 60.0, Growth.SQUARE, trust) for trust in (1.0, 0.5))
    assert doubted.evidence_of_one(5.5) < usual.evidence_of_one(5.5) - 0.1
    alike = [fit_tail(NEAR_NORMAL, 60.0, Growth.SQUARE, trust).evidence_of_one(4.0) for trust in (1.0, 0.5)]
    assert alike[0] == pytest.approx(alike[1], abs=0.5)


def test_of_violent_harm_less_is_known_before_any_history_and_a_long_one_makes_up_for_it() -> None:
    few, many = NEAR_NORMAL[:30], NEAR_NORMAL
    light, heavy = (fit_tail(few, 6.0, growth).evidence_of_one(5.5) for growth in (Growth.SQUARE, Growth.HEAVY))
    assert heavy < light - 1.0
    light, heavy = (fit_tail(many, 400.0, growth).evidence_of_one(5.5) for growth in (Growth.SQUARE, Growth.HEAVY))
    assert heavy == pytest.approx(light, rel=0.15)


@pytest.mark.parametrize("mean", [0.05, 2.0, 200.0])
def test_events_in_a_bucket_are_counted(mean: float) -> None:
    at = times()
    grid = Grid(0, np.random.default_rng(1).poisson(mean, len(at)).astype(np.float64), None)
    _, past = fit_model(Axis(DEPLOY, 60.0), grid, Kind.COUNT, None, 60)
    assert past.events == pytest.approx(mean, rel=0.2)


def test_a_gauge_has_no_events() -> None:
    grid = Grid(0, np.random.default_rng(1).normal(100, 10, len(times())), None)
    assert fit_model(Axis(DEPLOY, 60.0), grid, Kind.GAUGE, None, 60)[1].events == math.inf
