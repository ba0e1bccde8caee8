"""A new version that starts cold: what is measured meanwhile is neither harm nor history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal as filters
from support.signals import DEPLOY, calibrated, control, day_curve, plan, series, signal, times, watched

from watcher import detect
from watcher.model.finding import Cause, Finding, State
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind
from watcher.model.watch import WatchPlan

COLD = 5 * 60.0
WINDOW = 3600.0
AT = times()
P95 = signal("p95", kind=Kind.LATENCY, harm=Harm.UP)
IS_COLD = (AT > DEPLOY) & (AT <= DEPLOY + COLD)


def cold(of: WatchPlan, length: float = COLD) -> WatchPlan:
    return replace(of, warm_up=length)


def latency(slow: Floats | float = 1.0, seed: int = 1) -> Series:
    """A p95 about 200 ms, four times that while the version is cold, and `slow` times that since the deploy."""
    noise = np.exp(0.08 * np.random.default_rng(seed).standard_normal(len(AT)))
    return series(AT, 0.2 * noise * np.where(IS_COLD, 4.0, 1.0) * np.where(AT > DEPLOY, slow, 1.0))


def last(of: WatchPlan, data: dict[str, Series]) -> Finding:
    return watched(of, data)[-1].of(of.signals[0].name)


def test_a_cold_start_is_harm_unless_it_is_left_out() -> None:
    assert last(plan(P95), {"p95": latency()}).state is State.ALARM
    found = last(cold(plan(P95)), {"p95": latency()})
    assert (found.state, found.cause, found.points, found.missing) == (State.QUIET, Cause.NO_HARM, 55, 0)


def test_harm_that_stays_is_called_as_soon_as_it_is_judged() -> None:
    found = watched(cold(plan(P95)), {"p95": latency(1.5)})
    called = next(each for each in found if each.of("p95").state is State.ALARM)
    assert DEPLOY + COLD < called.at <= DEPLOY + COLD + 5 * 60
    onset = called.of("p95").onset
    assert onset is not None
    assert DEPLOY <= onset <= DEPLOY + COLD + 60, "it began with the deploy, or when it was first seen"


def test_while_it_is_cold_nothing_is_known_and_nothing_is_stale() -> None:
    looks = [each.of("p95") for each in watched(cold(plan(P95)), {"p95": latency(9.0)}) if each.at <= DEPLOY + COLD]
    assert len(looks) == 5
    assert {(each.state, each.points, each.score) for each in looks} == {(State.QUIET, 0, 0.0)}


@pytest.mark.parametrize("minutes", [5, 10, 20])
def test_harm_from_before_the_deploy_is_still_older_than_it(minutes: int) -> None:
    """Half an hour of a doubled latency before the deploy, and on."""
    values = latency().values * np.where(AT > DEPLOY - 1800, 2.0, 1.0)
    assert last(cold(plan(P95), 60.0 * minutes), {"p95": series(AT, values)}).cause is Cause.PRE_EXISTING


@pytest.mark.parametrize("begun", [0.0, 30.0])
def test_no_part_of_a_bucket_is_judged_before_its_end(begun: float) -> None:
    """A deploy within a bucket: the first judged one begins when the warm-up is over."""
    of = replace(cold(plan(P95)), started_at=DEPLOY + begun)
    judged = calibrated(of, {"p95": latency()}).signals["p95"]
    assert judged.axis.time(judged.first - 1) == (DEPLOY + COLD if begun == 0 else DEPLOY + COLD + 60)


def test_what_a_warm_up_hides_is_told_as_what_cannot_be_seen() -> None:
    rng = np.random.default_rng(6)
    level = filters.lfilter([0.03], [1, -0.998], rng.standard_normal(len(AT)))
    data = {"orders": series(AT, rng.poisson(200 * np.exp(level)).astype(np.float64))}
    least = [last(cold(plan(signal()), length), data).detectable for length in (0.0, 900.0)]
    assert least[0] is not None
    assert least[1] is not None
    assert least[1] > 1.2 * least[0]


def test_the_band_does_not_follow_a_cold_start() -> None:
    of = cold(plan(P95))
    data = latency()
    shown = detect.band(calibrated(of, {"p95": data}), "p95", data)
    assert 0.15 < shown.expected[IS_COLD].min() <= shown.expected[IS_COLD].max() < 0.25


@pytest.mark.parametrize("change", [0.0, -0.2])
def test_a_control_is_left_out_for_as_long(change: float) -> None:
    rng = np.random.default_rng(4)
    shared = day_curve(AT) * np.exp(np.cumsum(0.01 * rng.standard_normal(len(AT))))
    orders = rng.poisson(100 * shared * np.where(AT > DEPLOY, 1 + change, 1.0) * np.where(IS_COLD, 0.2, 1.0))
    west = rng.poisson(100 * shared)
    of = cold(plan(replace(signal(), control="west"), control("west")))
    data = {"orders": series(AT, orders.astype(np.float64)), "west": series(AT, west.astype(np.float64))}
    assert (last(of, data).state is State.ALARM) == (change < 0)
