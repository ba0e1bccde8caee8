"""`kill -9` between the steps of the path: a handful of points; `tests/soak` has all of them, and random moments."""

from __future__ import annotations

from pathlib import Path

from support.crashes import CALL, mortal

POINTS = ("after:accept", "before:decision", "after:intent", CALL, "before:settle")


def test_killed_between_the_steps_nothing_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    with mortal(tmp_path, f"sqlite:///{tmp_path / 'watcher.db'}", len(POINTS)) as daemon:
        for point in POINTS:
            daemon.die_at(point)
        print(daemon.lost_nothing_and_did_nothing_twice(200))
        # Dead in the call and just after it: made again, under the same key; and so once more if the call of the life
        # before was on its way as well when the last one died. Dead before it: made once.
        assert sum(keys.total() for keys in daemon.around.rollbacks().values()) - len(POINTS) in {2, 3}
