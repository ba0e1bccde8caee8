"""A night in which summer time ends, and a clock that jumps by hours both ways."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.false_clock import FalseClock
from support.fleet import Sender, names, surroundings

# At 01:00 UTC the clocks of Berlin go back from three to two o'clock.
SWITCH = datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_end_of_summer_time_and_jumps_of_hours(tmp_path: Path) -> None:
    clock = FalseClock(tmp_path / "clock", SWITCH - 8.0 - time.time())
    with surroundings() as around:
        around.now = around.server.now = clock.now
        environment = {"STORE_URL": f"sqlite:///{tmp_path / 'watcher.db'}", "TZ": "Europe/Berlin"}
        daemon = Daemon(tmp_path, around.config(names(3)), environment | clock.environment)
        with daemon:
            start = SWITCH - 8.0 - time.time()
            clock.set(start)
            sender = Sender(around, [daemon])

            def ended(service: str, seconds: float = 100.0) -> str:
                watch_id = sender.accepted[service][1]
                daemon.wait_for(lambda: daemon.get(f"/api/v1/watches/{watch_id}")["state"] == "done", seconds)
                outcome: str = daemon.get(f"/api/v1/watches/{watch_id}")["outcome"]
                return outcome

            sender.deploy("good-0", ago=20.0)
            sender.deploy("bad-0", ago=4.0)
            assert (ended("bad-0"), ended("good-0")) == ("regressed", "healthy")
            sender.deploy("good-1")
            clock.set(start - 9 * HOUR)  # its looks now lie hours ahead
            sender.deploy("bad-1", ago=4.0)
            assert ended("bad-1") == "regressed"  # what comes by the new clock is watched by it
            clock.set(start + 5 * HOUR)
            assert ended("good-1") == "healthy"  # and nothing that was put off is forgotten
            sender.deploy("bad-2", ago=4.0)
            assert ended("bad-2") == "regressed"
            assert daemon.status("/healthz") == 200
        assert not daemon.errors()
        rollbacks = {name: (len(keys), keys.total()) for name, keys in around.rollbacks().items()}
        assert rollbacks == {f"bad-{number}": (1, 1) for number in range(3)}
