"""A night in which summer time ends, and a clock that jumps by hours both ways."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clocks import ends, jumps_of_hours
from support.daemon import Daemon
from support.false_clock import FalseClock
from support.fleet import Sender, names, surroundings

# At 01:00 UTC the clocks of Berlin go back from three to two o'clock.
SWITCH = datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_end_of_summer_time_and_jumps_of_hours(tmp_path: Path) -> None:
    clock = FalseClock(tmp_path / "clock", SWITCH - 8.0 - time.time())
    with surroundings() as around:
        around.now = around.server.now = clock.now
        environment = {"STORE_URL": f"sqlite:///{tmp_path / 'watcher.db'}", "TZ": "Europe/Berlin"}
        daemon = Daemon(tmp_path, around.config(names(3)), environment | clock.environment)
        with daemon:
            clock.set(SWITCH - 8.0 - time.time())
            sender = Sender(around, [daemon])
            sender.deploy("good-0", ago=20.0)
            sender.deploy("bad-0", ago=4.0)
            ends(daemon, sender, "bad-0", "regressed")
            ends(daemon, sender, "good-0", "healthy")
            jumps_of_hours(daemon, around, clock, ("good-1", "bad-1", "bad-2"))
        assert not daemon.errors()
        rollbacks = {name: (len(keys), keys.total()) for name, keys in around.rollbacks().items()}
        assert rollbacks == {f"bad-{number}": (1, 1) for number in range(3)}
