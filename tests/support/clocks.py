"""What a watcher must go through while its clock jumps."""

from __future__ import annotations

import time

from support.daemon import Daemon
from support.false_clock import FalseClock
from support.fleet import Sender, Surroundings

HOUR = 3600.0


def ends(daemon: Daemon, sender: Sender, service: str, outcome: str, seconds: float = 100.0) -> None:
    """The watch over a deploy of `service` ends so."""
    path = f"/api/v1/watches/{sender.accepted[service][1]}"
    daemon.wait_for(lambda: daemon.get(path)["state"] == "done", seconds)
    found = daemon.get(path)
    assert found["outcome"] == outcome, (service, found["reason"], found["sentence"])


def jumps_of_hours(daemon: Daemon, around: Surroundings, clock: FalseClock, services: tuple[str, str, str]) -> Sender:
    """Nine hours back in the middle of a watch over the first, a good deploy, and fourteen forward; others are bad."""
    good, bad, other = services
    start = clock.now() - time.time()
    sender = Sender(around, [daemon])
    sender.deploy(good)
    daemon.wait_for(lambda: daemon.get(f"/api/v1/watches/{sender.accepted[good][1]}")["last_look_at"], 60)
    clock.set(start - 9 * HOUR)  # its looks now lie hours ahead
    sender.deploy(bad, ago=4.0)
    ends(daemon, sender, bad, "regressed")  # what comes by the new clock is watched by it
    clock.set(start + 5 * HOUR)
    ends(daemon, sender, good, "healthy")  # and nothing that was put off is forgotten
    sender.deploy(other, ago=4.0)
    ends(daemon, sender, other, "regressed")
    assert daemon.status("/healthz") == 200
    return sender
