"""Harm that the deploy arrived with is not the deploy's, and harm that it did is not called older."""

from __future__ import annotations

import numpy as np
import pytest
from support.signals import DEPLOY, day_curve, orders, plan, series, signal, times, watched

from watcher.detect.onset import locate
from watcher.model.finding import Cause, Findings, State
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Signal

LOOKS = 60
RATIO = signal("conversion", Kind.RATIO)
LATENCY = signal("p95", Kind.LATENCY, Harm.UP)
GAUGE = signal("in stock", Kind.GAUGE)


def _made(of: Signal, seed: int, factor: Floats, at: Floats) -> Series:
    rng = np.random.default_rng(seed)
    if of.kind is Kind.RATIO:
        totals = rng.poisson(400 * day_curve(at)).astype(np.float64)
        return series(at, rng.binomial(totals.astype(np.int64), 0.1 * factor).astype(np.float64), totals)
    if of.kind is Kind.LATENCY:
        return series(at, 0.2 * np.exp(0.2 * rng.standard_normal(len(at))) * factor)
    if of.kind is Kind.GAUGE:
        return series(at, 50 * factor + 4 * rng.standard_normal(len(at)))
    return series(at, rng.poisson(100 * day_curve(at) * factor).astype(np.float64))


def _watched(of: Signal, seed: int, *steps: tuple[float, float]) -> Findings:
    """The last look, or the first alarm; each step is a factor from so many buckets after the deploy on."""
    at = times(days=4)
    factor = np.ones(len(at))
    for since, size in steps:
        factor[at > DEPLOY + 60 * since] = size
    looks = watched(plan(of), {of.name: _made(of, seed, factor, at)}, every=4)
    return next((each for each in looks if each.score >= 2), looks[-1])


@pytest.mark.parametrize("since", [-12, -30, -60, -90, -150])
@pytest.mark.parametrize("of", [RATIO, LATENCY, GAUGE, signal()], ids=lambda of: of.kind.value)
def test_harm_from_before_the_deploy_is_pre_existing(of: Signal, since: int) -> None:
    size = 1.5 if of.harm is Harm.UP else 0.6
    last = _watched(of, -since, (since, size))
    assert last.score < 2
    assert last.signals[0].cause is Cause.PRE_EXISTING
    assert last.signals[0].state is State.SUSPECT


@pytest.mark.parametrize("buckets", [10, 50])
def test_a_slide_that_ended_before_the_deploy_is_pre_existing(buckets: int) -> None:
    at = times(days=4)
    factor = 1 - 0.4 * np.clip((at - DEPLOY) / 60 / buckets + 1.2, 0, 1)
    last = watched(plan(signal()), {"orders": _made(signal(), buckets, factor, at)}, every=4)[-1]
    assert last.score < 2
    assert last.of("orders").cause is Cause.PRE_EXISTING


def test_an_old_loss_that_has_become_usual_is_no_harm() -> None:
    last = _watched(signal(), 1, (-2400, 0.7))
    assert last.score < 1
    assert last.signals[0].cause is Cause.NO_HARM


@pytest.mark.parametrize("since", [-40, -200])
def test_harm_that_grows_at_the_deploy_is_still_called(since: int) -> None:
    first = _watched(signal(), -since, (since, 0.8), (0, 0.5))
    assert first.score >= 2
    assert first.signals[0].state is State.ALARM
    assert first.signals[0].onset == pytest.approx(DEPLOY, abs=180)


@pytest.mark.parametrize("of", [RATIO, LATENCY, signal()], ids=lambda of: of.kind.value)
def test_harm_that_begins_with_the_deploy_is_not_called_older(of: Signal) -> None:
    size = 1.4 if of.harm is Harm.UP else 0.7
    ends = [_watched(of, seed, (0, size)) for seed in range(12)]
    # At one per cent each, two of 36 are a one in twenty chance for all three kinds together.
    assert sum(each.signals[0].cause is Cause.PRE_EXISTING for each in ends) <= 1
    assert sum(each.score >= 2 for each in ends) >= 11


def test_a_quiet_service_arrives_with_nothing() -> None:
    ends = [watched(plan(signal()), {"orders": orders(seed)}, every=30)[-1] for seed in range(200, 240)]
    # At one per cent of 40 watches, more than three are a one in a thousand chance.
    assert sum(each.of("orders").cause is Cause.PRE_EXISTING for each in ends) <= 3


def test_the_end_of_a_burst_is_no_harm_to_arrive_with() -> None:
    at = times(days=4)
    factor = np.where((at > DEPLOY - 5400) & (at <= DEPLOY - 1200), 4.0, 1.0)
    last = watched(plan(signal()), {"orders": _made(signal(), 5, factor, at)}, every=30)[-1]
    assert last.of("orders").cause is Cause.NO_HARM


def test_the_onset_is_found_within_three_buckets() -> None:
    finds = [_watched(RATIO, seed, (10, 0.7)).signals[0] for seed in range(20)]
    off = [abs(each.onset - DEPLOY - 600) / 60 for each in finds if each.onset is not None]
    within = [
        each.onset_low <= DEPLOY + 600 <= each.onset_high
        for each in finds
        if each.onset_low is not None and each.onset_high is not None
    ]
    # 95 % each: fewer than 17 of 20 would be a chance of two in a hundred.
    assert sum(each <= 3 for each in off) >= 17
    assert sum(within) >= 17


def test_the_onset_interval_holds_what_is_nearly_as_likely() -> None:
    gain = np.array([0.0, 0.0, 0.0, 1.0, 9.0, 12.0, 13.0, 11.0, 4.0, 0.0])
    found = locate(gain, 0)
    assert found is not None
    assert (found.at, found.low, found.high) == (6, 5, 7)
    assert locate(gain[:5], 0) is None
