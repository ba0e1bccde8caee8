"""The guard before each source: what it lets through, what it counts, what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.fault_server import Answer, FaultServer
from support.made import signal
from support.sqlite_store import sqlite_store

from watcher.engine.guard import Door, Guard, guarded
from watcher.errors import ExternalError, Fault, StoreUnavailableError
from watcher.kit.breaker import FAILURES
from watcher.kit.http import Connection, HttpClient
from watcher.model.series import Series, Window, empty_series
from watcher.model.service import Signal
from watcher.telemetry import logs
from watcher.telemetry.metrics import Metrics


def fails(fault: Fault = Fault.CONNECTION, **more: Any) -> Callable[[], None]:
    def question() -> None:
        raise ExternalError("prom: connection refused", fault=fault, permanent=False, **more)

    return question


@dataclass
class House:
    now: float = 0.0
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))

    def __post_init__(self) -> None:
        self.guard = Guard("prom", self.metrics, logs.logger("source"), lambda: self.now, lambda: 1.0)

    def fail(self, question: Callable[[], Any]) -> ExternalError:
        with pytest.raises(ExternalError) as error:
            self.guard.ask(question)
        return error.value

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"watcher_source_{name}", {"source": "prom"} | labels)


def test_after_enough_failures_it_is_not_asked_and_everybody_is_told_why() -> None:
    house = House()
    with capture_logs() as said:
        for _ in range(FAILURES):
            assert house.fail(fails()).fault is Fault.CONNECTION
        error = house.fail(lambda: pytest.fail("asked"))
        assert (error.fault, error.sent, error.retry_after) == (Fault.CIRCUIT_OPEN, False, 5.0)
        assert str(error) == "not asked for another 5 s: prom: connection refused"
        assert house.sample("breaker_state", state="open") == 1
        assert house.sample("up") == 0
        house.now = 6.0
        assert house.guard.ask(lambda: 17) == 17
    assert [(line["event"], line["source"]) for line in said] == [
        ("source_circuit_opened", "prom"),
        ("source_circuit_closed", "prom"),
    ]
    assert house.sample("breaker_state", state="closed") == 1
    assert house.sample("breaker_state", state="open") == 0
    assert house.sample("up") == 1
    assert house.sample("blind_seconds_total") == 6
    assert house.sample("errors_total", fault="connection") == FAILURES
    assert house.sample("errors_total", fault="circuit_open") == 1
    assert (house.sample("last_success_timestamp_seconds") or 0) > 1.7e9


def test_it_is_left_alone_for_as_long_as_it_asked() -> None:
    house = House()
    house.fail(fails(Fault.RATE_LIMITED, retry_after=90.0))
    house.now = 89.0
    assert house.fail(fails()).fault is Fault.CIRCUIT_OPEN
    house.now = 91.0
    assert house.guard.ask(lambda: 1) == 1


@pytest.mark.parametrize("fault", [Fault.QUERY, Fault.TOO_LARGE, Fault.OVER_BUDGET, Fault.FORBIDDEN_ADDRESS])
def test_a_wrong_question_is_not_the_sources_fault(fault: Fault) -> None:
    house = House()
    for _ in range(3 * FAILURES):
        assert house.fail(fails(fault)).fault is fault
    assert house.sample("breaker_state", state="closed") == 1
    assert house.sample("up") == (0 if fault is Fault.OVER_BUDGET else None)


def test_an_error_of_the_adapter_itself_counts_and_is_not_hidden() -> None:
    house = House()
    for _ in range(FAILURES):
        with pytest.raises(ZeroDivisionError):
            house.guard.ask(lambda: 1 / 0)
    assert house.fail(fails()).fault is Fault.CIRCUIT_OPEN


def test_a_failure_of_our_own_store_says_nothing_of_the_source() -> None:
    def question() -> None:
        raise StoreUnavailableError("the store failed")

    house = House()
    for _ in range(FAILURES - 1):
        house.fail(fails())
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            house.guard.ask(question)
    assert house.guard.ask(lambda: 1) == 1


def test_what_is_only_remembered_does_not_vouch_for_the_source() -> None:
    class Scraped:
        interval = 1.0

        def collect(self, _now: float, _signals: object) -> None: ...

        def fetch(self, signal: Signal, window: Window) -> Series:
            if signal.name == "level":
                raise ExternalError("several series", fault=Fault.QUERY, permanent=True)
            return empty_series(window.step, window.end)

    house = House()
    source = guarded({"prom": Scraped()}, {"prom": house.guard})["prom"]
    for _ in range(FAILURES):
        house.fail(fails())
        assert source.fetch(signal(), Window(0, 60, 60)).complete_until == 60
    assert house.sample("up") == 0
    assert house.fail(fails()).fault is Fault.CIRCUIT_OPEN
    with pytest.raises(ExternalError):
        source.fetch(signal("level"), Window(0, 60, 60))
    assert house.sample("errors_total", fault="query") == 1


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


def test_beyond_the_budget_nothing_is_sent(server: FaultServer, tmp_path: Path) -> None:
    server.answer = lambda _request: Answer.of({})
    database = sqlite_store(tmp_path)
    doors = [Door(HttpClient(Connection()), database, "sources:prom", 3) for _ in range(2)]
    for door in (*doors, doors[0]):
        assert door.request("GET", server.url).status == 200
    for door in doors:
        with pytest.raises(ExternalError) as error:
            door.request("GET", server.url)
        assert (error.value.fault, error.value.sent) == (Fault.OVER_BUDGET, False)
        assert 50 < (error.value.retry_after or 0) <= 61
    assert len(server.requests) == 3
    database.close()
