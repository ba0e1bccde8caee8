"""The clock of budgets and approvals: the database's own where replicas share one, and what it means to set it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.made import NOW
from support.sqlite_store import sqlite_store

from watcher.store.database import Database
from watcher.store.shared_clock import Moment, SharedClock

HOUR = 3600.0


@dataclass
class Clocks:
    """The machine's clock, which may be set, and the one beside it, which may not."""

    wall: float = NOW
    steady: float = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def made(self) -> SharedClock:
        return SharedClock(lambda: self.wall, lambda: self.steady)


def leapt(database: Database, clock: SharedClock) -> float:
    with database.read() as tx:
        return clock.read(tx, NOW).leapt


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with closing(sqlite_store(tmp_path)) as store:
        yield store


def test_the_time_of_postgresql_is_its_own_and_of_sqlite_the_steps(database: Database) -> None:
    with database.read() as tx:
        at = database.clock.read(tx, NOW).at
    assert at == (NOW if database.url.startswith("sqlite") else pytest.approx(time.time(), abs=60))


def test_a_clock_that_is_set_forward_has_leapt_for_an_hour(sqlite: Database) -> None:
    clocks = Clocks()
    clock = clocks.made()
    assert leapt(sqlite, clock) == 0
    clocks.pass_(7 * HOUR)  # a quiet night is no leap
    assert leapt(sqlite, clock) == 0
    clocks.wall += 2 * HOUR
    assert leapt(sqlite, clock) == pytest.approx(2 * HOUR)
    clocks.pass_(HOUR - 60)
    clocks.wall += 0.5 * HOUR
    assert leapt(sqlite, clock) == pytest.approx(2.5 * HOUR)
    clocks.pass_(120)
    assert leapt(sqlite, clock) == pytest.approx(0.5 * HOUR)
    clocks.pass_(HOUR)
    assert leapt(sqlite, clock) == 0


def test_a_clock_that_is_set_back_or_slewed_has_not(sqlite: Database) -> None:
    clocks = Clocks()
    clock = clocks.made()
    assert leapt(sqlite, clock) == 0
    clocks.wall -= 9 * HOUR
    assert leapt(sqlite, clock) == 0
    for _ in range(100):
        clocks.pass_(1)
        clocks.wall += 0.5
        assert leapt(sqlite, clock) == 0


def test_what_was_stamped_before_is_younger_than_the_clock_says() -> None:
    assert Moment(at=10_000.0, leapt=3_600.0).surely == 6_400.0
