"""The scan: what it says of a window must not depend on which windows are scanned beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from watcher.detect.statistics import CLIP, PRICE, scan, shape_of

LOOKS = 60


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("pulls", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("width", [LOOKS, 12, 3, 1])
def test_windows_judged_together_are_judged_as_each_alone(
    counts: bool, forgets: bool, pulls: bool, sign: float, width: int
) -> None:
    rng = np.random.default_rng(1)
    response = np.where(np.arange(LOOKS) == 0, 1.0, 0.4) if forgets else np.ones(LOOKS)
    shape = shape_of(response, (0.1, 0.05), counts, pulls)
    w = rng.uniform(0.2, 0.4, (7, width)) * (rng.random((7, width)) > 0.1)
    eps = np.where(w > 0, rng.standard_t(2, w.shape), 0.0)
    high = rng.uniform(CLIP - 1, CLIP, w.shape)
    together = scan(eps, w, high, shape, sign)
    for row in range(len(eps)):
        part = slice(row, row + 1)
        alone = scan(eps[part], w[part], high[part], shape, sign)
        np.testing.assert_allclose(together.lasting[row], alone.lasting[0])
        np.testing.assert_allclose(together.violent[row], alone.violent[0])


@pytest.mark.parametrize("windows", [1, 3])
def test_nothing_is_said_of_no_buckets(windows: int) -> None:
    nothing = np.empty((windows, 0))
    found = scan(nothing, nothing, nothing, shape_of(np.ones(LOOKS), (0.0, 0.0), counts=True), 1.0)
    assert found.lasting.shape == found.violent.shape == (windows, 0)


def test_a_spike_of_a_count_is_the_signed_root_of_its_poisson_deviance() -> None:
    mean, events = 0.09, 3
    eps = np.full((4, LOOKS), -math.sqrt(mean))
    eps[:, 20] = (events - mean) / math.sqrt(mean)
    w = np.full(eps.shape, math.sqrt(mean))
    found = scan(eps, w, np.full(eps.shape, 99.0), shape_of(np.ones(LOOKS), (0.0, 0.0), counts=True), 1.0)
    deviance = 2 * (events * math.log(events / mean) - (events - mean))
    assert found.violent.max(axis=1) == pytest.approx(math.sqrt(deviance) - PRICE)


@pytest.mark.parametrize("windows", [1, 4])
@pytest.mark.parametrize("pulls", [True, False])
def test_one_bucket_says_no_more_than_the_fence_of_what_lasts_and_ever_more_of_what_is_violent(
    windows: int, pulls: bool
) -> None:
    shape = shape_of(np.ones(LOOKS), (0.0, 0.0), counts=False, pulls=pulls)
    lasting, violent = [], []
    for size in (CLIP, 2 * CLIP, 10 * CLIP):
        eps = np.zeros((windows, LOOKS))
        eps[:, 20] = size
        found = scan(eps, np.ones(eps.shape), np.full(eps.shape, CLIP), shape, 1.0)
        lasting.append(found.lasting.max())
        violent.append(found.violent.max())
    assert lasting == pytest.approx(lasting[:1] * 3)
    assert violent[0] == pytest.approx(CLIP - PRICE)
    assert violent[0] < violent[1] < violent[2]
    if not pulls:
        assert violent[2] == pytest.approx(10 * CLIP - PRICE)


@pytest.mark.parametrize("windows", [1, 4])
def test_a_small_lasting_shift_shows_in_what_lasts(windows: int) -> None:
    shape = shape_of(np.ones(LOOKS), (0.0, 0.0), counts=False)
    found = scan(np.full((windows, LOOKS), 0.8), np.ones((windows, LOOKS)), np.full((windows, LOOKS), CLIP), shape, 1.0)
    assert np.all(np.diff(found.lasting, axis=1) > 0)
    assert found.lasting[:, -1] == pytest.approx(0.8 * math.sqrt(LOOKS))


def test_the_boundary_falls_with_what_is_known_by_a_look() -> None:
    white = shape_of(np.ones(LOOKS), (0.0, 0.0), counts=False).price
    followed = shape_of(np.where(np.arange(LOOKS) > 0, 0.2, 1.0), (0.0, 0.0), counts=False).price
    for price in (white, followed):
        assert np.all(np.diff(price) < 0)
        assert price[-1] == 0
    assert np.all(followed[:-1] < white[:-1]), "the first bucket tells most of a change that the forecast then follows"
    assert followed[0] < white[0] / 2
