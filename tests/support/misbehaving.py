"""A watch over one deploy whose source, or ticket system, stands behind a proxy that spoils its answers.

The engine, the adapters and the sockets are the true ones; only the time is made, so that an hour passes in a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import structlog
from support.fault_proxy import CERTIFICATES, FAULTS, FaultProxy
from support.keeping import Patient
from support.kept import Kept
from support.made import deploy, service, signal, watch
from support.measuring import tools

from watcher.engine.gather import Gather
from watcher.engine.guard import Guard, guarded
from watcher.engine.observations import Observations
from watcher.engine.watch import Watcher
from watcher.errors import Fault
from watcher.model.order import RollbackState
from watcher.model.series import Series, Window
from watcher.model.service import Mode, Signal
from watcher.model.watch import Watch, WatchState
from watcher.ports import MetricSource
from watcher.sources.prometheus import Prometheus
from watcher.sources.prometheus_api import ApiOptions
from watcher.store import deploys, orders, watches
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

STEP = 60.0
START = 1_780_000_000.0 // STEP * STEP
WINDOW, SHORT_WINDOW = 600.0, 240.0
PAST = 6 * 3600.0
AFTER = 180.0  # until which every look is made
RESTORED = START + WINDOW  # from when on a bad deploy does no harm any more
HANGING = frozenset({"hangs", "headers_drip", "body_drips"})
SHORT = ("hangs", "rate_limited_for_seconds", "internal_error", "half_the_json", "cut_off", "certificate_of_nobody")


def history() -> Iterator[str]:
    """Of a good deploy at `START`, and of one that halves its orders until `RESTORED`."""
    rng = np.random.default_rng(3)
    times = np.arange(START - PAST - 600, START + WINDOW + 3600, STEP)
    sessions = rng.poisson(900, len(times))
    orders = rng.binomial(sessions, 0.12)
    harmed = np.where((times > START) & (times <= RESTORED), orders // 2, orders)
    for name, counts in (("sessions", sessions), ("orders", orders), ("harmed", harmed)):
        yield f"# TYPE {name} counter"
        for at, total in zip(times.tolist(), np.cumsum(counts).tolist(), strict=True):
            yield f"{name}_total {total} {at:.0f}"


def conversion(good: str = "orders") -> Signal:
    return signal(query={"good": f"{good}_total", "total": "sessions_total"}, min_effect=0.03)


Makes = Callable[[str, str | None, float, Callable[[], float]], MetricSource]  # address, ca_file, time-out, clock


def prometheus(url: str, ca_file: str | None, timeout: float, now: Callable[[], float]) -> Prometheus:
    options = ApiOptions(url=url, ca_file=ca_file, timeout=timeout, max_bytes=1 << 20, scrape_interval=STEP)
    return Prometheus("prom", options, tools(now))


@dataclass
class Source:
    """A source behind the proxy, which is allowed little time for a question while no answer is to come."""

    proxy: FaultProxy
    now: Callable[[], float]
    makes: Makes
    made: dict[tuple[str, str | None, float], MetricSource] = field(default_factory=dict)

    def fetch(self, asked: Signal, window: Window) -> Series:
        fault = self.proxy.fault
        way = self.proxy.address(fault), self.proxy.trusted(fault), 0.25 if fault in HANGING else 60.0
        if way not in self.made:
            self.made[way] = self.makes(*way, self.now)
        return self.made[way].fetch(asked, window)


@dataclass
class House(Kept):
    """A watch over one deploy at `START`, its source `name` behind the proxy."""

    database: Database
    proxy: FaultProxy
    window: float = WINDOW
    asked: Signal = field(default_factory=conversion)
    makes: Makes = prometheus
    more: Mapping[str, Any] = field(default_factory=dict)  # of the policy
    now: float = START
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))

    def __post_init__(self) -> None:
        name = self.asked.source
        source = Source(self.proxy, lambda: self.now, self.makes)
        guard = Guard(name, self.metrics, structlog.get_logger(), lambda: self.now, lambda: 1.0)
        gather = Gather(
            self.database,
            guarded({name: source}, {name: guard}),
            Observations(self.metrics, structlog.get_logger()),
        )
        keeper = Patient(self.database, "a")
        self.watcher = Watcher(self.database, gather, keeper, self.metrics, "http://watcher", structlog.get_logger())
        policy = service(signals=(self.asked,), window=self.window, step=STEP, history=PAST, mode=Mode.ACT, **self.more)
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
        while self.now < until and not self.watch().ended:
            self.now += STEP
            while self.watcher.step(self.now, lambda: False) and not self.watch().ended:
                pass
        return self.watch()

    def rolled_back(self) -> None:
        """The target has taken the rollback."""
        with self.database.write() as tx:
            order = orders.rollback_of(tx, "w-1")
            assert order is not None
            orders.change(tx, replace(order, state=RollbackState.ACCEPTED, next_at=None))
            watches.change(tx, replace(self.watch(), recovery_until=self.now + 1800))

    def errors(self, fault: Fault) -> float:
        labels = {"source": self.asked.source, "fault": fault.value}
        return self.metrics.registry.get_sample_value("watcher_source_errors_total", labels) or 0.0

    def assert_told(self, fault: str, said: list[Any]) -> None:
        """By its own name, in the metrics and in the log; of a certificate also what is wrong with it."""
        named = FAULTS[fault]
        assert self.errors(named) >= 1
        line = next(line for line in said if line["event"] == "source_failing")
        assert line["fault"] == named.value
        assert CERTIFICATES.get(fault, "") in line["error"]
