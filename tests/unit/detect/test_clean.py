"""What is no measurement is taken out before anything is learned of it."""

from __future__ import annotations

import numpy as np
import pytest

from watcher.detect.clean import clean, running, without_wild
from watcher.detect.window import Grid
from watcher.model.service import Kind


@pytest.mark.parametrize("wild", [1e12, 2.0**64, -1e15])
def test_a_counter_that_ran_over_is_no_measurement(wild: float) -> None:
    values = np.random.default_rng(1).normal(100, 5, 10_080)
    values[5000] = wild
    kept = without_wild(clean(Grid(0, values, None), Kind.GAUGE))
    assert kept.bad == 1
    assert np.isnan(kept.grid.values).nonzero()[0].tolist() == [5000]


@pytest.mark.parametrize("most", [2_000.0, 2e7])
def test_what_only_towers_over_the_rest_is_kept(most: float) -> None:
    values = np.full(10_080, 100.0)
    values[5000] = most
    assert without_wild(clean(Grid(0, values, None), Kind.GAUGE)).bad == 0


def test_rare_events_are_kept_whatever_they_come_to() -> None:
    values = np.zeros(10_080)
    values[[10, 5000]] = 1e9
    assert without_wild(clean(Grid(0, values, None), Kind.COUNT)).bad == 0
    assert without_wild(clean(Grid(0, np.empty(0), None), Kind.COUNT)).bad == 0


def test_more_parts_than_the_whole_is_impossible_but_for_what_came_a_little_late() -> None:
    cleaned = clean(Grid(0, np.array([50.0, 101.0, 4.0, 400.0]), np.array([100.0, 100.0, 2.0, 100.0])), Kind.RATIO)
    assert cleaned.bad == 1
    assert np.isnan(cleaned.grid.values).tolist() == [False, False, False, True]


def test_a_run_goes_on_from_the_history() -> None:
    assert running(np.array([5.0, 5.0]), 5.0, 7) == 9
    assert running(np.array([4.0, 5.0]), 5.0, 7) == 1
    assert running(np.array([5.0, 5.0]), 4.0, 7) == 2
    assert running(np.empty(0), 5.0, 7) == 0
