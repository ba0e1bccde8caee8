"""Data that are late, absent, frozen or absurd: each has a named outcome, and nothing raises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.signals import DEPLOY, calibrated, orders, plan, series, signal, times, watched

from watcher import detect
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


ANY = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1e-12, 1e15, -1.0, 1.0, 5e-324, 1.7e308]),
)
SHAPES = st.sampled_from(["wild", "constant", "tiny", "huge", "count"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(list(Kind)),
    harm=st.sampled_from(list(Harm)),
    shape=SHAPES,
    size=st.integers(0, 400),
    looks=st.integers(1, 90),
    step=st.sampled_from([1.0, 60.0, 300.0, 3600.0]),
    seed=st.integers(0, 2**31),
    noise=st.lists(ANY, max_size=12),
    shuffle=st.booleans(),
    with_totals=st.booleans(),
)
def test_no_data_make_it_raise(
    kind: Kind, harm: Harm, shape: str, size: int, looks: int, step: float, seed: int, noise: list[float],
    shuffle: bool, with_totals: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    at: Floats = DEPLOY + step * np.arange(-size + 1, looks + 1, dtype=np.float64)
    values = {
        "wild": rng.standard_cauchy(len(at)) * 10.0 ** rng.integers(-12, 15),
        "constant": np.full(len(at), 7.0),
        "tiny": 1e-12 * rng.random(len(at)),
        "huge": 1e15 * rng.random(len(at)),
        "count": rng.poisson(3, len(at)).astype(np.float64),
    }[shape]
    for value in noise:
        values[rng.integers(len(at))] = value
    totals = np.where(rng.random(len(at)) < 0.1, 0.0, rng.poisson(20.0, len(at))) if with_totals else None
    if shuffle:
        at = at[rng.integers(0, len(at), len(at))]
        at[rng.integers(len(at))] = np.nan
    one = signal("any", kind, harm, step)
    of = plan(one, looks=looks)
    data = {"any": Series(at, values, step, math.inf, totals)}
    calibration = detect.calibrate(of, data)
    calibration = detect.Calibration.from_bytes(calibration.to_bytes())
    findings: Findings | None = None
    judged = detect.Judged()
    for when in (DEPLOY, DEPLOY + step, DEPLOY + 1.5 * step, DEPLOY + step * looks, DEPLOY + 2 * step * looks):
        before = findings
        findings = detect.look(calibration, data, when, before)
        assert repr(detect.look(calibration, data, when, before, judged)) == repr(findings)
        assert before is None or findings.score >= before.score
        finding = findings.of("any")
        for number in (finding.effect, finding.effect_low, finding.effect_high, finding.onset, finding.detectable):
            assert number is None or math.isfinite(number)
        assert 0 <= finding.score <= 12
    assert detect.band(calibration, "any", data["any"]).expected.shape == at.shape
    assert detect.recovery(calibration, data, DEPLOY, DEPLOY + step * looks).keys() == {"any"}


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float64, st.integers(0, 60), elements=ANY), arrays.arrays(np.float64, 60, elements=ANY))
def test_no_times_make_it_raise(at: Floats, values: Floats) -> None:
    data = Series(at, values[: len(at)], 60, math.inf)
    calibration = detect.calibrate(plan(signal()), {"orders": data})
    assert detect.look(calibration, {"orders": data}, DEPLOY + 600, None).signals


def test_ten_points_are_too_few() -> None:
    at = times()[-70:]
    values = np.random.default_rng(0).poisson(50, len(at)).astype(np.float64)
    finding = watched(plan(signal()), {"orders": series(at, values)}, every=60)[-1].of("orders")
    assert finding.cause is Cause.TOO_LITTLE_HISTORY
