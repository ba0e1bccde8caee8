"""The property tests of data that are late, absent, frozen or absurd, with thousands of examples (`SOAK_EXAMPLES`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.any_data import ANY_DATA, ANY_TIMES, judge_any_data, judge_any_times

EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "3000"))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("body", "strategies"),
    [pytest.param(judge_any_data, ANY_DATA, id="data"), pytest.param(judge_any_times, ANY_TIMES, id="times")],
)
def test_whatever_the_data_every_watch_ends_with_a_named_outcome(
    body: Callable[..., None], strategies: Mapping[str, st.SearchStrategy[Any]]
) -> None:
    count = 0

    @settings(max_examples=EXAMPLES, database=None, phases=[Phase.generate, Phase.shrink])
    @given(**strategies)
    def one(**drawn: Any) -> None:
        nonlocal count
        count += 1
        body(**drawn)

    one()
    print(f"\n{count} examples")
    assert count >= EXAMPLES
