"""`kill -9` at every point of the path and at random moments, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.crashes import CALL, moments, mortal
from support.crashing import POINTS

MOMENTS = int(os.environ.get("SOAK_MOMENTS", "200"))
_CAUGHT_UP = 180.0 + 10.0 * MOMENTS  # seconds in which the last life looks at what all lives before it left


def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'watcher.db'}"
    url: str = request.getfixturevalue("postgresql").empty()
    return url


store_url = pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])(store)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_at_every_point(tmp_path: Path, store_url: str) -> None:
    points = [*POINTS, CALL]
    with mortal(tmp_path, store_url, len(points)) as daemon:
        for point in points:
            daemon.die_at(point)
        print(f"\nkill -9 at every point: {daemon.lost_nothing_and_did_nothing_twice(180)}")


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_at_random_moments(tmp_path: Path, store_url: str) -> None:
    with mortal(tmp_path, store_url, MOMENTS) as daemon:
        for moment in moments(MOMENTS):
            daemon.die_after(moment)
        print(f"\nkill -9 at random moments: {daemon.lost_nothing_and_did_nothing_twice(_CAUGHT_UP)}")
