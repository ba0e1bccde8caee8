"""From the largest deviations of quiet windows to the probability of a larger one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.signals import DEPLOY, times

from watcher.detect.incidents import Windows
from watcher.detect.modelling import fit_model
from watcher.detect.tail import CAP, Growth, Tail, fit_tail
from watcher.detect.window import Axis, Grid
from watcher.model.series import Floats
from watcher.model.service import Kind

NEAR_NORMAL = np.abs(np.random.default_rng(1).standard_normal((400, 60))).max(axis=1)
LOOKS = 60


def tail_of(maxima: Floats, independent: float, growth: Growth = Growth.SQUARE, trust: float = 1.0) -> Tail:
    """Of windows of minutes that begin ten apart."""
    starts = 10 * np.arange(len(maxima))
    return fit_tail(
        maxima[None, :], Windows(starts, starts, LOOKS, independent, 1440.0, 10 * len(maxima) + 50), growth, trust
    )


def with_incidents(count: int, size: float = 12.0) -> Floats:
    """A week of such windows, in which so many incidents of about `size` s.d. were seen by eight each."""
    maxima = np.random.default_rng(2).choice(NEAR_NORMAL, 1000)
    for place in range(count):
        maxima[100 * place + 20 : 100 * place + 28] = size + 0.1 * place
    return maxima


def test_half_of_a_tail_of_near_normal_sums_is_known_before_any_history() -> None:
    tail = tail_of(np.empty(0), 0.0)
    assert tail.evidence_of_one(tail.threshold) == pytest.approx(np.log(5))
    assert tail.evidence_of_one(6.0) > np.log(100)


def test_where_sums_are_not_near_normal_the_history_says_more() -> None:
    wild = np.concatenate([NEAR_NORMAL[:360], np.linspace(4, 5.2, 40)])
    usual, doubted = (tail_of(wild, 60.0, trust=trust) for trust in (1.0, 0.5))
    assert doubted.evidence_of_one(5.5) < usual.evidence_of_one(5.5) - 0.1
    alike = [tail_of(NEAR_NORMAL, 60.0, trust=trust).evidence_of_one(4.0) for trust in (1.0, 0.5)]
    assert alike[0] == pytest.approx(alike[1], abs=0.5)


def test_of_violent_harm_less_is_known_before_any_history_and_a_long_one_makes_up_for_it() -> None:
    few, many = NEAR_NORMAL[:30], NEAR_NORMAL
    light, heavy = (tail_of(few, 6.0, growth).evidence_of_one(5.5) for growth in (Growth.SQUARE, Growth.HEAVY))
    assert heavy < light - 1.0
    light, heavy = (tail_of(many, 400.0, growth).evidence_of_one(5.5) for growth in (Growth.SQUARE, Growth.HEAVY))
    assert heavy == pytest.approx(light, rel=0.15)


@pytest.mark.parametrize("mean", [0.05, 2.0, 200.0])
def test_events_in_a_bucket_are_counted(mean: float) -> None:
    at = times()
    grid = Grid(0, np.random.default_rng(1).poisson(mean, len(at)).astype(np.float64), None)
    _, past = fit_model(Axis(DEPLOY, 60.0), grid, Kind.COUNT, None, 60)
    assert past.events == pytest.approx(mean, rel=0.2)


def test_a_gauge_has_no_events() -> None:
    grid = Grid(0, np.random.default_rng(1).normal(100, 10, len(times())), None)
    assert fit_model(Axis(DEPLOY, 60.0), grid, Kind.GAUGE, None, 60)[1].events == math.inf


@pytest.mark.parametrize("count", [1, 2])
def test_an_incident_or_two_tell_no_rate_and_speak_for_no_other_window(count: int) -> None:
    assert tail_of(with_incidents(count), 167.0).evidence_of_one(8.0) > math.log(1000)


def test_what_is_no_larger_than_incidents_that_recur_is_one_more_of_them() -> None:
    recurring = tail_of(with_incidents(8), 167.0)
    assert recurring.evidence_of_one(11.0) == pytest.approx(math.log(167 / 6))
    assert recurring.evidence_of_one(24.0) > math.log(1000)


def test_the_longer_the_history_the_less_so_many_incidents_say() -> None:
    short, long = (tail_of(with_incidents(5), windows).evidence_of_one(11.0) for windows in (167.0, 334.0))
    assert long == pytest.approx(short + math.log(2))


def test_one_long_incident_is_one() -> None:
    maxima = with_incidents(0)
    maxima[100:160] = 12.0  # ten hours
    assert tail_of(maxima, 167.0).incidents is None


@given(count=st.integers(0, 9), size=st.floats(6, 1e6), windows=st.floats(2, 1e4))
def test_evidence_grows_with_the_deviation_and_level_is_its_inverse(count: int, size: float, windows: float) -> None:
    tail = tail_of(with_incidents(count, size), windows)
    x = np.geomspace(tail.threshold, 1e7, 200)
    evidence = tail.evidence(x)
    assert np.all(np.diff(evidence) >= -1e-9)
    assert evidence == pytest.approx([tail.evidence_of_one(each) for each in x])
    assert np.all((evidence >= 0) & (evidence <= CAP))
    for wanted in np.linspace(tail.base, 20, 9).tolist():
        level = tail.level(wanted)
        assert tail.evidence_of_one(level * 1.0001) >= min(wanted, CAP) - 1e-6
        assert level == pytest.approx(tail.threshold) or tail.evidence_of_one(level * 0.999) <= wanted + 1e-6
