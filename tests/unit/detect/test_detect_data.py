"""Data that are late, absent, frozen or absurd: each has a named outcome, and nothing raises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from support.any_data import ANY_DATA, ANY_TIMES, judge_any_data, judge_any_times
from support.signals import DEPLOY, calibrated, orders, plan, series, signal, times, watched

from watcher import detect
from watcher.detect.expectation import shifted
from watcher.detect.noise import Noise, Scale
from watcher.model.finding import Cause, Findings, Recovery, State
from watcher.model.series import Floats, Series, empty_series
from watcher.model.service import Harm, Kind


def _at_the_end(data: Series, at: float = DEPLOY + 3600, **changes: Series) -> Findings:
    calibration = calibrated(plan(signal()), {"orders": data})
    return detect.look(calibration, {"orders": data, **changes}, at, None)


def test_no_points_yet_is_quiet_and_later_no_data() -> None:
    data = orders(1)
    calibration = calibrated(plan(signal()), {"orders": data})
    none = {"orders": empty_series(60, DEPLOY + 60)}
    early = detect.look(calibration, none, DEPLOY + 60, None).of("orders")
    assert (early.state, early.points) == (State.QUIET, 0)
    late = detect.look(calibration, none, DEPLOY + 600, None).of("orders")
    assert (late.state, late.cause) == (State.UNMEASURABLE, Cause.STALE_DATA)
    absent = detect.look(calibration, {}, DEPLOY + 600, None).of("orders")
    assert (absent.state, absent.cause) == (State.UNMEASURABLE, Cause.NO_DATA)


def test_a_source_that_stops_is_stale() -> None:
    data = orders(2)
    stopped = data.between(-math.inf, DEPLOY + 1200)
    finding = _at_the_end(data, orders=stopped).of("orders")
    assert (finding.state, finding.cause) == (State.UNMEASURABLE, Cause.STALE_DATA)
    assert finding.points == 20


def test_points_that_are_not_complete_are_not_judged() -> None:
    data = orders(3, -0.9)
    finding = _at_the_end(data, orders=data.between(-math.inf, DEPLOY)).of("orders")
    assert finding.points == 0
    assert finding.score == 0


def test_a_missing_series_has_too_little_history() -> None:
    calibration = detect.calibrate(plan(signal()), {})
    finding = detect.look(calibration, {"orders": orders(4)}, DEPLOY + 3600, None).of("orders")
    assert (finding.state, finding.cause) == (State.UNMEASURABLE, Cause.TOO_LITTLE_HISTORY)


def test_gaps_frozen_values_and_impossible_ones_are_named() -> None:
    data = orders(5)
    late = data.times > DEPLOY
    holes = np.where(late & (np.arange(len(data)) % 2 == 0), np.nan, data.values)
    assert _at_the_end(data, orders=series(data.times, holes)).of("orders").cause is Cause.GAPS
    negative = np.where(late & (np.arange(len(data)) % 2 == 0), -5.0, data.values)
    assert _at_the_end(data, orders=series(data.times, negative)).of("orders").cause is Cause.BAD_VALUES
    frozen = np.where(late, data.values[~late][-1], data.values)
    cause = _at_the_end(series(data.times, frozen)).of("orders").cause
    assert cause is Cause.FROZEN_DATA


def _wandering_latency(seed: int) -> tuple[Floats, Floats]:
    """A latency that wanders by a third, and where it is."""
    rng, at = np.random.default_rng(seed), times()
    level, steps = np.zeros(len(at)), 0.03 * rng.standard_normal(len(at))
    for place in range(1, len(at)):
        level[place] = 0.995 * level[place - 1] + steps[place]
    return np.exp(level + 0.05 * rng.standard_normal(len(at))), np.exp(level)


@pytest.mark.parametrize(
    ("times_as_long", "cause"), [(None, Cause.FROZEN_DATA), (1.5, Cause.LEVEL_SHIFT), (3.0, Cause.LEVEL_SHIFT)]
)
def test_a_value_stuck_far_from_where_the_signal_was_is_harm(times_as_long: float | None, cause: Cause) -> None:
    """A latency at its histogram's upper bound is; the newest value once more, wherever that is, is a dead source's."""
    at = times()
    for seed in range(4):
        values, level = _wandering_latency(seed)
        before = int(np.searchsorted(at, DEPLOY, side="right"))
        stuck = values[before - 1] if times_as_long is None else times_as_long * level[before - 1]
        data = {"p95": series(at, np.where(at > DEPLOY, stuck, values))}
        found = watched(plan(signal("p95", Kind.LATENCY, Harm.UP)), data, every=60)[-1].of("p95")
        assert found.cause is cause


def test_nothing_at_all_is_harm_not_a_frozen_source() -> None:
    data = orders(6, -1.0)
    assert _at_the_end(data).of("orders").state is State.ALARM


def test_an_answer_that_is_incomplete_vouches_for_nothing() -> None:
    data = orders(7)
    partial = Series(data.times, data.values, 60, math.inf, partial=True)
    assert _at_the_end(data, orders=partial).of("orders").cause is Cause.GAPS


def test_a_calibration_survives_bytes_bit_for_bit() -> None:
    data = orders(8, -0.05)
    one = calibrated(plan(signal()), {"orders": data})
    stored = one.to_bytes()
    two = detect.Calibration.from_bytes(stored)
    assert two.to_bytes() == stored == calibrated(plan(signal()), {"orders": data}).to_bytes()
    assert two.plan == one.plan
    assert len(stored) < 60_000
    for at in (DEPLOY + 60, DEPLOY + 1800, DEPLOY + 3600):
        recent = {"orders": data.between(one.recent_from, at)}
        assert detect.look(one, recent, at, None) == detect.look(two, recent, at, None)


@pytest.mark.parametrize("data", [b"", b"WCAL", b"WCALxx", b"\x80\x04pickle"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a calibration"):
        detect.Calibration.from_bytes(data)


def test_noise_is_that_of_the_level_where_the_signal_has_come_to() -> None:
    noise = Noise(Scale.EVENTS, 1.0, 0.0, 0.5, 1.0, 1.0)  # Poisson's
    expected, sd = shifted(noise, np.array([100.0, 100.0]), np.array([0.0, 8.0]), None)
    assert expected.tolist() == pytest.approx([100.0, 900.0])
    assert sd.tolist() == pytest.approx([10.0, 30.0])


def test_the_band_covers_what_is_ordinary() -> None:
    data = orders(9)
    calibration = calibrated(plan(signal()), {"orders": data})
    last = data.between(DEPLOY - 7200, math.inf)
    band = detect.band(calibration, "orders", last)
    inside = (last.values >= band.low) & (last.values <= band.high)
    assert band.times.shape == band.expected.shape == last.times.shape
    assert 0.88 <= inside.mean() <= 0.995


def test_recovery_is_seen_and_not_imagined() -> None:
    harmed = orders(10, -0.5, looks=120)
    back = np.where(harmed.times > DEPLOY + 1800, orders(11, looks=120).values, harmed.values)
    calibration = calibrated(plan(signal()), {"orders": harmed})
    since, at = DEPLOY + 1800, DEPLOY + 3000
    recovered = {"orders": series(harmed.times, back)}
    assert detect.recovery(calibration, recovered, since, at)["orders"] is Recovery.RECOVERED
    assert detect.recovery(calibration, {"orders": harmed}, since, at)["orders"] is Recovery.NOT_YET
    assert detect.recovery(calibration, recovered, since, since + 60)["orders"] is Recovery.NOT_YET
    assert detect.recovery(calibration, {}, since, at)["orders"] is Recovery.UNMEASURABLE


def test_looks_give_the_same_whatever_came_before() -> None:
    data = orders(12, -0.07)
    every = watched(plan(signal()), {"orders": data})[-1]
    calibration = calibrated(plan(signal()), {"orders": data})
    assert detect.look(calibration, {"orders": data}, every.at, None).score == every.score


@settings(max_examples=200)
@given(**ANY_DATA)
# One wild value among tiny ones: what is learned of it alone forecasts ten million times what was.
@example(
    kind=Kind.GAUGE, harm=Harm.UP, shape="tiny", size=316, looks=90, step=1.0, seed=16114468, change=0.0,
    noise=[0.0, -1.0], shuffle=True, with_totals=False, others=[], depends_on=None,
)  # fmt: skip
def test_no_data_make_it_raise(**drawn: Any) -> None:
    judge_any_data(**drawn)


@settings(max_examples=40)
@given(**ANY_TIMES)
def test_no_times_make_it_raise(**drawn: Any) -> None:
    judge_any_times(**drawn)


def test_ten_points_are_too_few() -> None:
    at = times()[-70:]
    values = np.random.default_rng(0).poisson(50, len(at)).astype(np.float64)
    finding = watched(plan(signal()), {"orders": series(at, values)}, every=60)[-1].of("orders")
    assert finding.cause is Cause.TOO_LITTLE_HISTORY
