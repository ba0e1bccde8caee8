"""What closes has an edge, and a few days tell where: before it all is as usual, after it next to nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from support.signals import DAY, DEPLOY, plan, series, signal, times, watched

from watcher.detect.baseline import fit_profile
from watcher.detect.days import Table
from watcher.detect.window import Axis
from watcher.model.finding import State
from watcher.model.series import Floats
from watcher.model.service import Harm

HOUR = 3600.0
TUESDAY, SATURDAY, SUNDAY = DEPLOY + 6 * DAY, DEPLOY + 3 * DAY, DEPLOY + 4 * DAY
SEEDS = 8
MOST = 2  # where it was wrong it was so in half of them, and more
OPENS, CLOSES = 8 * 60, 20 * 60  # minutes


def trade(at: Floats, night: float, later: float = 0.0) -> Floats:
    """Events a minute: about 150 by day, `night` of 120 by night, fewer on weekends; all of it `later` hours later."""
    at = at - later * HOUR
    hour = (at - 30) % DAY / HOUR
    opened = (hour >= OPENS / 60) & (hour < CLOSES / 60)
    rate = 120 * np.where(opened, 1 + 0.5 * np.sin((hour - 8) / 12 * np.pi), night)
    return np.asarray(rate * np.where(((at - 30) // DAY + 3) % 7 >= 5, 0.6, 1.0), dtype=np.float64)


# Half an hour before it opens or closes; few days before it are of its kind, and of none all of that hour.
@pytest.mark.parametrize("hour", [7.5, 19.5])
@pytest.mark.parametrize(
    ("day", "days"), [(TUESDAY, 3), (TUESDAY, 5), (SATURDAY, 7), (SATURDAY, 10), (SUNDAY, 13), (SUNDAY, 14)]
)
@pytest.mark.parametrize("night", [0.0, 0.003, 0.05])
def test_no_deploy_is_blamed_for_the_hour(night: float, day: float, days: int, hour: float) -> None:
    deploy = day + hour * HOUR
    at = times(days=days, deploy=deploy)
    rate = trade(at, night)
    for harm in (Harm.DOWN, Harm.UP):
        of = plan(signal(harm=harm), deploy=deploy)
        made = [series(at, np.random.default_rng(seed).poisson(rate).astype(np.float64)) for seed in range(SEEDS)]
        found = [watched(of, {"orders": each}, every=60)[-1].signals[0] for each in made]
        assert sum(each.state is State.ALARM for each in found) <= MOST


@pytest.mark.parametrize(("later", "hour"), [(3.5, 19.5), (3.5, 7.5), (-7.5, 19.5), (-7.5, 7.5)])
def test_a_night_may_begin_or_end_about_midnight(later: float, hour: float) -> None:
    """Of UTC: it is another hour where users are."""
    deploy = SATURDAY + (hour + later) * HOUR
    at = times(days=7, deploy=deploy)
    for harm in (Harm.DOWN, Harm.UP):
        of = plan(signal(harm=harm), deploy=deploy)
        rate = trade(at, 0.003, later)
        made = [series(at, np.random.default_rng(seed).poisson(rate).astype(np.float64)) for seed in range(SEEDS)]
        found = [watched(of, {"orders": each}, every=60)[-1].signals[0] for each in made]
        assert sum(each.state is State.ALARM for each in found) <= MOST


def test_a_night_that_falls_slowly_has_no_edge() -> None:
    at = times(days=7, looks=0, deploy=DEPLOY)
    rate = 100 * (1 - 0.97 * np.cos(at / DAY * 2 * np.pi))
    values = np.random.default_rng(1).poisson(rate).astype(np.float64)
    profile, _ = fit_profile(Axis(0.0, 60.0), np.rint(at / 60).astype(np.int64), values, np.ones(len(at)), 3.0)
    expected = 100 * (1 - 0.97 * np.cos((np.arange(1440) + 0.5) / 1440 * 2 * np.pi))
    crossing = np.abs(expected - 0.25 * expected.mean()) < 8
    assert np.abs(profile.curves[0] / expected - 1)[crossing].max() < 0.08


@pytest.mark.parametrize("mean", [1.0, 5.0])
def test_what_a_day_or_two_had_by_chance_is_no_habit(mean: float) -> None:
    deploy = DEPLOY + 13 * HOUR
    at = times(days=31 / 24, deploy=deploy)
    of = plan(signal(harm=Harm.UP), deploy=deploy)
    made = [series(at, np.random.default_rng(seed).poisson(mean, len(at)).astype(np.float64)) for seed in range(20)]
    found = [watched(of, {"orders": each}, every=60)[-1].signals[0] for each in made]
    assert sum(each.state is State.ALARM for each in found) <= MOST


def test_a_few_minutes_in_common_prove_no_habit() -> None:
    curve, bins = np.sin(np.arange(1440.0) / 50), np.arange(1440)
    for common, trusted in ((100, False), (900, True)):
        weight = np.stack([bins < 720 + common / 2, bins >= 720 - common / 2]).astype(np.float64)
        assert (Table(curve * weight, weight, 0.0, 1440, 0.0).agreement(3, 0, 0.4) > 0.9) == trusted


def test_after_one_saturday_it_is_known_when_a_sunday_ends() -> None:
    deploy = SUNDAY + 19.5 * HOUR
    at = times(days=5, deploy=deploy)
    for seed in range(SEEDS):
        made = series(at, np.random.default_rng(seed).poisson(trade(at, 0.0)).astype(np.float64))
        finding = watched(plan(signal(), deploy=deploy), {"orders": made}, every=60)[-1].signals[0]
        assert finding.state is not State.ALARM


@pytest.mark.parametrize("night", [0.0, 0.003, 0.05, 0.1])
@pytest.mark.parametrize("days", [3, 7])
def test_the_curve_of_a_few_days_has_the_edges(days: int, night: float) -> None:
    at = times(days=days, looks=0, deploy=DEPLOY)
    values = np.random.default_rng(days).poisson(trade(at, night)).astype(np.float64)
    profile, _ = fit_profile(Axis(0.0, 60.0), np.rint(at / 60).astype(np.int64), values, np.ones(len(at)), 3.0)
    curve = profile.curves[profile.classes[2]]
    by_day, by_night = curve[OPENS + 30], curve[OPENS - 30]
    assert by_night < 0.2 * by_day
    inside, outside = (
        np.concatenate([curve[OPENS + low : OPENS + high], curve[CLOSES - high : CLOSES - low]])
        for low, high in ((0, 5), (-5, 0))
    )
    assert inside.min() > 0.75 * by_day
    assert outside.max() < by_night + 0.1 * by_day
