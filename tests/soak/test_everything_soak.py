"""Deploys, faults and restarts at random, for `SOAK_MINUTES`: memory and file handles stay flat, no thread is lost, no
error goes unlogged, and at the end nothing is lost and nothing was done twice.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from support.daemon import Daemon
from support.fault_server import Answer, Request
from support.fleet import Sender, Surroundings, names, surroundings
from support.replicas import Replicas, replicas

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
_PAUSE = 4.0  # seconds between two things that happen


@dataclass
class Health:
    """What one process holds, each time it is looked at."""

    pid: int
    memory: list[float] = field(default_factory=list)  # MB
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def look(self) -> None:
        process = psutil.Process(self.pid)
        self.memory.append(process.memory_info().rss / 1e6)
        self.files.append(process.num_fds())
        self.threads.append(process.num_threads())

    def growth(self, values: list[float] | list[int]) -> float:
        """How much more the last quarter holds than the second: the first is for warming up."""
        quarter = len(values) // 4
        return statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.timeout(int(MINUTES * 60 + 600))
def test_faults_at_random(tmp_path: Path) -> None:
    rng = random.Random(7)
    number = int(MINUTES * 60 / _PAUSE) + 1
    with surroundings() as around, replicas(tmp_path, around.config(names(number)), 3) as fleet:
        sender = Sender(around, fleet.daemons)
        watched = Health(fleet.daemons[0].pid)  # never killed: what grows in it grew by itself
        until, done = time.monotonic() + MINUTES * 60, 0
        while time.monotonic() < until:
            sender.deploy(f"bad-{done}" if rng.random() < 0.3 else f"good-{done}", ago=rng.choice([0.0, 5.0, 40.0]))
            rng.choice(_faults(fleet, around, rng))()
            time.sleep(_PAUSE / 2)
            around.hold, around.server.answer = 0.0, around.answer
            done += 1
            watched.look()
        _everything_is_well(fleet, around, sender, watched)


def _faults(fleet: Replicas, around: Surroundings, rng: random.Random) -> list[Callable[[], object]]:
    """Most of the time nothing happens."""
    mortal = rng.choice(fleet.daemons[1:])

    def asleep() -> None:
        fleet.sleep(mortal)
        time.sleep(rng.uniform(1.0, 13.0))
        fleet.wake(mortal)

    def reborn(end: Callable[[Daemon], object]) -> Callable[[], None]:
        def again() -> None:
            end(mortal)
            mortal.start()

        return again

    def broken(request: Request) -> Answer:
        faulty = request.path == "/points"
        return (
            rng.choice([Answer(500), Answer(reset=True), Answer(200, body=b"<html>")])
            if faulty
            else around.answer(request)
        )

    def break_source() -> None:
        around.server.answer = broken

    def slow_source() -> None:
        around.hold = 1.5

    quiet: list[Callable[[], object]] = [lambda: None] * 5
    return [
        *quiet,
        *(asleep, reborn(fleet.kill), reborn(Daemon.stop), fleet.cut, break_source, slow_source),
        lambda: fleet.restart_database(rng.uniform(0.0, 2.0)),
    ]


def _everything_is_well(fleet: Replicas, around: Surroundings, sender: Sender, watched: Health) -> None:
    fleet.until(lambda: fleet.rows("select count(*) from watches where next_look_at is not null") == [["0"]], 180)
    kept = {row[0] for row in fleet.rows("select id from watches")}
    assert {watch_id for _, watch_id in sender.accepted.values()} <= kept
    rollbacks = around.rollbacks()
    assert not [name for name in rollbacks if not name.startswith("bad")]
    assert {len(keys) for keys in rollbacks.values()} <= {1}
    assert not fleet.looked_twice()
    for daemon in fleet.daemons:
        assert not daemon.errors(), daemon.errors()[0]
        assert "Traceback" not in daemon.log.read_text().replace("\\n", "")
    bad = [name for name in sender.accepted if name.startswith("bad")]
    print(
        f"\n{MINUTES:g} minutes, {len(sender.accepted)} deploys, {len(bad)} bad of which {len(rollbacks)} rolled back, "
        f"each under one key; the replica that lived: memory {statistics.median(watched.memory):.0f} MB "
        f"({watched.growth(watched.memory):+.1f}), files {statistics.median(watched.files):.0f} "
        f"({watched.growth(watched.files):+.0f}), threads {statistics.median(watched.threads):.0f} "
        f"({watched.growth(watched.threads):+.0f})"
    )
    assert watched.growth(watched.memory) < 15.0
    assert watched.growth(watched.files) <= 8
    assert watched.growth(watched.threads) <= 4
