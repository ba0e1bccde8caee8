"""What a signal does by itself: incidents that recur, and jobs that come at the same hour."""

from __future__ import annotations

import numpy as np
import pytest
from support.signals import DAY, DEPLOY, plan, series, signal, times, watched

from watcher.detect.incidents import Windows, find_incidents
from watcher.detect.tail import Growth, fit_tail
from watcher.detect.window import Ints
from watcher.model.finding import Cause, Finding, State
from watcher.model.series import Floats
from watcher.model.service import Harm

LOOKS, MINUTES = 60, 1440
SEEDS = 12
NOON, NIGHT = DEPLOY + DAY / 2, DEPLOY + 1.75 * 3600  # a quarter of an hour before the job
WEEK = np.arange(0, 7 * MINUTES - LOOKS, 10)


def seen(begins: Ints, here: int = 7 * MINUTES) -> tuple[Floats, Windows]:
    """A week's windows of an hour, with an excess of 50 where one holds a minute at which something began."""
    far = np.any((begins[:, None] >= WEEK) & (begins[:, None] < WEEK + LOOKS), axis=0)
    return np.where(far, 50.0, 1.0), Windows(WEEK, WEEK, LOOKS, 7 * 24.0, float(MINUTES), here)


def found(begins: Ints, here: int = 7 * MINUTES) -> tuple[int, int]:
    """How many incidents count for a watch that begins at `here`, and how many windows say nothing of it."""
    excess, windows = seen(begins, here)
    incidents, elsewhere = find_incidents(excess, windows, 10.0)
    return (incidents.count if incidents is not None else 0), int(elsewhere.sum())


def nightly(minute: int, days: range = range(7)) -> Ints:
    return np.array([day * MINUTES + minute for day in days])


def test_what_comes_at_the_same_hour_says_nothing_of_another() -> None:
    job = nightly(200) + np.array([0, 10, -20, 5, 15, -5, 0])
    count, left_out = found(job, here=7 * MINUTES + 720)
    assert count == 0
    assert left_out == np.count_nonzero(seen(job)[0] > 10)


@pytest.mark.parametrize("before", [0, 30, 55])
def test_at_its_hour_one_is_expected(before: int) -> None:
    excess, windows = seen(nightly(200), here=7 * MINUTES + 200 - before)
    incidents, elsewhere = find_incidents(excess, windows, 10.0)
    assert incidents is not None
    assert (incidents.count, incidents.rare) == (7, 0.0)
    assert not elsewhere.any()


def test_an_hour_at_midnight_is_one() -> None:
    around = nightly(1435, range(6)) + np.array([0, 10, -5, 10, 0, 8])
    assert found(around, here=7 * MINUTES + 720)[0] == 0


def test_many_in_one_night_are_no_habit() -> None:
    one_night = 3 * MINUTES + 200 + np.array([0, 150, 300, 450])
    assert found(one_night, here=7 * MINUTES + 720) == (4, 0)


def test_random_times_are_hardly_ever_taken_for_a_habit() -> None:
    rng = np.random.default_rng(1)
    left_out = [found(np.sort(rng.choice(np.arange(100, 7 * MINUTES - 100), 6, replace=False)))[1] for _ in range(300)]
    assert np.mean(np.array(left_out) > 0) < 0.03


def test_beside_a_nightly_job_others_count_as_before() -> None:
    others = np.array([700, 2500, 5000, 8000])
    assert found(np.sort(np.concatenate([nightly(200), others])), here=7 * MINUTES + 720)[0] == 4


@pytest.mark.parametrize("stride", [10, 61, 121])
def test_what_goes_on_for_hours_is_one_however_far_apart_windows_begin(stride: int) -> None:
    starts = np.arange(0, 28 * MINUTES - LOOKS, stride)
    windows = Windows(starts, starts, LOOKS, 28 * 24.0, float(MINUTES), 28 * MINUTES)
    for_hours = (starts > 9000) & (starts < 9480)
    assert find_incidents(np.where(for_hours, 50.0, 1.0), windows, 10.0)[0] is None


def test_the_newest_is_told_by_its_age() -> None:
    excess, windows = seen(np.array([700, 2500, 5000, 8003]))
    incidents, _ = find_incidents(excess, windows, 10.0)
    assert incidents is not None
    assert incidents.age == pytest.approx(7 * MINUTES - 8003, abs=10)


def test_windows_left_out_make_the_ordinary_tail_no_heavier() -> None:
    excess, windows = seen(nightly(200), here=7 * MINUTES + 720)
    quiet = 2.5 + 0.5 * np.sin(np.arange(len(WEEK)))
    with_job = np.where(excess > 10, 12.0, quiet)
    one, other = (fit_tail(each[None, :], windows, Growth.SQUARE).evidence_of_one(6.0) for each in (with_job, quiet))
    assert one == pytest.approx(other, rel=0.25)


