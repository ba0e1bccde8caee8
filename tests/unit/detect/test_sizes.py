"""How large a change must be to count: in what can be detected, and in the score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.signals import DEPLOY, orders, plan, series, signal, times, watched

from watcher.model.finding import Finding, State


@pytest.mark.parametrize("min_effect", [0.0, 0.1, 0.2, 0.5])
def test_what_is_detectable_counts_as_harm(min_effect: float) -> None:
    """A change of the detectable size is called in about four of five watches; a smaller than `min_effect` rarely."""
    policy = plan(replace(signal(), min_effect=min_effect))
    least = watched(policy, {"orders": orders(1)}, every=60)[-1].of("orders").detectable
    assert least is not None
    assert min_effect < least < min_effect + 0.12
    found = [watched(policy, {"orders": orders(seed, -least)}, every=5)[-1].of("orders").state for seed in range(20)]
    assert 10 <= found.count(State.ALARM) <= 20
    if min_effect > 0:
        small = [watched(policy, {"orders": orders(s, 0.02 - min_effect)}, every=5)[-1].of("orders") for s in range(8)]
        assert len([one for one in small if one.state is State.ALARM]) <= 2


@pytest.mark.parametrize(("looks", "probability"), [(1, 0.01), (1, 1e-4), (2, 1e-4)])
def test_what_is_detectable_in_a_bucket_or_two_is_so_by_what_the_scan_counts(looks: int, probability: float) -> None:
    policy = plan(signal(), looks=looks, probability=probability)

    def last(seed: int, change: float) -> Finding:
        at = times(days=0.4, looks=looks)
        rate = 1e4 * np.where(at > DEPLOY, 1 + change, 1.0)
        counts = series(at, np.random.default_rng(seed).poisson(rate).astype(np.float64))
        return watched(policy, {"orders": counts}, every=looks)[-1].of("orders")

    found = []
    for seed in range(30):
        least = last(seed, 0.0).detectable
        assert least is not None
        found.append(last(seed, -least).state is State.ALARM)
    assert sum(found) >= 20, "80 % were promised"


@pytest.mark.parametrize("change", [0.0, -0.02, -0.06, -0.15])
def test_the_score_is_the_same_whatever_probability_harm_is_called_at(change: float) -> None:
    data = {"orders": orders(13, change)}
    scores = [
        watched(plan(replace(signal(), min_effect=0.05), probability=p), data, every=5)[-1].of("orders").score
        for p in (0.1, 0.01, 1e-4, 1e-6, 1e-11)
    ]
    assert max(scores) - min(scores) <= (0 if max(scores) >= 1 else 1)


def test_where_there_is_no_harm_nothing_began() -> None:
    found = [watched(plan(signal()), {"orders": orders(seed, -0.03)}, every=5)[-1].of("orders") for seed in range(8)]
    quiet = [one for one in found if one.state is State.QUIET]
    assert any(one.score > 0.6 for one in quiet)
    assert not [one for one in quiet if one.onset is not None]
