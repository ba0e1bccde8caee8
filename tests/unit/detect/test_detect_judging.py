"""What the engine says of made signals whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from support.signals import DAY, DEPLOY, control, day_curve, orders, plan, series, signal, times, watched

from watcher.model.finding import Cause, State
from watcher.model.series import Series
from watcher.model.service import Harm, Kind, Signal


@pytest.mark.parametrize("change", [-0.15, -0.3, -0.7, -1.0])
def test_a_loss_from_the_deploy_on_is_called(change: float) -> None:
    looks = watched(plan(signal()), {"orders": orders(1, change)})
    first = next(each for each in looks if each.score >= 2)
    finding = first.of("orders")
    assert finding.state is State.ALARM
    assert finding.cause in {Cause.LEVEL_SHIFT, Cause.SPIKE}
    last = looks[-1].of("orders")
    assert last.effect is not None
    assert last.effect == pytest.approx(change, abs=0.08)
    assert last.effect_low is not None
    assert last.effect_high is not None
    assert last.effect_low <= change + 0.02
    assert last.effect_high >= change - 0.02
    assert last.onset == pytest.approx(DEPLOY, abs=180)
    assert last.expected is not None
    assert last.observed == pytest.approx(last.expected * (1 + last.effect), rel=0.02)


def test_false_alarms_are_about_as_many_as_asked_for() -> None:
    called = sum(watched(plan(signal()), {"orders": orders(seed)}, every=60)[-1].score >= 1 for seed in range(40, 120))
    # At ten per cent of 80 watches: 8 expected, 99.9 % of the binomial lies at or below 18.
    assert called <= 18


def test_a_gain_is_no_harm_where_only_a_loss_is() -> None:
    looks = watched(plan(signal()), {"orders": orders(2, 0.5)}, every=10)
    assert looks[-1].of("orders").state is State.QUIET
    assert looks[-1].score < 1


def test_scores_never_fall_and_the_joint_one_decides() -> None:
    looks = watched(plan(signal()), {"orders": orders(3, -0.08)})
    scores = [each.score for each in looks]
    assert scores == sorted(scores)
    for each in looks:
        assert (each.score >= 2) == (each.of("orders").state is State.ALARM)


def test_a_ratio_without_events_is_no_evidence() -> None:
    at = times()
    rng = np.random.default_rng(4)
    totals = np.where(at % DAY < 6 * 3600, 0, rng.poisson(50, len(at))).astype(np.float64)
    good = rng.binomial(totals.astype(np.int64), 0.9).astype(np.float64)
    ratio = signal("success", Kind.RATIO)
    last = watched(plan(ratio), {"success": series(at, good, totals)}, every=60)[-1].of("success")
    assert last.state is State.UNMEASURABLE
    assert last.score < 0.1


def test_a_ratio_is_judged_by_its_denominators() -> None:
    deploy = DEPLOY + DAY / 2
    at = times(deploy=deploy)
    rng = np.random.default_rng(5)
    totals = rng.poisson(200 * day_curve(at)).astype(np.float64)
    good = rng.binomial(totals.astype(np.int64), np.where(at > deploy, 0.8, 0.9)).astype(np.float64)
    looks = watched(plan(signal("success", Kind.RATIO), deploy=deploy), {"success": series(at, good, totals)})
    assert looks[-1].of("success").effect == pytest.approx(-0.111, abs=0.03)
    assert next(place for place, each in enumerate(looks) if each.score >= 2) < 6


def test_latency_going_up() -> None:
    at = times()
    rng = np.random.default_rng(6)
    values = 0.2 * np.exp(0.2 * rng.standard_normal(len(at))) * np.where(at > DEPLOY + 600, 1.3, 1.0)
    looks = watched(plan(signal("p95", Kind.LATENCY, Harm.UP)), {"p95": series(at, values)})
    last = looks[-1].of("p95")
    assert last.state is State.ALARM
    assert last.onset == pytest.approx(DEPLOY + 600, abs=240)
    assert last.effect == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    ("looks", "stays", "called"), [(8, False, False), (8, True, True), (60, False, False), (60, True, True)]
)
def test_a_percentile_that_hardly_ever_leaves_its_value(looks: int, stays: bool, called: bool) -> None:
    """As read off a histogram: 4.8 ms, and a dozen times a day something larger."""
    at, rng = times(days=3.0, looks=looks), np.random.default_rng(7)
    values = np.where(rng.random(len(at)) < 12 / 1440, 0.0048 * np.exp(rng.uniform(0.05, 1.0, len(at))), 0.0048)
    values[at > DEPLOY] = 0.0048
    values[at > DEPLOY if stays else at == DEPLOY + 240] = 0.0053 if stays else 0.0085
    p95 = signal("p95", Kind.LATENCY, Harm.UP)
    last = watched(plan(p95, looks=looks), {"p95": series(at, values)}, every=looks)[-1].of("p95")
    assert (last.state is State.ALARM) is called, last


def test_a_spike_of_one_minute_is_called_a_spike() -> None:
    quiet = orders(7)
    values = quiet.values.copy()
    values[-30] = 0.0
    data = series(quiet.times, values)
    last = watched(plan(signal()), {"orders": data}, every=60)[-1]
    at_end = watched(plan(signal()), {"orders": data})[-1]
    assert last.score == at_end.score
    assert at_end.of("orders").state is State.ALARM
    assert at_end.of("orders").cause is Cause.SPIKE


def test_an_hour_of_history_in_steps_of_two_seconds() -> None:
    at = times(step=2, days=1 / 24, looks=20)
    rng = np.random.default_rng(8)
    values = rng.poisson(np.where(at > DEPLOY, 12, 40)).astype(np.float64)
    one = signal(step=2)
    looks = watched(plan(one, looks=20), {"orders": series(at, values, step=2)})
    assert looks[-1].of("orders").state is State.ALARM
    calm = series(at, rng.poisson(40, len(at)).astype(np.float64), step=2)
    assert watched(plan(one, looks=20), {"orders": calm})[-1].of("orders").state is State.QUIET


def test_harm_before_the_deploy_is_pre_existing() -> None:
    data = orders(9, -0.3, since=DEPLOY - 1500)
    last = watched(plan(signal()), {"orders": data}, every=5)[-1]
    assert last.of("orders").cause is Cause.PRE_EXISTING
    assert last.score < 2


def _with_control(seed: int, own: float, both: float) -> dict[str, Series]:
    rng = np.random.default_rng(seed)
    at = times()
    weather = np.exp(np.convolve(0.1 * rng.standard_normal(len(at)), np.ones(10) / 3, "same"))
    common = 200 * day_curve(at) * weather * np.where(at > DEPLOY, 1 + both, 1)
    return {
        "orders": series(at, rng.poisson(common * np.where(at > DEPLOY, 1 + own, 1)).astype(np.float64)),
        "other": series(at, rng.poisson(common).astype(np.float64)),
    }


def test_a_control_makes_small_harm_visible() -> None:
    both = plan(signal(), control("other"))
    with_control = watched(both, _with_control(10, -0.08, 0), every=5)[-1]
    alone = watched(plan(signal()), _with_control(10, -0.08, 0), every=5)[-1]
    assert with_control.score >= 2 > alone.score
    assert [each.name for each in with_control.signals] == ["orders"]


def test_a_shift_shared_with_the_control_is_not_this_deploys() -> None:
    last = watched(plan(signal(), control("other")), _with_control(11, 0, -0.5), every=5)[-1]
    assert last.score < 2
    assert last.of("orders").cause is Cause.SHARED_WITH_CONTROL


def test_a_control_that_moves_alone_harms_nobody() -> None:
    data = _with_control(12, 0, 0)
    lifted = np.where(data["other"].times > DEPLOY, 1.6, 1.0) * data["other"].values
    data["other"] = series(data["other"].times, np.floor(lifted))
    assert watched(plan(signal(), control("other")), data, every=5)[-1].score < 2


def test_a_control_that_is_the_signal_itself_is_not_used() -> None:
    quiet, harmed = orders(21), orders(22, -0.4)
    for data in (quiet, harmed):
        alone = watched(plan(signal()), {"orders": data}, every=5)[-1]
        copied = watched(plan(signal(), control("other")), {"orders": data, "other": data}, every=5)[-1]
        assert copied.score == alone.score
        assert copied.of("orders").detectable == alone.of("orders").detectable


def test_effects_below_the_minimum_are_left_alone() -> None:
    small = Signal(name="orders", kind=Kind.COUNT, harm=Harm.DOWN, source="made", step=60, min_effect=0.2)
    data = {"orders": orders(13, -0.1, mean=1000)}
    assert watched(plan(small), data, every=5)[-1].score < 2
    assert watched(plan(signal()), data, every=5)[-1].score >= 2


def test_a_quiet_shop_cannot_vouch_for_a_deploy() -> None:
    last = watched(plan(signal()), {"orders": orders(14, mean=4 / 60)}, every=10)[-1].of("orders")
    assert (last.state, last.cause) == (State.UNMEASURABLE, Cause.TOO_LITTLE_TRAFFIC)
    assert last.detectable is not None
    assert last.detectable > 1


def test_a_surge_of_rare_tickets_is_seen() -> None:
    at = times(step=300, days=14, looks=24)
    rng = np.random.default_rng(15)
    values = rng.poisson(np.where(at > DEPLOY, 2.0, 0.1)).astype(np.float64)
    tickets = Signal(name="tickets", kind=Kind.COUNT, harm=Harm.UP, source="desk", step=300, is_tickets=True)
    looks = watched(plan(tickets, looks=24), {"tickets": series(at, values, step=300)})
    assert next(place for place, each in enumerate(looks) if each.score >= 2) < 8


def test_several_signals_share_one_budget() -> None:
    names = [f"s{place}" for place in range(8)]
    data = {name: orders(100 + place) for place, name in enumerate(names)}
    many = watched(plan(*(signal(name) for name in names)), data, every=60)[-1]
    best = max(each.score for each in many.signals)
    assert many.score < best
    assert many.score >= best - np.log10(8) - 1e-9
