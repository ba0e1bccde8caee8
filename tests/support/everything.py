"""Deploys, faults and restarts at random, and what must hold in the end: no bad deploy is left out, none is done twice,
no good one is rolled back, nothing grows, nothing is unlogged.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from support.fault_server import Answer, Request
from support.fleet import Sender, Surroundings
from support.replicas import Replicas

PAUSE = 4.0  # seconds between two things that happen
# What a bad deploy may end as instead of regressed, since its source did not answer at the moments that mattered: never
# healthy. Of many at most one in twenty, of few one.
_BLIND = frozenset({"source_failed", "no_data", "stale_data", "gaps", "too_little_history"})
_SHARE = 0.05


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

    def __str__(self) -> str:
        said = [
            f"{name} {statistics.median(values):.0f}{unit} ({self.growth(values):+.1f})"
            for name, unit, values in (
                ("memory", " MB", self.memory),
                ("files", "", self.files),
                ("threads", "", self.threads),
            )
        ]
        return ", ".join(said)


@dataclass
class Chaos:
    """Replicas, what is around them, and whatever may happen to them."""

    fleet: Replicas
    around: Surroundings
    rng: random.Random
    bad_share: float = 0.3
    together: int = 1  # deploys at once

    def __post_init__(self) -> None:
        self.sender = Sender(self.around, self.fleet.daemons)
        self.watched = Health(self.fleet.daemons[0].pid)  # never killed: what grows in it grew by itself
        self.happened: dict[str, int] = {}

    def rages(self, seconds: float, pause: float = PAUSE) -> None:
        until, numbers = time.monotonic() + seconds, itertools.count()
        while time.monotonic() < until:
            for number in itertools.islice(numbers, self.together):
                kind = "bad" if self.rng.random() < self.bad_share else "good"
                self.sender.deploy(f"{kind}-{number}", ago=self.rng.choice([0.0, 5.0, 40.0]))
            fault = self.rng.choice(self._faults())
            self.happened[fault.__name__] = self.happened.get(fault.__name__, 0) + 1
            fault()
            time.sleep(pause / 2)
            self.around.hold, self.around.server.answer = 0.0, self.around.answer
            self.watched.look()

    def _faults(self) -> list[Callable[[], None]]:
        """Most of the time nothing happens."""
        mortal = self.rng.choice(self.fleet.daemons[1:])

        def asleep() -> None:
            self.fleet.sleep(mortal)
            time.sleep(self.rng.uniform(1.0, 13.0))
            self.fleet.wake(mortal)

        def killed() -> None:
            self.fleet.kill(mortal)
            mortal.start()

        def restarted() -> None:
            mortal.stop()
            mortal.start()

        def source_broken() -> None:
            self.around.server.answer = self._broken

        def source_slow() -> None:
            self.around.hold = 1.5

        def database_restarted() -> None:
            self.fleet.restart_database(self.rng.uniform(0.0, 2.0))

        def connections_cut() -> None:
            self.fleet.cut()

        def nothing() -> None:
            return

        some = [asleep, killed, restarted, connections_cut, source_broken, source_slow, database_restarted]
        return [*[nothing] * 5, *some]

    def _broken(self, request: Request) -> Answer:
        if request.path != "/points":
            return self.around.answer(request)
        return self.rng.choice([Answer(500), Answer(reset=True), Answer(200, body=b"<html>")])

    def all_is_well(self) -> str:
        """Waits until every watch has ended; a summary."""
        rows = self.fleet.rows
        self.fleet.until(lambda: rows("select count(*) from watches where next_look_at is not null") == [["0"]], 180)
        kept = {row[0] for row in rows("select id from watches")}
        assert {watch_id for _, watch_id in self.sender.accepted.values()} <= kept
        blind = self._every_deploy_has_its_end()
        assert not self.fleet.looked_twice()
        for daemon in self.fleet.daemons:
            assert not daemon.errors(), daemon.errors()[0]
            assert "Traceback" not in daemon.log.read_text().replace("\\n", "")
        bad = [name for name in self.sender.accepted if name.startswith("bad")]
        calls = sum(keys.total() for keys in self.around.rollbacks().values())
        return (
            f"{len(self.sender.accepted)} deploys, {len(bad)} bad of which {len(bad) - len(blind)} were rolled back in "
            f"{calls} calls, each under one key, and {len(blind)} were not measured; 0 good ones; {self.happened}"
        )

    def _every_deploy_has_its_end(self) -> list[str]:
        """Bad ones are rolled back under one key each, others are not; the bad ones that could not be measured."""
        rollbacks = self.around.rollbacks()
        ends = {row[0]: row[1:] for row in self.fleet.rows("select service, outcome, reason from watches")}
        bad = {name: ends[name] for name in self.sender.accepted if name.startswith("bad")}
        regressed = {name for name, (outcome, _) in ends.items() if outcome == "regressed"}
        assert regressed <= bad.keys(), "no good deploy is called bad"
        assert rollbacks.keys() == regressed, "what is called bad is rolled back, and nothing else"
        assert {len(keys) for keys in rollbacks.values()} <= {1}, rollbacks
        blind = [name for name in bad if name not in regressed]
        for name in blind:
            outcome, reason = bad[name]
            assert (outcome, reason in _BLIND) == ("inconclusive", True), f"{name}: {outcome}, {reason}"
        assert len(blind) <= max(1, _SHARE * len(bad)), f"{blind} of {len(bad)}"
        return blind
