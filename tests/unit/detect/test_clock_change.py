"""Twice a year habits move by an hour of UTC: where users live is known, or read off the history, or neither."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.signals import DAY, calibrated, plan, series, signal, watched

from watcher import detect
from watcher.detect.baseline import kin_days
from watcher.detect.local_time import Clock, clock_of
from watcher.detect.window import Axis
from watcher.model.finding import State
from watcher.model.series import Floats, Series
from watcher.model.service import Harm

HOUR = 3600.0
SUNDAY = datetime(2026, 10, 25, tzinfo=UTC).timestamp()  # at 01:00 UTC clocks in Europe are set back
SPRING = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
SEEDS = range(6)
OPEN, CLOSED = 8.0, 20.0


def shop(seed: int, deploy: float, zone: str | None, harm: float = 0.0, step: float = 60.0) -> Series:
    """Open from eight to eight on the clocks of `zone`; an hour since `deploy`, and two weeks before."""
    at = np.arange(deploy - 14 * DAY + step, deploy + HOUR + step / 2, step)
    local = clock_of(zone or "UTC", at[0], at[-1]).local(at - step / 2)
    hour = local % DAY / HOUR
    trade = np.where((hour >= OPEN) & (hour < CLOSED), 1 + 0.5 * np.sin((hour - OPEN) / 12 * np.pi), 0.0)
    weekend = (local // DAY + 3) % 7 >= 5
    rate = 2.0 * step * trade * np.where(weekend, 0.6, 1.0) * np.where(at > deploy, 1 + harm, 1.0)
    return series(at, np.random.default_rng(seed).poisson(rate).astype(np.float64), step=step)


def called(deploy: float, lives: str | None, told: str | None, harm: Harm, change: float = 0.0) -> int:
    """In how many of the made watches harm is called."""
    of = replace(plan(signal(harm=harm), deploy=deploy), zone=told)
    found = [watched(of, {"orders": shop(seed, deploy, lives, change)}, every=10)[-1] for seed in SEEDS]
    return sum(each.signals[0].state is State.ALARM for each in found)


# Half an hour before it opens or closes, on its own clocks, today and as they were.
@pytest.mark.parametrize("hour", [5.5, 6.5, 7.5, 17.5, 18.5])
@pytest.mark.parametrize("day", [SUNDAY + DAY, SPRING + DAY, SUNDAY + 4 * DAY])
@pytest.mark.parametrize("told", ["Europe/Berlin", None])
def test_no_deploy_is_blamed_for_clocks_that_were_changed(hour: float, day: float, told: str | None) -> None:
    for harm in (Harm.DOWN, Harm.UP):
        assert called(day + hour * HOUR, "Europe/Berlin", told, harm) == 0


def test_where_it_is_told_not_even_on_that_day() -> None:
    for hour in (5.5, 6.5, 18.5):
        for harm in (Harm.DOWN, Harm.UP):
            assert called(SUNDAY + hour * HOUR, "Europe/Berlin", "Europe/Berlin", harm) == 0


def test_harm_is_seen_all_the_same() -> None:
    for told in ("Europe/Berlin", None):
        assert called(SUNDAY + 2 * DAY + 11 * HOUR, "Europe/Berlin", told, Harm.DOWN, -0.3) == len(SEEDS)


@pytest.mark.parametrize("lives", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("after", [1.5, 5.0])
def test_who_changes_no_clocks_keeps_theirs(lives: str, after: float) -> None:
    deploy = SUNDAY + after * DAY
    for seed in SEEDS:
        made = calibrated(plan(signal(), deploy=deploy), {"orders": shop(seed, deploy, lives)})
        assert made.signals["orders"].axis.clock.changes == ()


def flat(deploy: float, seed: int) -> Floats:
    return np.random.default_rng(seed).poisson(100.0, round(14 * DAY / 60) + 60).astype(np.float64)


def test_a_signal_without_habits_shows_no_clocks() -> None:
    deploy = SUNDAY + 3 * DAY
    at = np.arange(deploy - 14 * DAY + 60, deploy + HOUR + 30, 60.0)
    for seed in SEEDS:
        made = calibrated(plan(signal(), deploy=deploy), {"orders": series(at, flat(deploy, seed))})
        assert made.signals["orders"].axis.clock.changes == ()


def test_the_hour_of_a_nightly_job_is_one_on_both_sides_of_a_change() -> None:
    """By UTC it would have come at two hours, each of half the days."""
    deploy = SUNDAY + 6 * DAY + 0.75 * HOUR  # a quarter to two in Berlin
    at = np.arange(deploy - 14 * DAY + 60, deploy + HOUR + 30, 60.0)
    local = clock_of("Europe/Berlin", at[0], at[-1]).local(at - 30)
    of = replace(plan(signal(harm=Harm.UP), deploy=deploy), zone="Europe/Berlin")
    alarms = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        begins = dict(enumerate(2 * HOUR + 600 * rng.normal(size=16)))
        first = int(local[0] // DAY)
        late = local % DAY - np.array([begins[int(day) - first] for day in local // DAY])
        rate = 100.0 * np.where((late >= 0) & (late < 1200), 3.0, 1.0)
        made = series(at, rng.poisson(rate).astype(np.float64))
        alarms += watched(of, {"orders": made}, every=10)[-1].signals[0].state is State.ALARM
    assert alarms <= 1


def test_a_recovery_after_the_window_goes_by_clocks_that_are_changed_by_then() -> None:
    deploy = SUNDAY - 0.5 * HOUR
    of = replace(plan(signal(), deploy=deploy), zone="Europe/Berlin")
    made = calibrated(of, {"orders": shop(1, deploy, "Europe/Berlin")})
    assert of.until < SUNDAY + HOUR
    assert made.signals["orders"].axis.clock.ahead == (7200.0, 3600.0)


def test_a_clock_that_goes_back_over_midnight_has_days_all_the_same() -> None:
    back = Clock((SUNDAY + 60.0,), (0.0, -3600.0))
    axis, minutes = Axis(0.0, 60.0, back), np.arange(int(SUNDAY / 60) + 1, int(SUNDAY / 60) + 3 * 1440)
    assert kin_days(axis, minutes, minutes[-2:]) == 2  # Monday and Tuesday; most of Sunday, and a little of Saturday


def test_what_was_read_off_is_kept_with_the_calibration() -> None:
    deploy = SUNDAY + 2 * DAY + 11 * HOUR
    made = calibrated(plan(signal(), deploy=deploy), {"orders": shop(1, deploy, "Europe/Berlin")})
    assert made.signals["orders"].axis.clock.ahead == (3600.0, 0.0)
    again = detect.Calibration.from_bytes(made.to_bytes())
    assert again.signals["orders"].axis == made.signals["orders"].axis
