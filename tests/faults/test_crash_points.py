"""`kill -9` between the steps of the path and at random moments, on SQLite: a handful; `tests/soak` has all of them."""

from __future__ import annotations

from pathlib import Path

from support.crashes import CALL, moments, mortal

POINTS = ("after:accept", "before:decision", "after:intent", CALL, "before:settle")
MOMENTS = 3


def test_killed_between_the_steps_nothing_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    with mortal(tmp_path, f"sqlite:///{tmp_path / 'watcher.db'}", len(POINTS) + MOMENTS) as daemon:
        for point in POINTS:
            daemon.die_at(point)
        for moment in moments(MOMENTS):
            daemon.die_after(moment)
        print(daemon.lost_nothing_and_did_nothing_twice(200))
        # Dead in the call and just after it: made again, under the same key; and so once more for every call that was
        # on its way when a later life ended. Dead before it: made once.
        again = sum(keys.total() for keys in daemon.around.rollbacks().values()) - daemon.lives
        assert 2 <= again <= 3 + MOMENTS
