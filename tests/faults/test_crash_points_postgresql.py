"""`kill -9` at a few points of the path and at random moments, on PostgreSQL; `tests/soak` has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.crashes import CALL, moments, mortal
from support.postgresql_server import PostgresqlServer

POINTS = ("before:decision", "after:intent", CALL)
MOMENTS = 3


@pytest.mark.postgresql
def test_killed_at_any_time_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with mortal(tmp_path, postgresql.empty(), len(POINTS) + MOMENTS) as daemon:
        for point in POINTS:
            daemon.die_at(point)
        for moment in moments(MOMENTS):
            daemon.die_after(moment)
        print(daemon.lost_nothing_and_did_nothing_twice(200))
