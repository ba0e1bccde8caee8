"""Levels that drift away: what is usual, what was under way already, and what only a drift shows."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.signals import DEPLOY, calibrated, orders, plan, series, signal, times, watched

from watcher.detect.drift import Drift, fit_drift
from watcher.detect.fitting import CORROBORATED, Judge
from watcher.detect.incidents import Windows
from watcher.model.finding import State
from watcher.model.series import Floats, Series

LOOKS = 60


def wandering(size: int, seed: int = 1) -> Floats:
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.01, size))


def fitted(level: Floats) -> tuple[Drift, Floats]:
    starts = np.arange(200, len(level) - LOOKS, 10)
    windows = Windows(starts, starts, LOOKS, len(level) / LOOKS, 1440.0, len(level))
    return fit_drift(level, 0.0, windows, (1.0, -1.0), 1.0, bounded=True)


def test_the_spread_is_that_of_the_history() -> None:
    drift, _ = fitted(wandering(20_000))
    looks = np.arange(10, LOOKS)
    # A walk of n steps, less what of it is held against the walk before: between one s.d. and the root of two.
    ratio = drift.spread[looks] / (0.01 * np.sqrt(looks))
    assert np.all((ratio > 1.0) & (ratio < 1.5))


def test_a_level_that_goes_on_as_before_is_no_drift() -> None:
    drift, _ = fitted(wandering(5000))
    falling = -0.02 * np.arange(-LOOKS, LOOKS, dtype=np.float64)
    under_way = Drift(falling[:LOOKS][::-1], drift.spread, drift.tail)
    level_before = Drift(np.full(LOOKS, falling[LOOKS]), drift.spread, drift.tail)
    assert np.abs(under_way.since(falling[LOOKS:], -1.0)).max() < 1e-9
    assert level_before.since(falling[LOOKS:], -1.0).max() > 5
    assert level_before.since(falling[LOOKS:], 1.0).max() <= 0


def test_what_was_said_of_a_look_is_said_later_as_well() -> None:
    drift, _ = fitted(wandering(5000))
    level = wandering(LOOKS + 20, 2)  # a watch may see more than its window
    whole = drift.since(level, -1.0)
    assert len(whole) == LOOKS
    for size in (0, 1, 2, 17, LOOKS):
        assert np.array_equal(drift.since(level[:size], -1.0), whole[:size])


@pytest.mark.parametrize("level", [np.zeros(500), np.full(500, 3.0), np.empty(0), np.zeros(3)])
def test_nothing_that_moves_is_no_drift(level: Floats) -> None:
    starts = np.arange(0, max(len(level) - LOOKS, 0), 10) if len(level) > LOOKS else np.empty(0, dtype=np.int64)
    if not len(level):
        level = np.zeros(1)
    windows = Windows(starts, starts, LOOKS, 5.0, 1440.0, len(level))
    drift, largest = fit_drift(level, 0.0, windows, (-1.0,), 1.0, bounded=True)
    assert np.all(largest == 0)
    assert np.isfinite(drift.since(np.zeros(LOOKS), -1.0)).all()


def test_a_drift_counts_as_far_as_the_scans_show_it_too() -> None:
    judge = a_judge()
    little = judge.lasting.level(2.5)
    scanned = max(judge.parts(little, 0.0, 0.0))
    assert scanned > 0.5
    assert max(judge.parts(0.0, 0.0, 12.0)) == 0
    assert max(judge.parts(little, 0.0, 12.0)) == pytest.approx(CORROBORATED * scanned)
    assert max(judge.parts(little, 0.0, 0.1)) == scanned


@given(st.tuples(*[st.floats(-9, 60)] * 3))
def test_one_window_says_what_it_says_among_many(maxima: tuple[float, float, float]) -> None:
    judge = a_judge()
    many = judge.evidence(*(np.array([each, 0.0, 3.0]) for each in maxima))
    assert many[0] == pytest.approx(max(judge.parts(*maxima)), abs=1e-12)


@functools.cache
def a_judge() -> Judge:
    return calibrated(plan(signal()), {"orders": orders(1)}).signals["orders"].judges[0]


def slow_fall(seed: int, share: float) -> Series:
    """Orders whose level wanders from hour to hour; after the deploy a growing share of them is lost."""
    at = times()
    rng = np.random.default_rng(seed)
    walk = np.zeros(len(at))
    for place in range(1, len(at)):
        walk[place] = 0.98 * walk[place - 1] + 0.01 * rng.standard_normal()
    lost = np.clip((at - DEPLOY) / 1800, 0, 1) * share
    return series(at, rng.poisson(400 * np.exp(walk) * (1 - lost)).astype(np.float64))


def test_a_loss_that_grows_over_half_an_hour_is_called() -> None:
    called = [watched(plan(signal()), {"orders": slow_fall(seed, 0.25)}, every=10)[-1] for seed in range(6)]
    assert sum(each.of("orders").state is State.ALARM for each in called) >= 5
    quiet = [watched(plan(signal()), {"orders": slow_fall(seed, 0.0)}, every=60)[-1] for seed in range(10, 30)]
    assert sum(each.of("orders").state is State.ALARM for each in quiet) <= 2
