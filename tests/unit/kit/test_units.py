"""Durations and shares: what people write, what it means, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.kit.units import parse_duration, parse_share, write_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        (90, 90.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("14d", 1209600.0),
        ("1d1h1m1s", 90061.0),
        (" 5m ", 300.0),
        ("0", 0.0),
    ],
)
def test_a_duration(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "1h30", "1m1h", "1.5h", "-5", "-5s", "5 m", "1w", "5M", "1e3", "inf", "nan", "٣s", True, None, [], {}, 1e400],
)
def test_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected a duration such as 90s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [("3%", 0.03), ("3 %", 0.03), ("0.1%", 0.001), ("0.03", 0.03), (0.03, 0.03), (1, 1.0), (0, 0.0), ("300%", 3.0)],
)
def test_a_share(text: object, share: float) -> None:
    assert parse_share(text) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("text", ["", "%", "-3%", "3%%", "three", "1e-2", "nan", True, None, []])
def test_no_share(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected a share such as 3%"):
        parse_share(text)


@pytest.mark.parametrize("text", [3, "3", 1.5])
def test_a_share_above_one_needs_its_sign(text: object) -> None:
    with pytest.raises(ValueError, match="needs a percent sign"):
        parse_share(text)


@pytest.mark.parametrize("text", ["9" * 400, "9" * 400 + "d"])
def test_an_endless_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        parse_duration(text)


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_what_is_written_is_read_back(seconds: float) -> None:
    assert parse_duration(write_duration(seconds)) == pytest.approx(seconds, abs=5e-4)
