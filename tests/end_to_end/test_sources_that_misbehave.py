"""A real Prometheus behind a proxy that spoils its answers before, during and after a deploy: nothing is rolled back
for it, nothing is called healthy that was not measured, and each fault is told by its own name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.fault_proxy import FAULTS, FaultProxy
from support.misbehaving import AFTER, RESTORED, SHORT, SHORT_WINDOW, START, STEP, WINDOW, House, conversion, history
from support.prometheus_server import PrometheusServer
from support.sqlite_store import sqlite_store

from watcher.model.decision import Outcome, Reason
from watcher.model.order import Topic
from watcher.model.watch import WatchState
from watcher.store.database import Database

pytestmark = pytest.mark.prometheus
few = pytest.mark.parametrize(
    "fault", [fault if fault in SHORT else pytest.param(fault, marks=pytest.mark.soak) for fault in FAULTS]
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with PrometheusServer(tmp_path_factory.mktemp("prometheus")) as server:
        server.backfill(history())
        yield server


@pytest.fixture(scope="module")
def shared(prometheus: PrometheusServer) -> Iterator[FaultProxy]:
    with FaultProxy(prometheus.url) as one:
        yield one


@pytest.fixture
def proxy(shared: FaultProxy) -> Iterator[FaultProxy]:
    shared.fault, shared.slow = None, 0.0
    yield shared
    shared.fault = None
    assert shared.elsewhere == 0, "a redirect was followed"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    store = sqlite_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def house(database: Database, proxy: FaultProxy) -> House:
    return House(database, proxy)


@pytest.mark.parametrize("fault", FAULTS)
def test_from_before_the_deploy_until_after_it(database: Database, proxy: FaultProxy, fault: str) -> None:
    house = House(database, proxy, SHORT_WINDOW)
    house.proxy.fault = fault
    with capture_logs() as said:
        done = house.pass_by(START + SHORT_WINDOW + AFTER)
    house.assert_told(fault, said)
    assert done.rollback_id is None
    assert (done.state, done.outcome, done.reason) == (WatchState.DONE, Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED)
    assert done.blind_seconds == SHORT_WINDOW
    assert "Not fully measured for 4 min in all." in done.sentence
    assert house.topics() == [Topic.BLIND, Topic.INCONCLUSIVE], "somebody is called, once"
    assert house.metrics.registry.get_sample_value("watcher_source_up", {"source": "prom"}) != 1


@few
def test_only_during_the_watch(house: House, fault: str) -> None:
    house.pass_by(START + 3 * STEP)
    house.proxy.fault = fault
    with capture_logs() as said:
        house.pass_by(START + 7 * STEP)
        house.assert_told(fault, said)
        assert house.watch().rollback_id is None
        house.proxy.fault = None
        done = house.pass_by(START + WINDOW + AFTER)
    assert (done.outcome, done.reason) == (Outcome.HEALTHY, Reason.NO_HARM), done.sentence
    assert 3 * STEP <= done.blind_seconds <= 6 * STEP
    assert [line["event"] for line in said].count("source_recovered") == 1
    assert house.topics().count(Topic.BLIND) == 1


@few
def test_only_while_what_was_before_the_deploy_is_read(house: House, fault: str) -> None:
    house.proxy.fault = fault
    with capture_logs() as said:
        house.pass_by(START + 2 * STEP)
        house.assert_told(fault, said)
        house.proxy.fault = None
        done = house.pass_by(START + WINDOW + AFTER)
    assert (done.outcome, done.reason) == (Outcome.HEALTHY, Reason.NO_HARM), done.sentence
    assert done.rollback_id is None
    assert 2 * STEP <= done.blind_seconds <= 4 * STEP


@few
def test_only_once_the_window_is_over(house: House, fault: str) -> None:
    """Its last minutes cannot be read then: they are waited for, and what cannot be known is said."""
    house.pass_by(START + WINDOW - 3 * STEP)
    house.proxy.fault = fault
    with capture_logs() as said:
        done = house.pass_by(START + WINDOW + AFTER)
    house.assert_told(fault, said)
    assert (done.outcome, done.reason) == (Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED), done.sentence
    assert done.rollback_id is None
    assert house.topics()[-1] is Topic.INCONCLUSIVE


@few
def test_only_while_a_rollback_is_to_help(database: Database, proxy: FaultProxy, fault: str) -> None:
    house = House(database, proxy, asked=conversion("harmed"), more={"recovery_window": 1800.0})
    found = house.pass_by(START + 5 * STEP)
    assert (found.outcome, found.state) == (Outcome.REGRESSED, WatchState.RECOVERING), found.sentence
    house.rolled_back()
    house.proxy.fault = fault
    with capture_logs() as said:
        during = house.pass_by(RESTORED + 5 * STEP)
        house.assert_told(fault, said)
        assert (during.state, during.recovered) == (WatchState.RECOVERING, None), "neither helped nor failed to"
        assert during.rollback_id == found.rollback_id
        house.proxy.fault = None
        done = house.pass_by(RESTORED + 20 * STEP)
    assert (done.state, done.recovered) == (WatchState.DONE, True)
    assert house.topics() == [Topic.REGRESSED, Topic.RECOVERED]


def test_a_slow_source_is_no_fault_at_all(house: House) -> None:
    house.proxy.slow = 0.02
    assert house.pass_by(START + WINDOW + AFTER).outcome is Outcome.HEALTHY
    assert house.watch().blind_seconds == 0
