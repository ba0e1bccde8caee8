"""When rehearsals begin, where, and what becomes of them; a real process where one runs, a made one where it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from sqlalchemy import delete
from structlog.testing import capture_logs
from support.fault_server import FaultServer
from support.history_server import configuration, orders
from support.made_rehearsal import rehearsal
from support.sqlite_store import sqlite_store

from watcher.engine.rehearsal_process import RehearsalProcess
from watcher.engine.rehearser import ASK, EVERY, LATER, LIMIT, SOON, Rehearser, Running, exposed
from watcher.store import rehearsals, schema
from watcher.store.database import Database

NOW = 1_800_000_000.0


@dataclass
class Made:
    """A rehearsal in another process, as far as it can be seen from here."""

    service: str
    status: int | None = None
    said: str = ""
    ended: bool = False

    def poll(self) -> int | None:
        return self.status

    def words(self) -> str:
        return self.said

    def end(self) -> None:
        self.ended = True

    def close(self) -> None:
        return


@dataclass
class Stage:
    """`seconds` have gone by truly since `NOW`, whatever the clock says."""

    database: Database
    begun: list[Made] = field(default_factory=list)
    seconds: float = 0.0

    def start(self, service: str) -> Running:
        self.begun.append(Made(service))
        return self.begun[-1]

    def rehearser(self, owner: str = "a", after_start: float = 0.0) -> Rehearser:
        log = structlog.get_logger()
        services = ["checkout", "search"]
        return Rehearser(self.database, services, self.start, owner, log, after_start, lambda: self.seconds)

    def step(self, one: Rehearser, seconds: float, ahead: float = 0.0) -> None:
        """A step `seconds` after `NOW`, by a clock that is `ahead`."""
        self.seconds = seconds
        one.step(NOW + seconds + ahead)

    def finish(self, at: float, placebos: int = 20) -> None:
        running = self.begun[-1]
        with self.database.write() as tx:
            rehearsals.add(tx, rehearsal(service=running.service, made_at=at, placebos=placebos))
        running.status = 0

    def names(self) -> list[str]:
        return [made.service for made in self.begun]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = sqlite_store(tmp_path)
    yield Stage(database)
    database.close()


def test_each_service_once_one_after_the_other_then_daily(stage: Stage) -> None:
    one = stage.rehearser()
    with capture_logs() as logs:
        for second in range(8):
            stage.step(one, second)
            if stage.begun[-1].status is None and second % 3 == 2:
                stage.finish(NOW + second)
    assert stage.names() == ["checkout", "search"]
    assert [(log["event"], log["service"]) for log in logs] == [("rehearsed", "checkout"), ("rehearsed", "search")]
    assert logs[0]["detectable"] == {"conversion": 0.12, "p95 latency": None}
    stage.step(one, EVERY - 60)
    assert len(stage.begun) == 2
    stage.step(one, EVERY + 60)
    assert stage.names() == ["checkout", "search", "checkout"]


def test_a_daemon_that_has_just_started_does_other_things_first(stage: Stage) -> None:
    one = stage.rehearser(after_start=120.0)
    stage.step(one, 0.0)
    stage.step(one, 119)
    assert stage.begun == []
    stage.step(one, 121)
    assert stage.names() == ["checkout"]


def test_only_one_replica_rehearses(stage: Stage) -> None:
    one, other = stage.rehearser("a"), stage.rehearser("b")
    stage.step(one, 0.0)
    stage.step(other, 0.0)
    assert stage.names() == ["checkout"]


@pytest.mark.parametrize(("placebos", "again"), [(20, EVERY), (0, SOON)])
def test_what_found_no_room_for_a_placebo_is_tried_again_soon(stage: Stage, placebos: int, again: float) -> None:
    one = stage.rehearser()
    for service in ("checkout", "search"):
        stage.step(one, 0.0)
        assert stage.begun[-1].service == service
        stage.finish(NOW, placebos)
        stage.step(one, 0.0)
    stage.step(one, max(again, LATER) - 1)
    assert len(stage.begun) == 2
    stage.step(one, max(again, LATER) + 1)
    assert len(stage.begun) == 3


def test_where_nothing_is_due_the_store_is_not_asked_at_every_step(stage: Stage) -> None:
    one = stage.rehearser()
    with stage.database.write() as tx:
        for name in ("checkout", "search"):
            rehearsals.add(tx, rehearsal(service=name, made_at=NOW))
    stage.step(one, 1)
    with stage.database.write() as tx:
        tx.execute(delete(schema.rehearsals))  # nothing tells of it but the store
    stage.step(one, ASK - 1)
    assert stage.begun == []
    stage.step(one, ASK + 1)
    assert stage.names() == ["checkout"]


def test_a_failure_only_postpones_and_the_others_go_on(stage: Stage) -> None:
    one = stage.rehearser()
    stage.step(one, 0.0)
    stage.begun[-1].status, stage.begun[-1].said = 5, "watcher: not rehearsed: shop: connection refused"
    with capture_logs() as logs:
        stage.step(one, 1)
    assert [(log["event"], log["error"]) for log in logs] == [("rehearsal_postponed", stage.begun[-1].said)]
    stage.step(one, 2)
    assert stage.names() == ["checkout", "search"]
    stage.finish(NOW + 3)
    stage.step(one, 3)
    stage.step(one, LATER)
    assert len(stage.begun) == 2
    stage.step(one, LATER + 2)
    assert stage.names()[2:] == ["checkout"]


@pytest.mark.parametrize("end", [lambda stage, one: stage.step(one, LIMIT + 1), lambda _, one: one.stop()])
def test_what_takes_too_long_or_outlives_the_daemon_is_ended(
    stage: Stage, end: Callable[[Stage, Rehearser], None]
) -> None:
    one = stage.rehearser()
    stage.step(one, 0.0)
    end(stage, one)
    assert stage.begun[0].ended


@pytest.mark.parametrize("ahead", [-9 * 3600.0, 14 * 3600.0])
def test_a_clock_that_is_set_neither_begins_nor_ends_one(stage: Stage, ahead: float) -> None:
    one = stage.rehearser(after_start=120.0)
    stage.step(one, 0.0)
    stage.step(one, 10, ahead)
    assert stage.begun == []
    stage.step(one, 121, ahead)
    stage.step(one, 126)
    assert stage.names() == ["checkout"]
    assert not stage.begun[0].ended
    stage.begun[0].status = 5
    stage.step(one, 130)
    stage.step(one, 131, ahead)  # what failed is put off as long as ever
    assert stage.names() == ["checkout", "search"]


def test_a_real_process_rehearses_and_is_exposed(tmp_path: Path, stage: Stage) -> None:
    with FaultServer() as shop:
        shop.answer = orders
        config = str(configuration(tmp_path, shop.url))
        log = structlog.get_logger()
        one = Rehearser(stage.database, ["checkout"], lambda name: RehearsalProcess(name, config), "a", log, 0.0)
        with capture_logs() as logs:
            deadline = time.monotonic() + 250  # it gives way to everything else
            while not logs and time.monotonic() < deadline:
                one.step(time.time())
                time.sleep(0.05)
    assert [log["event"] for log in logs] == ["rehearsed"], logs
    with stage.database.read() as tx:
        (found,) = exposed(tx, {"checkout"}).values()
        assert exposed(tx, {"search"}) == {}
    assert found.false_rollback_probability is not None
    assert 0 < (found.signals["orders"].detectable or 0) < 1
    assert (found.signals["orders"].seconds or 0) > 0


def test_a_real_process_says_why_it_failed(tmp_path: Path) -> None:
    running = RehearsalProcess("checkout", str(tmp_path / "none.yaml"))
    deadline = time.monotonic() + 90
    while running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.poll() == 1
    assert "none.yaml" in running.words()
    running.close()
