"""Deploys without harm at the odd hours of ordinary services: before opening, on a Saturday, at a launch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.signals import DAY, DEPLOY, calibrated, control, plan, series, signal, times, watched

from watcher.model.finding import Cause, Finding, State
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind

SEEDS = 12
MOST = 1  # false calls among SEEDS: at the 1 % that is set, two or more come once in 160
HOUR = 3600.0
MONDAY, TUESDAY, SATURDAY = DEPLOY - 2 * DAY, DEPLOY - DAY, DEPLOY + 3 * DAY


def traded(seed: int, at: Floats, mean: float, weekend: float) -> Floats:
    """Orders a bucket of a shop that opens from 8 to 20, each day a little better or worse than others."""
    rng = np.random.default_rng(seed)
    day = np.floor((at - 1) / DAY).astype(np.int64)
    hour = (at - 1) % DAY / HOUR
    rate = mean * ((hour >= 8) & (hour < 20)) * np.where((day + 3) % 7 < 5, 1.0, weekend)
    return np.asarray(rng.poisson(rate * np.exp(0.03 * rng.standard_normal(30)[day - day[0]])), dtype=np.float64)


def calls(of: Callable[[int], Finding]) -> int:
    return sum(of(seed).state is State.ALARM for seed in range(SEEDS))


def last(deploy: float, harm: Harm, at: Floats, data: Series, kind: Kind = Kind.COUNT) -> Finding:
    step, looks = data.step, int(np.count_nonzero(at > deploy))
    of = plan(signal(kind=kind, harm=harm, step=step), looks=looks, deploy=deploy)
    return watched(of, {"orders": data}, every=looks)[-1].of("orders")


@pytest.mark.parametrize("weekend", [0.0, 0.4])
@pytest.mark.parametrize("harm", [Harm.DOWN, Harm.UP])
@pytest.mark.parametrize(
    "deploy",
    [
        pytest.param(SATURDAY + 7 * HOUR, id="Saturday before opening"),
        pytest.param(MONDAY + 7.9 * HOUR, id="Monday just before opening"),
        pytest.param(TUESDAY + 19 * HOUR, id="an hour before closing"),
    ],
)
def test_hours_and_weekends_are_no_harm(deploy: float, harm: Harm, weekend: float) -> None:
    at = times(300.0, 21, 48, deploy)
    found = calls(lambda seed: last(deploy, harm, at, series(at, traded(seed, at, 60, weekend), step=300.0)))
    assert found <= MOST


@pytest.mark.parametrize("deploy", [SATURDAY + 17.5 * HOUR, SATURDAY + DAY + 17.5 * HOUR])
def test_one_weekend_tells_when_a_shop_closes(deploy: float) -> None:
    """From 10 to 18 on weekends, from 8 to 20 else; a week of history, half an hour before closing."""
    at = times(300.0, 7, 12, deploy)

    def quiet(seed: int) -> Finding:
        hour, weekend = (at - 1) % DAY / HOUR, (np.floor((at - 1) / DAY).astype(np.int64) + 3) % 7 >= 5
        opened = np.where(weekend, (hour >= 10) & (hour < 18), (hour >= 8) & (hour < 20))
        values = np.random.default_rng(seed).poisson(60 * opened).astype(np.float64)
        return last(deploy, Harm.DOWN, at, series(at, values, step=300.0))

    assert calls(quiet) <= MOST


def test_half_the_orders_missing_from_opening_on_is_harm_all_the_same() -> None:
    deploy = TUESDAY + 7.5 * HOUR
    at = times(300.0, 21, 48, deploy)

    def halved(seed: int) -> Finding:
        values = traded(seed, at, 60, 0.4)
        return last(deploy, Harm.DOWN, at, series(at, np.where(at > deploy, values // 2, values), step=300.0))

    assert calls(halved) >= SEEDS - 1


@pytest.mark.parametrize("harm", [Harm.DOWN, Harm.UP])
@pytest.mark.parametrize("before", [0, 3, 30, 1000])
def test_a_launch_proves_nothing_of_what_hardly_anybody_used(before: int, harm: Harm) -> None:
    """A share of 10 % before and after, of a few trials in the week before and of 50 a minute since."""
    at = times(days=7)

    def launched(seed: int) -> Finding:
        rng = np.random.default_rng(seed)
        totals = np.where(at > DEPLOY, rng.poisson(50, len(at)), rng.random(len(at)) < before / (7 * 1440))
        good = rng.binomial(totals.astype(np.int64), 0.1).astype(np.float64)
        return last(DEPLOY, harm, at, series(at, good, totals.astype(np.float64)), Kind.RATIO)

    assert calls(launched) <= MOST


@pytest.mark.parametrize("kind", [Kind.COUNT, Kind.RATIO])
def test_a_job_of_two_hours_a_day_is_judged_by_those_hours(kind: Kind) -> None:
    at = times(days=10)
    awake = (at - DEPLOY + 0.5 * HOUR) % DAY < 2 * HOUR

    def job(seed: int) -> Finding:
        rng = np.random.default_rng(seed)
        done = np.where(awake, rng.poisson(100, len(at)), 0).astype(np.float64)
        if kind is Kind.COUNT:
            return last(DEPLOY, Harm.DOWN, at, series(at, done))
        return last(
            DEPLOY, Harm.DOWN, at, series(at, rng.binomial(done.astype(np.int64), 0.5).astype(np.float64), done), kind
        )

    assert calls(job) <= MOST


def test_what_came_every_few_hours_is_how_the_signal_is() -> None:
    """Five minutes at twice the traffic, some five times a day, and once more after the deploy."""
    at = times(days=7)

    def pushed(seed: int) -> Finding:
        rng = np.random.default_rng(seed)
        rate = np.full(len(at), 200.0)
        for start in [*np.flatnonzero(rng.random(len(at) - 61) < 5 / 1440), len(at) - 40]:
            rate[start : start + 5] *= 2
        return last(DEPLOY, Harm.UP, at, series(at, rng.poisson(rate).astype(np.float64)))

    assert calls(pushed) <= MOST


def outages(seed: int, count: int, fall: float, again: bool = False) -> Finding:
    """A week with so many outages of forty minutes, in which three of five requests are lost; `again` in the watch."""
    at = times(days=7)
    rng = np.random.default_rng(seed)
    rate = 400 * np.where(at > DEPLOY, 1 - fall, 1.0)
    begins = 600 + (len(at) - 1200) * (np.arange(count) + rng.random(count)) / max(count, 1)
    for begin in [*begins.astype(np.int64), *([len(at) - 50] if again else [])]:
        rate[begin : begin + 40] *= 0.4
    return last(DEPLOY, Harm.DOWN, at, series(at, rng.poisson(rate).astype(np.float64)))


def test_outages_that_recur_are_not_the_deploys() -> None:
    assert calls(lambda seed: outages(seed, 10, fall=0.0, again=True)) <= MOST


def test_one_that_never_came_before_is_harm() -> None:
    assert calls(lambda seed: outages(seed, 0, fall=0.0, again=True)) == SEEDS


@pytest.mark.parametrize("count", [1, 2])
def test_an_outage_or_two_hide_no_small_harm(count: int) -> None:
    assert calls(lambda seed: outages(seed, count, fall=0.15)) >= SEEDS - 1


@pytest.mark.parametrize("hours", [2.5, 4.0])
def test_a_few_hours_of_history_call_no_more_than_a_long_one(hours: float) -> None:
    at = times(days=hours / 24)
    assert calls(lambda seed: last(DEPLOY, Harm.DOWN, at, _wandering(seed, at))) <= MOST


def _wandering(seed: int, at: Floats) -> Series:
    rng = np.random.default_rng(seed)
    level = np.zeros(len(at))
    for place in range(1, len(at)):
        level[place] = 0.9 * level[place - 1] + 0.436 * rng.standard_normal()
    return series(at, 100 + 5 * level)


def test_what_never_happened_cannot_be_seen_to_stop() -> None:
    at = times(days=7)
    found = last(DEPLOY, Harm.DOWN, at, series(at, np.zeros(len(at))))
    assert found.state is State.UNMEASURABLE
    assert found.cause is Cause.TOO_LITTLE_TRAFFIC


def test_a_counter_that_ran_over_a_week_ago_hides_no_harm() -> None:
    at = times(days=7)
    values = np.random.default_rng(1).poisson(np.where(at > DEPLOY, 50, 100)).astype(np.float64)
    values[5000] = 2.0**64
    assert last(DEPLOY, Harm.DOWN, at, series(at, values)).state is State.ALARM


@pytest.mark.parametrize("since", [0, 20])
def test_a_control_whose_exporter_hangs_blames_no_deploy(since: int) -> None:
    """Two signals that wander together, until one of them repeats its last value."""
    at = times()

    def hanging(seed: int) -> Finding:
        rng = np.random.default_rng(seed)
        both = _wandering(seed, at).values
        orders, others = (both + rng.standard_normal(len(at)) for _ in range(2))
        hung = at > DEPLOY + 60.0 * since
        data = {"orders": series(at, orders), "others": series(at, np.where(hung, others[~hung][-1], others))}
        of = plan(signal(kind=Kind.GAUGE), control("others", Kind.GAUGE))
        assert calibrated(of, data).controls(["orders"]) == {"others"}
        return watched(of, data, every=60)[-1].of("orders")

    assert calls(hanging) <= MOST
