"""Work that takes long beats all the while, is done in steps that end, and leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import current_thread

import numpy as np
import pytest
import structlog
from support.keeping import Patient
from support.made import deploy, service, signal, watch
from support.sqlite_store import sqlite_store

from watcher.engine import watch as watch_module
from watcher.engine.gather import Gather
from watcher.engine.housekeeping import Housekeeper
from watcher.engine.loop import Loop, Supervisor
from watcher.engine.watch import Watcher
from watcher.kit import clock
from watcher.model.decision import Outcome
from watcher.model.memory import Point
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.model.watch import WatchState
from watcher.store import deploys, looks, memory, watches
from watcher.store.database import Database, Tx
from watcher.telemetry.health import Heartbeats
from watcher.telemetry.metrics import Metrics

STEP = 60.0
START = 1_800_000_000.0 // STEP * STEP
WINDOW = 3600.0
NUMBER = 5


@dataclass
class Time:
    """What durations are measured by: it passes as a test says."""

    now: float = 0.0
    beats: Heartbeats = field(init=False)
    dead: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.beats = Heartbeats(lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.dead |= set(self.beats.dead())


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "monotonic", lambda: made.now)
    return made


class Slow(Database):
    """A store that takes a minute for a transaction that writes."""

    time: Time

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[Tx]:
        with super().write(alone=alone) as tx:
            yield tx
        self.time.passes(60.0)


def test_half_an_hour_of_cleaning_up_is_no_dead_loop(tmp_path: Path, time: Time) -> None:
    now = clock.now()
    with closing(sqlite_store(tmp_path)) as database:
        for number in range(30):
            kept = memory.StoreMemory(database, f"sources:{number}")
            kept.append({"x": [Point(now - 3e7, 1.0)]})
        slow = Slow(database.url)
        slow.time = time
        housekeeper = Housekeeper(slow, 86400.0, 0.0, "a", structlog.get_logger())
        supervisor = Supervisor(time.beats, Metrics("test"), structlog.get_logger())

        def step(at: float) -> bool:
            if not housekeeper.step(at):
                supervisor.stopping.set()
                return False
            return True

        supervisor.start([Loop("housekeeping", step, 0.0)])
        supervisor._threads[0].join(120)
        assert time.now >= 30 * 60.0, "all of it was done"
        assert not any(memory.StoreMemory(database, f"sources:{number}").range("x", 0, now) for number in range(30))
        slow.close()
    assert not time.dead


@dataclass
class Shop:
    """Orders of every service, as before its deploy."""

    time: Time
    slow: float = 0.0
    asked: list[str] = field(default_factory=list)

    def fetch(self, signal: Signal, window: Window) -> Series:
        self.asked.append(signal.query["who"])
        self.time.passes(self.slow)
        self.time.beats.progress()  # as the door for HTTP does
        times = window.grid()
        rng = np.random.default_rng(7)
        return Series(times, rng.poisson(400, len(times)).astype(float), STEP, window.end)


@dataclass
class House:
    """Several watches over good deploys at `START`."""

    database: Database
    shop: Shop
    watcher: Watcher

    def looked(self) -> list[int]:
        """How many looks are stored of each watch."""
        with self.database.read() as tx:
            return [len(looks.listing(tx, f"w-{number}")) for number in range(NUMBER)]

    def outcomes(self) -> set[Outcome | None]:
        with self.database.read() as tx:
            return {each.outcome for each in watches.listing(tx)}


@pytest.fixture
def house(tmp_path: Path, time: Time) -> Iterator[House]:
    database, shop = sqlite_store(tmp_path), Shop(time)
    watcher = Watcher(
        database,
        Gather(database, {"prom": shop}, lambda *_: None),
        Patient(database, "a"),
        Metrics("test"),
        "http://watcher",
        structlog.get_logger(),
        progress=time.beats.progress,
    )
    with database.write() as tx:
        for number in range(NUMBER):
            name = f"s{number}"
            orders = signal("orders", kind=Kind.COUNT, query={"who": name})
            policy = service(name, signals=(orders,), window=WINDOW, step=STEP, history=6 * 3600.0)
            deploys.put(tx, deploy(id=f"d-{name}", identity=name, started_at=START, finished_at=START))
            made = watch(
                id=f"w-{number}",
                deploy_id=f"d-{name}",
                service=name,
                policy=policy,
                state=WatchState.SCHEDULED,
                started_at=START,
                finished_at=START,
                until=START + WINDOW,
                ticket_until=START + WINDOW,
                next_look_at=START + STEP + number,
            )
            watches.open_watch(tx, made)
    yield House(database, shop, watcher)
    database.close()


def test_questions_and_looks_that_take_long_are_no_dead_loop(house: House, time: Time) -> None:
    time.beats.expect(current_thread().name, 300.0)
    house.shop.slow = 250.0

    def never() -> bool:
        time.passes(130.0)
        return False

    house.watcher.step(START + 70, never)
    assert time.now > 500.0
    assert not time.dead


def test_looks_of_a_long_outage_are_caught_up_in_steps_that_end(house: House, time: Time) -> None:
    steps: list[float] = []
    made: list[int] = []

    def never() -> bool:
        time.passes(1.0)
        return False

    began = 0.0
    while house.watcher.step(START + WINDOW + 30, never):
        steps.append(time.now - began)
        began = time.now
        made.append(sum(house.looked()))
    assert len(steps) > 5
    assert max(steps) < 2 * watch_module._CATCHING_UP
    assert made == sorted(set(made)), "every step makes some"
    assert house.looked() == [60] * NUMBER, "one by one, and none is left out"
    assert house.outcomes() == {Outcome.HEALTHY}
    assert len(house.shop.asked) == NUMBER, "what was asked for serves the steps that follow"


def test_watches_that_a_slow_source_could_not_be_asked_for_are_due_again_at_once(house: House) -> None:
    house.shop.slow = 25.0
    assert house.watcher.step(START + 70, lambda: False)
    assert house.shop.asked == ["s0", "s1"]
    assert house.looked() == [1, 1, 0, 0, 0]
    assert house.watcher.step(START + 70, lambda: False)
    assert house.looked() == [1, 1, 1, 1, 0]
    assert house.watcher.step(START + 70, lambda: False)
    assert house.looked() == [1] * NUMBER
    assert house.shop.asked == [f"s{number}" for number in range(NUMBER)]
