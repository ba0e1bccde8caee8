"""Events that hardly ever happen: how few prove nothing, how few more show, and what chance makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from support.signals import DEPLOY, calibrated, plan, series, signal, times, watched

from watcher.model.finding import Cause, Finding, State
from watcher.model.series import Floats
from watcher.model.service import FEW_EVENTS, Harm, Kind

LOOKS = 60
SEEDS = 60
MOST = 3  # false calls among SEEDS: at the 1 % that is set, four or more come once in 300
AT = times(days=7)
SINCE = AT > DEPLOY


def errors(past: float, seed: int = 0) -> Floats:
    """`past` errors in the week before, on average; none since the deploy."""
    rate = np.where(SINCE, 0.0, past / (7 * 1440))
    return np.random.default_rng(seed).poisson(rate).astype(np.float64)


def clusters(per_week: float, seed: int) -> Floats:
    """Incidents of four errors on average, spread over ten minutes each."""
    rng = np.random.default_rng(seed)
    out = np.zeros(len(AT) + 10)
    for start in np.flatnonzero(rng.random(len(AT)) < per_week / (7 * 1440)):
        np.add.at(out, start + rng.integers(0, 10, rng.geometric(0.25)), 1.0)
    return out[: len(AT)]


def added(values: Floats, count: int, *, spread: bool) -> Floats:
    """So many more since the deploy: over all of the window, or in one minute."""
    out, first = values.copy(), len(values) - LOOKS
    places = np.linspace(5, 55, count).astype(np.int64) if spread else np.full(count, 20)
    np.add.at(out, first + places, 1.0)
    return out


def last(values: Floats, kind: Kind = Kind.COUNT) -> Finding:
    totals = np.full(len(values), 100.0) if kind is Kind.RATIO else None
    scale = 60.0 if kind is Kind.RATE else 1.0
    of = plan(signal("errors", kind=kind, harm=Harm.UP), looks=LOOKS)
    return watched(of, {"errors": series(AT, values / scale, totals)}, every=LOOKS)[-1].of("errors")


@pytest.mark.parametrize("kind", [Kind.COUNT, Kind.RATE, Kind.RATIO])
@pytest.mark.parametrize("past", [0, 5, 50])
@pytest.mark.parametrize("spread", [True, False])
def test_one_or_two_prove_nothing_and_a_dozen_do(kind: Kind, past: float, *, spread: bool) -> None:
    for few in (0, 1, 2):
        assert last(added(errors(past), few, spread=spread), kind).state is State.QUIET
    found = last(added(errors(past), 12, spread=spread), kind)
    assert found.state is State.ALARM
    assert found.score >= last(added(errors(past), 6, spread=spread), kind).score, "more is never less of a proof"


@pytest.mark.parametrize("past", [0, 3, 30])
def test_what_is_said_to_show_is_found_four_times_in_five(past: float) -> None:
    found = []
    for seed in range(30):
        said = last(errors(past, seed)).detectable_events
        assert said is not None
        more = np.where(SINCE, np.random.default_rng(seed).poisson(said / LOOKS, len(AT)), 0)
        found.append(last(errors(past, seed) + more).state is State.ALARM)
    assert 0.6 <= np.mean(found) <= 1, "of 30, fewer than 18 come once in 200 at 80 %"


def test_few_more_of_what_never_happened_show() -> None:
    quiet = last(errors(0))
    assert (quiet.state, quiet.cause) == (State.QUIET, Cause.NO_HARM)
    assert quiet.detectable_events is not None
    assert quiet.detectable_events <= FEW_EVENTS


def test_three_tickets_an_hour_are_too_few_for_five_more_to_show() -> None:
    rng = np.random.default_rng(1)
    found = last(rng.poisson(0.05, len(AT)).astype(np.float64))
    assert found.detectable_events is not None
    assert found.detectable_events > FEW_EVENTS


def test_no_events_are_told_where_fewer_are_harm() -> None:
    of = plan(signal(harm=Harm.DOWN), looks=LOOKS)
    found = watched(of, {"orders": series(AT, errors(50))}, every=LOOKS)[-1].of("orders")
    assert found.detectable_events is None


@pytest.mark.parametrize("rate", [0.0003, 0.003, 0.01, 0.1])
def test_chance_is_no_harm(rate: float) -> None:
    def quiet(seed: int) -> Finding:
        return last(np.random.default_rng(seed).poisson(rate, len(AT)).astype(np.float64))

    assert sum(quiet(seed).state is State.ALARM for seed in range(SEEDS)) <= MOST


@pytest.mark.parametrize("per_week", [10, 250])
def test_events_that_come_in_clusters_are_no_harm(per_week: float) -> None:
    assert sum(last(clusters(per_week, seed)).state is State.ALARM for seed in range(SEEDS)) <= MOST


def test_an_error_an_hour_before_the_deploy_hides_no_harm() -> None:
    values = errors(5)
    values[len(values) - 2 * LOOKS] = 1
    assert last(added(values, 8, spread=True)).state is State.ALARM


def test_a_burst_counts_whatever_else_the_window_held() -> None:
    """1500 more errors in a minute are harm, though the hour had 3 % fewer than usual."""
    rng = np.random.default_rng(2)
    values = rng.poisson(np.where(SINCE, 970.0, 1000.0)).astype(np.float64)
    values[len(values) - 20] += 1500
    assert last(values).state is State.ALARM


def test_a_rate_that_is_not_of_events_a_second_is_no_count_of_them() -> None:
    """Thousands a second, 5 % noise: a rise by a third is 0.04 events by the letter."""
    rng = np.random.default_rng(3)
    values = 0.002 * (1 + 0.05 * rng.standard_normal(len(AT))) * np.where(SINCE, 1.3, 1.0)
    found = last(values * 60.0, Kind.RATE)
    assert (found.state, found.detectable_events) == (State.ALARM, None)


def test_nothing_is_learned_of_a_few_events_but_their_level() -> None:
    of = plan(signal("errors", harm=Harm.UP), looks=LOOKS)
    few, many = (
        calibrated(of, {"errors": series(AT, errors(past))}).signals["errors"].judges[0].model.forecast.lengths
        for past in (100, 5000)
    )
    assert few == ()
    assert many != ()
