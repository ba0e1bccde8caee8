"""The best test on a textbook stream knows what it is said to know, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.detection.streams import LOOKS, STREAMS, TICKETS, Stream, power

NORMAL = tuple(stream for stream in STREAMS if stream.is_normal)


def _name(stream: Stream) -> str:
    return stream.name


@pytest.mark.parametrize("stream", NORMAL, ids=_name)
def test_harm_moves_the_innovations_of_what_is_drawn_as_far_as_is_said(stream: Stream) -> None:
    last = stream.mean * 1.1
    quiet, moved = (stream.draw(np.random.default_rng(1), (LOOKS,), each, last) for each in (0.0, -0.2))
    gap = np.concatenate([[0.0], moved - quiet])
    scale = stream.mean * stream.spread * np.sqrt(1 - stream.rho**2)
    assert (gap[1:] - stream.rho * gap[:-1]) / scale == pytest.approx(stream.news(-0.2))


@pytest.mark.parametrize("stream", NORMAL, ids=_name)
def test_the_fixed_d_bound_is_the_power_of_the_known_innovations(stream: Stream) -> None:
    for change in stream.changes:
        whole, later = change / stream.spread, (1 - stream.rho) * change / stream.spread
        far = np.sqrt((whole**2 + (LOOKS - 1) * later**2) / (1 - stream.rho**2))
        wanted = stats.norm.cdf(far - stats.norm.ppf(0.99))
        assert stream.best(change, np.random.default_rng(2))[2] == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_value_before_the_deploy_is_known(rho: float) -> None:
    # A drop by three s.d. is seen at once in a value that follows on the last one, whatever that was.
    stream = Stream("x", STREAMS[0].kind, STREAMS[0].harm, (), 100.0, 0.1, rho)
    before = np.array([[80.0], [100.0], [120.0]])
    expected = 100 + rho * (before - 100)
    quiet = stream.increments(np.hstack([before, expected]), -0.3)
    moved = stream.increments(np.hstack([before, expected - 30]), -0.3)
    assert quiet == pytest.approx(-(9 / (1 - rho**2)) / 2)
    assert moved == pytest.approx((9 / (1 - rho**2)) / 2)


@pytest.mark.parametrize("stream", [*STREAMS, *TICKETS], ids=_name)
def test_the_best_sequential_test_never_passes_the_fixed_d_bound(stream: Stream) -> None:
    for change in stream.changes:
        found, _, bound = stream.best(change, np.random.default_rng(3), draws=5000)
        assert found <= bound + 0.01


def test_a_larger_change_is_found_more_often_and_sooner() -> None:
    small, large = (STREAMS[0].best(change, np.random.default_rng(1), draws=2000) for change in (-0.03, -0.1))
    assert small[0] < large[0]
    assert small[1] > large[1]


def test_among_equal_sums_the_lot_decides_so_that_one_per_cent_is_used() -> None:
    rng = np.random.default_rng(4)
    quiet, moved = rng.poisson(0.5, 200_000).astype(np.float64), rng.poisson(2.0, 200_000).astype(np.float64)
    assert power(quiet, quiet) == pytest.approx(0.01, abs=1e-9)
    lot = (0.01 - stats.poisson.sf(3, 0.5)) / stats.poisson.pmf(3, 0.5)  # P(> 3) = 0.2 %, P(> 2) = 1.4 %
    assert power(quiet, moved) == pytest.approx(stats.poisson.sf(3, 2.0) + lot * stats.poisson.pmf(3, 2.0), abs=0.01)
