"""Which cases a table of the benchmark is made of."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.detection.__main__ import _placebos, _some, _turns
from benchmarks.detection.real import Recording
from watcher.model.series import Floats
from watcher.model.service import Kind


def _recording(name: str, hours: int) -> Recording:
    values: Floats = np.random.default_rng(1).poisson(50, hours * 60).astype(np.float64)
    times: Floats = np.arange(60.0, 60.0 * (len(values) + 1), 60.0)
    return Recording(name, Kind.COUNT, 60.0, times, values, (), ())


def test_no_series_has_more_placebos_than_another_that_has_them_to_give() -> None:
    series = [_recording("long", 60), _recording("short", 28), _recording("middle", 40)]
    chosen = _placebos(series, 1.0, 60, 20, np.random.default_rng(2))
    shares = Counter(case.group for case in chosen)
    assert len(chosen) == 20
    assert shares["short"] < 5
    assert abs(shares["long"] - shares["middle"]) <= 1


def test_where_one_of_each_would_be_too_many_every_so_many_is_taken() -> None:
    series = [_recording(str(number), 28) for number in range(10)]
    chosen = _placebos(series, 1.0, 60, 5, np.random.default_rng(2))
    assert [case.group for case in chosen] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize(("count", "most"), [(0, 5), (5, 5), (6, 5), (155, 60)])
def test_some_are_no_more_than_asked_for(count: int, most: int) -> None:
    cases = _placebos([_recording("x", 28)], 1.0, 60, 1, np.random.default_rng(2)) * count
    chosen = _some(cases, most)
    assert len(chosen) <= most
    assert len(chosen) > most / 2 or len(chosen) == count


def test_every_series_has_each_size_of_harm_as_often() -> None:
    groups = [str(number) for _ in range(6) for number in range(9)]
    sizes = Counter((group, turn % 3) for group, turn in zip(groups, _turns(groups), strict=True))
    assert set(sizes.values()) == {2}
    assert len({turn % 3 for turn in _turns(groups[:9])}) == 3
