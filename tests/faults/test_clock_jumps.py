"""A clock that jumps by hours, both ways, under the true daemon; `tests/soak` has the end of summer time as well."""

from __future__ import annotations

from pathlib import Path

from support.clocks import jumps_of_hours
from support.daemon import Daemon
from support.false_clock import FalseClock
from support.fleet import names, surroundings


def test_a_clock_that_jumps_by_hours_loses_and_repeats_nothing(tmp_path: Path) -> None:
    clock = FalseClock(tmp_path / "clock")
    with surroundings() as around:
        around.now = around.server.now = clock.now
        config = around.config(names(2))
        environment = {"STORE_URL": f"sqlite:///{tmp_path / 'watcher.db'}"} | clock.environment
        with Daemon(tmp_path, config, environment) as daemon:
            jumps_of_hours(daemon, around, clock, ("good-0", "bad-0", "bad-1"))
        assert not daemon.errors()
    assert {name: (len(keys), keys.total()) for name, keys in around.rollbacks().items()} == {
        "bad-0": (1, 1),
        "bad-1": (1, 1),
    }
