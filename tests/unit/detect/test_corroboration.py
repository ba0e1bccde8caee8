"""Metrics and tickets that are both suspicious say more together than either says alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.signals import DEPLOY, calibrated, orders, plan, series, signal, times, watched

from watcher import detect
from watcher.detect.combine import confirming, corroborated, costs
from watcher.detect.looking import highest
from watcher.model.finding import Cause, Findings, State
from watcher.model.series import Series
from watcher.model.service import Harm, Signal

METRIC = signal()
TICKETS = replace(signal("tickets", harm=Harm.UP), is_tickets=True)


def tickets(seed: int, change: float) -> Series:
    at = times()
    rate = 2.0 * np.where(at > DEPLOY, 1 + change, 1.0)
    return series(at, np.random.default_rng(1000 + seed).poisson(rate).astype(np.float64))


def last(seed: int, fall: float, rise: float, *signals: Signal) -> Findings:
    data = {"orders": orders(seed, fall), "tickets": tickets(seed, rise)}
    watched_ones = signals or (METRIC, TICKETS)
    return watched(plan(*watched_ones), {one.name: data[one.name] for one in watched_ones}, every=60)[-1]


@pytest.mark.parametrize("seed", [1, 15, 48])
def test_two_weak_signs_are_harm_together(seed: int) -> None:
    found = last(seed, -0.03, 0.3)
    assert found.score >= 2
    assert last(seed, -0.03, 0.0).score < 2
    assert last(seed, 0.0, 0.3).score < 2
    assert [finding.state for finding in found.signals] == [State.ALARM, State.ALARM]
    assert {finding.cause for finding in found.signals} <= {Cause.LEVEL_SHIFT, Cause.SPIKE}
    assert all(finding.onset is not None and finding.effect is not None for finding in found.signals)


def test_two_metrics_do_not_confirm_each_other() -> None:
    """They share their causes: how often both move in quiet times is in what they pay."""
    metrics = METRIC, replace(TICKETS, is_tickets=False)
    data = {"orders": orders(1, -0.03), "tickets": tickets(1, 0.3)}
    costs_of = calibrated(plan(*metrics), data).signals
    found = watched(plan(*metrics), data, every=60)[-1]
    paid = [finding.score - costs_of[finding.name].cost / math.log(10) for finding in found.signals]
    assert found.score == pytest.approx(max(paid))


def test_harm_that_is_older_confirms_nothing() -> None:
    data = {"orders": orders(3, -0.4, since=DEPLOY - 7200), "tickets": tickets(3, 0.4)}
    found = watched(plan(METRIC, TICKETS), data, every=60)[-1]
    assert found.of("orders").cause is Cause.PRE_EXISTING
    assert found.of("tickets").state is not State.ALARM or found.of("tickets").score >= 2


@pytest.mark.parametrize("both", [0.5, 0.1, 0.03, 0.01, 1e-4])
def test_the_shares_of_the_budget_add_up_to_it(both: float) -> None:
    """Of two independent probabilities that are both `both`, by the square of the larger."""
    metric_cost, ticket_cost = (math.log(1 / share) for share in (0.75, 0.15))
    evidence = -math.log(both)
    said = corroborated(evidence - metric_cost, evidence - ticket_cost)
    assert said == pytest.approx(2 * evidence + math.log(0.1))
    assert costs([[], []]) == (0.0, 0.0)


@pytest.mark.parametrize("probability", [0.1, 0.05, 0.01, 1e-4])
def test_what_may_confirm_is_asked_for_vetoes(probability: float) -> None:
    evidence = -math.log(probability)
    metrics, tickets = confirming(evidence, tickets=False), confirming(evidence, tickets=True)
    assert corroborated(metrics, tickets) == pytest.approx(evidence)
    assert corroborated(metrics - 0.1, tickets + 1) < evidence
    assert corroborated(metrics + 1, tickets - 0.1) < evidence


def test_no_look_comes_to_more_than_the_highest() -> None:
    for seed in range(6):
        data = {"orders": orders(seed, -0.045), "tickets": tickets(seed, 0.4)}
        policy = plan(METRIC, TICKETS)
        calibration = detect.calibrate(policy, {name: each.between(-math.inf, DEPLOY) for name, each in data.items()})
        found = detect.look(calibration, data, policy.until, None)
        assert found.score <= highest(calibration, data, policy.until) + 1e-9
