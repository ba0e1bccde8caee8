"""Three replicas on a real PostgreSQL: one killed, one stopped past its lease and woken, the database cut and away.

The short form of what `tests/soak` does for long.
"""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.fault_server import Answer, Request
from support.fleet import Sender, Surroundings, names, surroundings
from support.replicas import Replicas, replicas
from support.stopwatch import Stopwatch

TAKEOVER = 15.0  # seconds, as promised; those in which the machine itself stood still are not counted
_SOURCES = """
  scraped: {{kind: openmetrics, url: "{url}/metrics", interval: 1s}}
"""
_SCRAPED = """
  scraped:
    mode: observe
    signals:
      load: {{source: scraped, kind: gauge, harm: up, step: 1s, gauge: load}}
"""


@pytest.mark.postgresql
def test_three_replicas_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    with surroundings() as around:
        around.hold = 0.4
        url = around.server.url
        config = around.config(names(4), _SOURCES.format(url=url), _SCRAPED.format(url=url))
        with replicas(tmp_path, config, 3) as fleet:
            sender = Sender(around, fleet.daemons)
            began = time.time()
            for number in range(4):
                sender.deploy(f"good-{number}")
            fleet.until(around.scrapes, 60)
            with Stopwatch() as stopwatch:
                _one_killed_one_asleep_in_a_rollback(fleet, around, sender, stopwatch)
            _the_database_goes_and_comes(fleet, sender)
            _nothing_is_lost_and_nothing_twice(fleet, around, sender)
            assert len(around.scrapes()) <= time.time() - began + 10  # of one replica, not of three


def _one_killed_one_asleep_in_a_rollback(
    fleet: Replicas, around: Surroundings, sender: Sender, stopwatch: Stopwatch
) -> None:
    called = threading.Event()
    stopped: list[tuple[str, float]] = []

    def stop_the_caller(_request: Request) -> Answer | None:
        if not called.is_set():
            caller = fleet.calling()
            stopped.append((caller.url, fleet.sleep(caller)))
            called.set()
        return None

    around.call = stop_the_caller
    sender.deploy("bad-0", ago=5.0)
    assert called.wait(90)
    (asleep_url, since) = stopped[0]
    asleep = next(daemon for daemon in fleet.daemons if daemon.url == asleep_url)
    scraper = fleet.scraper()
    awake = [daemon for daemon in fleet.daemons if daemon is not asleep]
    killed, held = fleet.busiest([scraper] if scraper in awake else awake)
    at = fleet.kill(killed)
    if fleet.carries_out_a_rollback(killed):  # as well: where the one asleep had all watches, all leases end at once
        assert stopwatch.between(since, at) <= TAKEOVER
        since = at
    fleet.until(lambda: around.rollbacks()["bad-0"].total() == 2, 90)
    repeated = stopwatch.between(since, time.time())
    taken = stopwatch.between(at, fleet.taken_over(held, killed, at))
    unscraped = max(stopwatch.between(earlier, later) for earlier, later in pairwise(around.scrapes()))
    print(
        f"takeover of looks after kill -9: {taken:.1f} s; of a rollback after SIGSTOP: {repeated:.1f} s; "
        f"longest time without a scrape: {unscraped:.1f} s"
    )
    assert max(taken, repeated, unscraped) <= TAKEOVER
    fleet.wake(asleep)
    # It slept waiting for the target's answer, in no transaction, and nothing ends idle connections: it finds its lease
    # lost. What else is left is a machine that stands still while it writes: 5 s in a transaction, 10 s for a lock.
    asleep.wait_for(lambda: asleep.events("order_lease_lost") + _cut_off(asleep))
    killed.start()


def _cut_off(daemon: Daemon) -> list[dict[str, Any]]:
    """What the loops that carry out rollbacks have said of a store that failed them."""
    return [line for line in daemon.events("store_unavailable") if line["loop"].startswith("act-")]


def _the_database_goes_and_comes(fleet: Replicas, sender: Sender) -> None:
    fleet.cut()
    sender.deploy("bad-1", ago=5.0)
    restarting = threading.Thread(target=fleet.restart_database, args=(1.0,))
    restarting.start()
    sender.deploy("bad-2", ago=5.0)
    restarting.join()
    sender.deploy("bad-3", ago=5.0)


def _nothing_is_lost_and_nothing_twice(fleet: Replicas, around: Surroundings, sender: Sender) -> None:
    daemon = fleet.daemons[0]
    watches = {name: watch_id for name, (_, watch_id) in sender.accepted.items()}
    fleet.until(lambda: fleet.rows("select count(*) from watches where state <> 'done'") == [["0"]], 200)
    for name, watch_id in watches.items():
        watch = daemon.get(f"/api/v1/watches/{watch_id}")
        assert watch["outcome"] == ("regressed" if name.startswith("bad") else "healthy"), watch["sentence"]
    keys = {name: len(found) for name, found in around.rollbacks().items()}
    assert keys == dict.fromkeys([name for name in watches if name.startswith("bad")], 1)
    assert not fleet.looked_twice()
    assert all(times <= 2 for times in around.notes().values())  # one that the killed was sending may come again
    for each in fleet.daemons:
        assert not each.events("loop_error"), each.events("loop_error")
        assert not each.events("loop_died")
