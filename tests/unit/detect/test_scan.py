"""The scan: what it says of a window must not depend on which windows are scanned beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from watcher.detect.statistics import scan, shape_of

LOOKS = 60


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
def test_windows_judged_together_are_judged_as_each_alone(counts: bool, forgets: bool) -> None:
    rng = np.random.default_rng(1)
    response = np.where(np.arange(LOOKS) == 0, 1.0, 0.4) if forgets else np.ones(LOOKS)
    shape = shape_of(response, (0.1, 0.05), counts)
    w = np.full((7, LOOKS), 0.3)
    eps = np.asarray((rng.poisson(0.09, w.shape) - 0.09) / 0.3, dtype=np.float64)
    together = scan(eps, w, np.full(w.shape, 9.0), shape, 1.0)
    for row in range(len(eps)):
        part = slice(row, row + 1)
        alone = scan(eps[part], w[part], np.full((1, LOOKS), 9.0), shape, 1.0)
        np.testing.assert_allclose(together.main[row], alone.main[0])
        np.testing.assert_allclose(together.spike[row], alone.spike[0])


def test_a_spike_of_a_count_is_the_signed_root_of_its_poisson_deviance() -> None:
    mean, events = 0.09, 3
    eps = np.full((4, LOOKS), -math.sqrt(mean))
    eps[:, 20] = (events - mean) / math.sqrt(mean)
    w = np.full(eps.shape, math.sqrt(mean))
    found = scan(eps, w, np.full(eps.shape, 99.0), shape_of(np.ones(LOOKS), (0.0, 0.0), counts=True), 1.0)
    deviance = 2 * (events * math.log(events / mean) - (events - mean))
    assert found.spike.max(axis=1) == pytest.approx(math.sqrt(deviance))


def test_the_boundary_falls_with_what_is_known_by_a_look() -> None:
    white = shape_of(np.ones(LOOKS), (0.0, 0.0), counts=False).price
    followed = shape_of(np.where(np.arange(LOOKS) > 0, 0.2, 1.0), (0.0, 0.0), counts=False).price
    for price in (white, followed):
        assert np.all(np.diff(price) < 0)
        assert price[-1] == 0
    assert np.all(followed[:-1] < white[:-1]), "the first bucket tells most of a change that the forecast then follows"
    assert followed[0] < white[0] / 2
