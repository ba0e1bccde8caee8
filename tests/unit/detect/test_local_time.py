"""What clocks show: zones, the hour that comes twice, the one that is left out, and what changed of late."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pytest

from watcher.detect import codec
from watcher.detect.local_time import DAY, PLACES, Clock, changed, clock_of

YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
BERLIN_BACK = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("zone", [*PLACES, "UTC", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_every_hour_of_two_years_is_what_its_clocks_show(zone: str) -> None:
    at = np.asarray(YEAR + 1800.0 * np.arange(2 * 365 * 48), dtype=np.float64)
    shown = clock_of(zone, at[0], at[-1]).local(at)
    place = ZoneInfo(zone)
    for time, local in zip(at[::7].tolist(), shown[::7].tolist(), strict=True):
        expected = datetime.fromtimestamp(time, place).replace(tzinfo=UTC).timestamp()
        assert local == expected, datetime.fromtimestamp(time, UTC)


def test_clocks_are_changed_to_the_second() -> None:
    clock = clock_of("Europe/Berlin", BERLIN_BACK - DAY, BERLIN_BACK + DAY)
    assert clock == Clock((BERLIN_BACK,), (7200.0, 3600.0))
    twice = clock.local(np.array([BERLIN_BACK - 1800, BERLIN_BACK + 1800]))
    assert twice[0] == twice[1]


def test_whatever_the_times_there_is_a_clock() -> None:
    assert clock_of("Europe/Berlin", -1e12, 1e12).local(np.array([-1e12, 1e12])).shape == (2,)
    with pytest.raises(ZoneInfoNotFoundError):
        clock_of("Mars/Olympus", 0.0, DAY)


def test_what_was_changed_is_told_by_what_clocks_show_now() -> None:
    assert changed(BERLIN_BACK - 10 * DAY, BERLIN_BACK - 2 * DAY) == ()
    both = changed(BERLIN_BACK - DAY, BERLIN_BACK + DAY)
    assert Clock((BERLIN_BACK,), (3600.0, 0.0)) in both
    assert changed(YEAR, YEAR + 7 * DAY) == ()


def test_a_clock_is_kept_as_numbers() -> None:
    clock = clock_of("America/New_York", YEAR, YEAR + 365 * DAY)
    assert len(clock.changes) == 2
    assert codec.decode(codec.encode(clock, {}), Clock)[0] == clock
