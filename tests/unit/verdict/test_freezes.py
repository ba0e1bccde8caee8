"""When a freeze begins and ends on the clocks of its place, through both changes of daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.made import service

from watcher.model.order import Hold
from watcher.model.service import Freeze
from watcher.verdict import freezes
from watcher.verdict.restraint import restraint

BERLIN = "Europe/Berlin"  # +1 in winter, +2 in summer; 2026: 29 March 01:00 UTC and 25 October 01:00 UTC
WEEKEND = Freeze("fri 17:00", "mon 08:00", BERLIN)
NIGHT = Freeze("18:00", "08:00", BERLIN)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def spans(freeze: Freeze, first: str, days: int) -> list[tuple[str, str]]:
    """The frozen spans (UTC) that begin within some days, found by asking every ten minutes."""
    start, found, since = at(first), [], None
    for moment in range(days * 144 + 1):
        now = start + 600 * moment
        frozen = freezes.frozen_until([freeze], now) is not None
        if frozen and since is None:
            since = now
        if not frozen and since is not None:
            found.append((since, now))
            since = None
    return [
        (f"{datetime.fromtimestamp(a, UTC):%m-%d %H:%M}", f"{datetime.fromtimestamp(b, UTC):%m-%d %H:%M}")
        for a, b in found
    ]


def test_a_weekend_in_winter_and_in_summer() -> None:
    assert spans(WEEKEND, "2026-01-14", 7) == [("01-16 16:00", "01-19 07:00")]
    assert spans(WEEKEND, "2026-07-15", 7) == [("07-17 15:00", "07-20 06:00")]


def test_a_weekend_over_each_change_of_the_clocks_ends_by_the_new_ones() -> None:
    assert spans(WEEKEND, "2026-03-25", 7) == [("03-27 16:00", "03-30 06:00")]
    assert spans(WEEKEND, "2026-10-21", 7) == [("10-23 15:00", "10-26 07:00")]


def test_every_night() -> None:
    assert spans(NIGHT, "2026-03-28T12:00", 2) == [("03-28 17:00", "03-29 06:00"), ("03-29 16:00", "03-30 06:00")]


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("02:30", "04:00", ("03-29 01:00", "03-29 02:00")),  # begins when the clocks have passed 02:30: at the change
        ("01:30", "02:30", ("03-29 00:30", "03-29 01:00")),  # and ends there
        ("02:10", "02:50", None),  # on that day there is no such time
    ],
)
def test_what_the_clocks_skip_in_spring(start: str, end: str, found: tuple[str, str] | None) -> None:
    assert spans(Freeze(start, end, BERLIN), "2026-03-28T23:00", 1) == ([found] if found else [])


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("02:30", "04:00", ("10-25 00:30", "10-25 03:00")),  # without a hole while the clocks show 02:00 again
        ("01:30", "02:30", ("10-24 23:30", "10-25 01:30")),  # until the second 02:30
        ("02:10", "02:50", ("10-25 00:10", "10-25 01:50")),
    ],
)
def test_what_the_clocks_show_twice_in_autumn(start: str, end: str, found: tuple[str, str]) -> None:
    assert spans(Freeze(start, end, BERLIN), "2026-10-24T22:00", 1) == [found]


def test_once_with_days_or_with_times() -> None:
    assert spans(Freeze("2026-12-20", "2026-12-22 09:30", BERLIN), "2026-12-19", 5) == [("12-19 23:00", "12-22 08:30")]


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("mon 08:00", "mon 07:00", 167),
        ("sun 23:00", "mon 01:00", 2),
        ("tue 09:00", "tue 10:00", 1),
        ("00:00", "23:50", 23),
    ],
)
def test_a_span_is_as_long_as_it_says(start: str, end: str, hours: int) -> None:
    found = [
        datetime.strptime(last, "%m-%d %H:%M") - datetime.strptime(first, "%m-%d %H:%M")
        for first, last in spans(Freeze(start, end), "2026-06-07", 16)
    ]
    assert max(found) // timedelta(hours=1) == hours


def test_of_several_the_one_that_lasts_longest_is_named() -> None:
    season = Freeze("2026-12-20", "2027-01-04", BERLIN, why="peak season")
    found = freezes.frozen_until([WEEKEND, season, NIGHT], at("2026-12-26T12:00"))
    assert found is not None
    assert found[0] is season
    held = restraint(service(freeze=(WEEKEND, season)), {}, 3, at("2026-12-26T12:00"))
    assert held is not None
    assert (held.hold, held.text) == (
        Hold.FROZEN, "checkout is frozen until Mon 04 Jan 00:00 (Europe/Berlin): peak season",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spent", "own", "total", "hold"),
    [
        ({}, 1, 3, None),
        ({"search": 2}, 1, 3, None),
        ({"checkout": 1}, 1, 3, Hold.SERVICE_BUDGET),
        ({"checkout": 1}, 2, 3, None),
        ({"search": 1, "basket": 2}, 1, 3, Hold.TOTAL_BUDGET),
        ({"checkout": 3}, 1, 3, Hold.SERVICE_BUDGET),
        ({}, 0, 3, Hold.SERVICE_BUDGET),
        ({}, 1, 0, Hold.TOTAL_BUDGET),
    ],
)
def test_budgets(spent: dict[str, int], own: int, total: int, hold: Hold | None) -> None:
    held = restraint(service(rollbacks_per_hour=own), spent, total, at("2026-06-10T12:00"))
    assert (held.hold if held else None) is hold
