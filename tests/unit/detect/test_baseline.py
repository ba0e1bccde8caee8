"""What an ordinary day is expected to be: weekends, opening hours and batches are no outliers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from watcher.detect.baseline import fit_profile
from watcher.detect.days import EPOCH_WEEKDAY, cells
from watcher.detect.window import Axis
from watcher.model.series import Floats

STEP = 300.0
BINS = 288
GRAIN = 3.0
OPEN, CLOSED = 8 * 12, 20 * 12  # bins
NOON = 12 * 12


def four_weeks() -> tuple[Axis, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The axis, the bucket numbers, and each one's weekday (Monday is 0) and bin."""
    axis, indices = Axis(0.0, STEP), np.arange(1, 28 * BINS + 1)
    day, column = cells(axis, indices, BINS)
    return axis, indices, (day + EPOCH_WEEKDAY) % 7, column


def curves(values: Floats, weekday: int) -> Floats:
    axis, indices, _, _ = four_weeks()
    profile, _ = fit_profile(axis, indices, values, np.ones(len(values)), GRAIN)
    return np.asarray(profile.curves[profile.classes[weekday]], dtype=np.float64)


def trade(weekend: float, mean: float = 200.0) -> Floats:
    _, _, weekday, column = four_weeks()
    opened = (column >= OPEN) & (column < CLOSED)
    rate = mean * np.where(weekday < 5, 1.0, weekend) * opened
    return np.random.default_rng(1).poisson(rate).astype(np.float64)


@pytest.mark.parametrize("weekend", [0.0, 0.4, 2.0])
def test_weekends_are_expected_to_be_what_they_always_are(weekend: float) -> None:
    values = trade(weekend)
    assert curves(values, 5)[NOON] == pytest.approx(200 * weekend, abs=6)
    assert curves(values, 2)[NOON] == pytest.approx(200, abs=6)


def test_an_incident_on_a_saturday_is_not_expected_on_the_next() -> None:
    values = trade(0.4)
    _, indices, weekday, column = four_weeks()
    spoilt = (weekday == 5) & (indices < 7 * BINS) & (np.abs(column - NOON) < 6)
    assert curves(np.where(spoilt, 2000.0, values), 5)[NOON] == pytest.approx(80, abs=12)


def test_a_closed_shop_is_expected_to_do_nothing_up_to_its_edges() -> None:
    curve = curves(trade(1.0), 2)
    assert np.abs(np.concatenate([curve[: OPEN - 1], curve[CLOSED + 1 :]])).max() < 1e-9
    np.testing.assert_allclose(curve[[OPEN, OPEN + 1, CLOSED - 2, CLOSED - 1]], 200, rtol=0.1)


def test_batches_of_which_most_minutes_have_none_are_no_outliers() -> None:
    _, _, _, column = four_weeks()
    rng = np.random.default_rng(2)
    opened = (column >= OPEN) & (column < CLOSED)
    batches = np.where(opened & (rng.random(len(column)) < 0.35), rng.poisson(20, len(column)), 0).astype(np.float64)
    # Rarer than every other day a batch is cut to what the grain lets through: 4 of 7 events on average.
    assert curves(batches, 2)[OPEN + 6 : CLOSED - 6].mean() == pytest.approx(0.35 * 20, rel=0.25)


def test_events_in_clusters_leave_no_hours_in_which_there_are_none() -> None:
    """On a few days nothing may happen at ten past nine, nor around it; that is no closed shop."""
    axis, step = Axis(0.0, 60.0), 1440
    indices = np.arange(1, 7 * step + 1)
    rng = np.random.default_rng(3)
    values = np.zeros(len(indices) + 10)
    for start in np.flatnonzero(rng.random(len(indices)) < 0.025):
        np.add.at(values, start + rng.integers(0, 10, rng.geometric(0.25)), 1.0)
    profile, _ = fit_profile(axis, indices, values[: len(indices)], np.ones(len(indices)), GRAIN)
    assert profile.curves.min() > 0.3 * values.mean()
