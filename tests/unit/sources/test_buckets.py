from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.sources.buckets import Bucket, Tally, advance, bucket_end, increment, quantiles

LIMIT = 37.5


def test_events_are_spread_over_the_time_between_two_samples() -> None:
    tally = Tally(at=50, since=0, amounts={"": 4.0})
    ended = advance(tally, 70, {"": 20.0}, 60, LIMIT)
    assert ended == [Bucket(60, {"": 14.0}, whole=True)]
    assert tally == Tally(at=70, since=60, amounts={"": 10.0})


def test_a_sample_on_the_end_of_a_bucket_ends_it() -> None:
    tally = Tally(at=45, since=0, amounts={"": 1.0})
    assert advance(tally, 60, {"": 5.0}, 60, LIMIT) == [Bucket(60, {"": 6.0}, whole=True)]
    assert advance(tally, 75, {"": 7.0}, 60, LIMIT) == []
    assert tally == Tally(at=75, since=60, amounts={"": 7.0})


def test_one_interval_may_end_several_buckets() -> None:
    tally = Tally(at=0, since=0)
    ended = advance(tally, 30, {"": 30.0}, 10, LIMIT)
    assert ended == [Bucket(end, {"": 10.0}, whole=True) for end in (10, 20, 30)]
    assert tally.amounts == {}


def test_a_bucket_that_was_joined_in_its_middle_is_not_whole() -> None:
    tally = Tally(at=20, since=20)
    [first] = advance(tally, 60, {"": 5.0}, 60, 100)
    assert not first.whole
    [second] = advance(tally, 120, {"": 5.0}, 60, 100)
    assert second == Bucket(120, {"": 5.0}, whole=True)


def test_a_gap_leaves_every_bucket_that_it_touches_unknown() -> None:
    tally = Tally(at=50, since=0, amounts={"": 4.0})
    [cut] = advance(tally, 190, {"": 100.0}, 60, LIMIT)
    assert (cut.end, cut.whole) == (60, False)
    assert tally == Tally(at=190, since=190)
    assert [bucket.whole for bucket in advance(tally, 240, {"": 1.0}, 60, 100)] == [False]
    assert [bucket.whole for bucket in advance(tally, 300, {"": 1.0}, 60, 100)] == [True]


def test_a_gap_inside_one_bucket_hides_nothing() -> None:
    tally = Tally(at=0, since=0)
    assert advance(tally, 50, {"": 5.0}, 60, LIMIT) == []
    assert advance(tally, 60, {"": 1.0}, 60, LIMIT) == [Bucket(60, {"": 6.0}, whole=True)]


@given(
    st.lists(st.tuples(st.floats(0.5, 30), st.integers(0, 100)), min_size=1, max_size=60),
    st.sampled_from([1.0, 5.0, 7.5, 60.0]),
    st.floats(0, 100),
)
def test_nothing_is_lost_and_nothing_counted_twice(samples: list[tuple[float, int]], step: float, begin: float) -> None:
    tally, at, total, ended = Tally(begin, begin), begin, 0.0, []
    for wait, count in samples:
        at += wait
        total += count
        ended += advance(tally, at, {"": count}, step, 1000)
    ends = [bucket.end for bucket in ended]
    assert sum(bucket.amounts.get("", 0) for bucket in ended) + sum(tally.amounts.values()) == pytest.approx(total)
    assert np.allclose(np.diff(ends), step)
    assert all(bucket.whole for bucket in ended[1:]), "only the first was joined in its middle"
    assert tally.at == at


def test_a_counter_that_fell_was_restarted() -> None:
    assert increment(5, 8) == 3
    assert increment(100, 7) == 7
    assert increment(5, 5) == 0


def test_bucket_ends_are_where_points_belong() -> None:
    assert [bucket_end(at, 60) for at in (0.5, 60, 60.5)] == [60, 60, 120]
    assert bucket_end(0.3, 0.1) == pytest.approx(0.3)


BOUNDS = np.array([0.1, 0.5, 1.0, math.inf])


@pytest.mark.parametrize(
    ("counts", "quantile", "found"),
    [
        ([10, 10, 10, 10], 0.5, 0.05),
        ([0, 10, 10, 10], 0.5, 0.3),
        ([0, 0, 0, 10], 0.5, 1.0),  # beyond the last bound nothing is known
        ([0, 90, 100, 100], 0.95, 0.75),
        ([0, 90, 89, 100], 0.9, 0.5),  # scraped in the middle of a change
        ([0, 0, 0, 0], 0.5, math.nan),
    ],
)
def test_quantiles_are_those_of_prometheus(counts: list[float], quantile: float, found: float) -> None:
    assert quantiles(BOUNDS, np.array([counts], dtype=float), quantile)[0] == pytest.approx(found, nan_ok=True)


def test_a_histogram_without_its_last_bound_says_nothing() -> None:
    assert np.isnan(quantiles(np.array([0.1, 0.5]), np.array([[1.0, 2.0]]), 0.5)).all()
    assert np.isnan(quantiles(np.array([math.inf]), np.array([[1.0]]), 0.5)).all()
