"""A real Prometheus behind a proxy that spoils its answers before, during and after a deploy: nothing is rolled back
for it, nothing is called healthy that was not measured, and each fault is told by its own name.

The engine, the adapter and the sockets are the true ones; only the time is made, so that an hour passes in a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs
from support.fault_proxy import FAULTS, FaultProxy
from support.keeping import Patient
from support.kept import Kept
from support.made import deploy, service, signal, watch
from support.measuring import tools
from support.prometheus_server import PrometheusServer
from support.sqlite_store import sqlite_store

from watcher.engine.gather import Gather
from watcher.engine.guard import Guard, guarded
from watcher.engine.observations import Observations
from watcher.engine.watch import Watcher
from watcher.errors import Fault
from watcher.model.decision import Outcome, Reason
from watcher.model.order import Topic
from watcher.model.series import Series, Window
from watcher.model.service import Mode, Signal
from watcher.model.watch import Watch, WatchState
from watcher.sources.prometheus import Prometheus
from watcher.sources.prometheus_api import ApiOptions
from watcher.store import deploys, watches
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

pytestmark = pytest.mark.prometheus
STEP = 60.0
START = 1_780_000_000.0 // STEP * STEP
WINDOW, SHORT_WINDOW = 600.0, 240.0
PAST = 6 * 3600.0
AFTER = 180.0  # until which every look is made
HANGING = frozenset({"hangs", "headers_drip", "body_drips"})
SHORT = ("hangs", "rate_limited_for_seconds", "internal_error", "half_the_json", "cut_off", "clock_an_hour_behind")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with PrometheusServer(tmp_path_factory.mktemp("prometheus")) as server:
        server.backfill(history())
        yield server


def history() -> Iterator[str]:
    rng = np.random.default_rng(3)
    times = np.arange(START - PAST - 600, START + WINDOW + 600, STEP)
    sessions = rng.poisson(900, len(times))
    orders = rng.binomial(sessions, 0.12)
    for name, counts in (("sessions", sessions), ("orders", orders)):
        yield f"# TYPE {name} counter"
        for at, total in zip(times.tolist(), np.cumsum(counts).tolist(), strict=True):
            yield f"{name}_total {total} {at:.0f}"


@pytest.fixture(scope="module")
def proxy(prometheus: PrometheusServer) -> Iterator[FaultProxy]:
    with FaultProxy(prometheus.url) as one:
        yield one


@dataclass
class Source:
    """A Prometheus behind the proxy, which allows a question little time while no answer is to come."""

    proxy: FaultProxy
    now: Callable[[], float]

    def __post_init__(self) -> None:
        self.hasty, self.patient = self._allowing(0.25), self._allowing(60.0)

    def fetch(self, asked: Signal, window: Window) -> Series:
        return (self.hasty if self.proxy.fault in HANGING else self.patient).fetch(asked, window)

    def _allowing(self, timeout: float) -> Prometheus:
        options = ApiOptions(url=self.proxy.url, timeout=timeout, max_bytes=1 << 20, scrape_interval=STEP)
        return Prometheus("prom", options, tools(self.now))


@dataclass
class House(Kept):
    """A watch over one good deploy at `START`, its source behind the proxy."""

    database: Database
    proxy: FaultProxy
    window: float = WINDOW
    now: float = START
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))

    def __post_init__(self) -> None:
        source = Source(self.proxy, lambda: self.now)
        guard = Guard("prom", self.metrics, structlog.get_logger(), lambda: self.now, lambda: 1.0)
        gather = Gather(
            self.database,
            guarded({"prom": source}, {"prom": guard}),
            Observations(self.metrics, structlog.get_logger()),
        )
        keeper = Patient(self.database, "a")
        self.watcher = Watcher(self.database, gather, keeper, self.metrics, "http://watcher", structlog.get_logger())
        conversion = signal(query={"good": "orders_total", "total": "sessions_total"}, min_effect=0.03)
        policy = service(signals=(conversion,), window=self.window, step=STEP, history=PAST, mode=Mode.ACT)
        with self.database.write() as tx:
            deploys.put(tx, deploy(started_at=START, finished_at=START))
            watches.open_watch(
                tx,
                watch(
                    policy=policy,
                    state=WatchState.SCHEDULED,
                    started_at=START,
                    finished_at=START,
                    next_look_at=START + STEP,
                    until=START + self.window,
                    ticket_until=START + self.window,
                ),
            )

    def pass_by(self, until: float) -> Watch:
        """Looks as they fall due, until then."""
        while self.now < until:
            self.now += STEP
            while self.watcher.step(self.now, lambda: False) and not self.watch().ended:
                pass
        return self.watch()

    def errors(self, fault: Fault) -> float:
        labels = {"source": "prom", "fault": fault.value}
        return self.metrics.registry.get_sample_value("watcher_source_errors_total", labels) or 0.0


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path, proxy: FaultProxy) -> Iterator[House]:
    proxy.fault, proxy.slow = None, 0.0
    database = sqlite_store(tmp_path)
    short = request.node.function is test_from_before_the_deploy_until_after_it
    yield House(database, proxy, SHORT_WINDOW if short else WINDOW)
    database.close()
    proxy.fault = None
    assert proxy.elsewhere == 0, "a redirect was followed"


def assert_told(house: House, fault: str, said: list[dict[str, object]]) -> None:
    named = FAULTS[fault]
    assert house.errors(named) >= 1
    assert next(line["fault"] for line in said if line["event"] == "source_failing") == named.value
    assert house.watch().rollback_id is None


@pytest.mark.parametrize("fault", FAULTS)
def test_from_before_the_deploy_until_after_it(house: House, fault: str) -> None:
    house.proxy.fault = fault
    with capture_logs() as said:
        done = house.pass_by(START + SHORT_WINDOW + AFTER)
    assert_told(house, fault, said)  # type: ignore[arg-type]
    assert (done.state, done.outcome, done.reason) == (WatchState.DONE, Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED)
    assert done.blind_seconds == SHORT_WINDOW
    assert "Not fully measured for 4 min in all." in done.sentence
    assert house.topics() == [Topic.BLIND, Topic.INCONCLUSIVE], "somebody is called, once"
    assert house.metrics.registry.get_sample_value("watcher_source_up", {"source": "prom"}) != 1


@pytest.mark.parametrize(
    "fault", [fault if fault in SHORT else pytest.param(fault, marks=pytest.mark.soak) for fault in FAULTS]
)
def test_only_during_the_watch(house: House, fault: str) -> None:
    house.pass_by(START + 3 * STEP)
    house.proxy.fault = fault
    with capture_logs() as said:
        house.pass_by(START + 7 * STEP)
        assert_told(house, fault, said)  # type: ignore[arg-type]
        house.proxy.fault = None
        done = house.pass_by(START + WINDOW + AFTER)
    assert (done.outcome, done.reason) == (Outcome.HEALTHY, Reason.NO_HARM), done.sentence
    assert 3 * STEP <= done.blind_seconds <= 6 * STEP
    assert [line["event"] for line in said].count("source_recovered") == 1
    assert house.topics().count(Topic.BLIND) == 1


def test_a_slow_source_is_no_fault_at_all(house: House) -> None:
    house.proxy.slow = 0.02
    assert house.pass_by(START + WINDOW + AFTER).outcome is Outcome.HEALTHY
    assert house.watch().blind_seconds == 0