def outages(seed: int, days: int, begins: list[int], length: int, harm: Harm, change: float) -> Finding:
    """Orders a minute; 60 % are lost for `length` minutes from each of `begins` on, minutes before the deploy."""
    at = times(days=days)
    rate = 400 * np.where(at > DEPLOY, 1 + change, 1.0)
    for begin in begins:
        rate = np.where((at > DEPLOY - 60 * begin) & (at <= DEPLOY - 60 * (begin - length)), rate * 0.4, rate)
    made = np.random.default_rng(seed).poisson(rate).astype(np.float64)
    return watched(plan(signal(harm=harm), looks=LOOKS), {"orders": series(at, made)}, every=LOOKS)[-1].of("orders")


@pytest.mark.parametrize(
    ("days", "begins", "length", "harm"),
    [
        pytest.param(14, [15000, 5000], 40, Harm.DOWN, id="two weeks"),
        pytest.param(14, [5000], 480, Harm.DOWN, id="one that went on for hours"),
        pytest.param(7, [8000, 3000], 180, Harm.EITHER, id="their falls and their ends"),
    ],
)
def test_one_or_two_tell_no_rate(days: int, begins: list[int], length: int, harm: Harm) -> None:
    found = sum(outages(seed, days, begins, length, harm, -0.2).state is State.ALARM for seed in range(SEEDS))
    assert found >= SEEDS - 1


@pytest.mark.parametrize("since", [120, 240])
def test_that_outages_recur_makes_none_the_deploys(since: int) -> None:
    """One that began before the deploy and goes on is told as such, the fourth of a week as well."""
    for seed in range(SEEDS // 2):
        at = times(days=7)
        lost = np.any([(at > DEPLOY - 60 * b) & (at <= DEPLOY - 60 * (b - 40)) for b in (9000, 6000, 3000)], axis=0)
        rate = 400 * np.where(lost, 0.4, 1.0) * np.where(at > DEPLOY - 60 * since, 0.5, 1.0)
        made = series(at, np.random.default_rng(seed).poisson(rate).astype(np.float64))
        found = watched(plan(signal(), looks=LOOKS), {"orders": made}, every=LOOKS)[-1].of("orders")
        assert found.cause is Cause.PRE_EXISTING


def shop_that_closes_at_about_eight(seed: int) -> Finding:
    """Two weeks; closing differs by twenty minutes from day to day; a third less since two in the afternoon."""
    deploy = DEPLOY + 14 * 3600
    at = times(days=14, deploy=deploy)
    rng = np.random.default_rng(seed)
    day = np.floor((at - 1) / DAY).astype(np.int64)
    closing = 20 * 3600 + 1200 * rng.uniform(-1, 1, 40)[day - day[0]]
    rate = 100 * (((at - 1) % DAY >= 8 * 3600) & ((at - 1) % DAY < closing)) * np.where(at > deploy, 0.67, 1.0)
    of = plan(signal(), looks=LOOKS, deploy=deploy)
    return watched(of, {"orders": series(at, rng.poisson(rate).astype(np.float64))}, every=LOOKS)[-1].of("orders")


def test_closing_time_is_no_incident_of_the_afternoon() -> None:
    assert sum(shop_that_closes_at_about_eight(seed).state is State.ALARM for seed in range(SEEDS)) >= SEEDS - 2


def job_at_two(seed: int, deploy: float, change: float) -> Finding:
    """Two weeks of orders a minute, and a job at about two o'clock: twenty minutes of some three times as many."""
    at = times(days=14, deploy=deploy)
    rng = np.random.default_rng(seed)
    rate = 200 * np.where(at > deploy, 1 + change, 1.0)
    for midnight in DEPLOY + DAY * np.arange(-15, 1):
        begin = midnight + 7200 + 600 * rng.standard_normal()
        rate = np.where((at > begin) & (at <= begin + 1200), rate * (1 + 2 * np.exp(0.3 * rng.standard_normal())), rate)
    of = plan(signal(harm=Harm.UP), looks=LOOKS, deploy=deploy)
    return watched(of, {"orders": series(at, rng.poisson(rate).astype(np.float64))}, every=LOOKS)[-1].of("orders")


@pytest.mark.parametrize(
    ("deploy", "change", "least", "most"),
    [(NOON, 0.2, SEEDS - 1, SEEDS), (NOON, 0.0, 0, 1), (NIGHT, 0.0, 0, 1)],
    ids=["harm at noon", "none at noon", "none at night"],
)
def test_a_nightly_job_is_neither_harm_nor_in_its_way(deploy: float, change: float, least: int, most: int) -> None:
    called = sum(job_at_two(seed, deploy, change).state is State.ALARM for seed in range(SEEDS))
    assert least <= called <= most
