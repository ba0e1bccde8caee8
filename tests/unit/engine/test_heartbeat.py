"""The outside heartbeat: sent only while all is well, said once when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from support.fault_server import Answer, FaultServer
from support.made import NOW, deploy, watch
from support.sqlite_store import sqlite_store

from watcher.engine import heartbeat
from watcher.engine.guard import Guard
from watcher.engine.heartbeat import Check, Heartbeat
from watcher.engine.lease import Keeper
from watcher.errors import ExternalError, Fault
from watcher.kit.http import Connection, HttpClient
from watcher.store import deploys, watches
from watcher.store.database import Database
from watcher.telemetry.health import Heartbeats
from watcher.telemetry.metrics import Metrics


@pytest.fixture
def receiver() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.answer = lambda _request: Answer(200)
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    store = sqlite_store(tmp_path)
    yield store
    store.close()


def beating(receiver: FaultServer, *checks: Check, metrics: Metrics | None = None, timeout: float = 60) -> Heartbeat:
    http = HttpClient(Connection(timeout=timeout))
    url = f"{receiver.url}/ping?secret=hush"
    return Heartbeat(http, url, 60.0, checks, metrics or Metrics("test"), structlog.get_logger())


def test_it_is_sent_once_an_interval(receiver: FaultServer) -> None:
    metrics = Metrics("test")
    heart = beating(receiver, lambda _now: None, metrics=metrics)
    sent = [heart.step(NOW + second) for second in range(0, 181, 20)]
    assert sent == [True, False, False] * 3 + [True]
    assert [(request.method, request.path) for request in receiver.requests] == [("GET", "/ping")] * 4
    assert heart.step(NOW - 7200)  # a clock set back by hours does not silence it
    assert b'watcher_heartbeats_total{outcome="sent"} 5.0' in metrics.exposition("")[0]


def test_it_is_withheld_while_something_is_wrong_and_says_so_once(receiver: FaultServer) -> None:
    wrong: list[str] = []
    metrics = Metrics("test")
    with capture_logs() as lines:
        heart = beating(receiver, lambda _now: None, lambda _now: wrong[0] if wrong else None, metrics=metrics)
        heart.step(NOW)
        wrong.append("the store failed: disk full")
        for minute in (1, 2, 3):
            heart.step(NOW + 60 * minute)
        wrong.clear()
        heart.step(NOW + 240)
    assert len(receiver.requests) == 2
    assert [(line["event"], line.get("why")) for line in lines] == [
        ("heartbeat_withheld", "the store failed: disk full"),
        ("heartbeat_resumed", None),
    ]
    assert b'watcher_heartbeats_total{outcome="withheld"} 3.0' in metrics.exposition("")[0]


@pytest.mark.parametrize("answer", [Answer(500), Answer(404), Answer(delay=120), Answer(reset=True)])
def test_a_receiver_that_fails_is_said_once_and_without_the_address(receiver: FaultServer, answer: Answer) -> None:
    receiver.answer = lambda _request: answer
    metrics = Metrics("test")
    with capture_logs() as lines:
        heart = beating(receiver, metrics=metrics, timeout=0.5 if answer.delay else 60)
        heart.step(NOW)
        heart.step(NOW + 60)
    assert [line["event"] for line in lines] == ["heartbeat_failed"]
    assert "hush" not in str(lines)
    assert b'watcher_heartbeats_total{outcome="failed"} 2.0' in metrics.exposition("")[0]


def test_what_is_checked(database: Database) -> None:
    now = [0.0]
    beats = Heartbeats(lambda: now[0])
    beats.expect("look-0", 300)
    live = heartbeat.loops_live(beats.dead)
    assert live(NOW) is None
    now[0] = 301
    assert live(NOW) == "loops do not beat: look-0"

    writes = heartbeat.store_takes_writes(database)
    assert writes(NOW) is None
    broken = heartbeat.store_takes_writes(Database("sqlite:////no/such/folder/watcher.db"))
    assert "the store failed" in str(broken(NOW))

    late = heartbeat.looks_are_made(database)
    assert late(NOW) is None
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, watch(next_look_at=NOW))
    assert late(NOW + 300) is None
    assert late(NOW + 600) == "a look is 10 min late"
    with database.write() as tx:
        watches.change(tx, replace(watch(), next_look_at=None))
    assert late(NOW + 600) is None

    seconds = [1.0]
    renewed = heartbeat.leases_are_renewed(lambda: seconds[0], 10.0)
    assert renewed(NOW) is None
    seconds[0] = 12
    assert renewed(NOW) == "leases were last renewed 12 s ago"


def test_renewing_leases_is_noticed(database: Database) -> None:
    keeper = Keeper(database, "a")
    keeper._renewed -= 1000.0
    assert keeper.since_renewal() >= 1000
    keeper.step(NOW)
    assert keeper.since_renewal() < 900
    database.close()


def test_a_source_is_down_from_its_first_failure_on_while_it_is_asked() -> None:
    now = [1000.0]
    guard = Guard("prom", Metrics("test"), structlog.get_logger(), lambda: now[0], lambda: 1.0)
    check = heartbeat.sources_answer({"prom": guard.down_for}, 900.0)

    def broken() -> Any:
        raise ExternalError("prom: connection refused", fault=Fault.CONNECTION, permanent=False, sent=False)

    for _ in range(20):
        with pytest.raises(ExternalError):
            guard.ask(broken)
        now[0] += 60
    assert check(NOW) == "sources have not answered for 15 min: prom"
    now[0] += 3600  # nobody asks it any more: nothing is known of it
    assert check(NOW) is None
    guard.ask(lambda: None)
    assert guard.down_for() == 0.0
