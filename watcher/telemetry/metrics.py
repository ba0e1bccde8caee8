"""Every metric, declared once (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_LAG = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)
_COST = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


@dataclass(frozen=True, slots=True)
class RehearsedSignal:
    """One signal in a rehearsal, as it is exposed; what is None is not known.

    Attributes:
        detectable: smallest harm that shows; infinite where none that was tried does.
        seconds: until it is called.
        vetoed: share of harm put in that was taken for older than the deploy.
        false_calls: share of placebos without harm in which the signal was called harmed.
    """

    detectable: float | None
    seconds: float | None
    vetoed: float | None
    false_calls: float | None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A service's newest rehearsal, as it is exposed; what is None is not known.

    Attributes:
        promised: the false-rollback probability that policy sets.
        false_rollback_probability: measured, with that of earlier ones; `low` and `high` are its interval.
        resolved: whether the placebos are many enough to tell what is promised from more.
        extrapolated: the probability read off the tail of the scores.
    """

    made_at: float
    promised: float
    false_rollback_probability: float | None
    low: float | None
    high: float | None
    resolved: bool
    extrapolated: float | None
    signals: Mapping[str, RehearsedSignal]


# Name after `watcher_rehearsal_`, help, value.
_OF_SERVICES: tuple[tuple[str, str, Callable[[Rehearsed], float | None]], ...] = (
    ("timestamp_seconds", "When a service was last rehearsed.", lambda made: made.made_at),
    (
        "false_rollback_probability",
        "Share of placebo deploys that were called harmful.",
        lambda made: made.false_rollback_probability,
    ),
    (
        "false_rollback_probability_low",
        "Lower end of the 95 % interval of the share of placebo deploys that were called harmful.",
        lambda made: made.low,
    ),
    (
        "false_rollback_probability_high",
        "Upper end of the 95 % interval of the share of placebo deploys that were called harmful.",
        lambda made: made.high,
    ),
    (
        "false_rollback_probability_promised",
        "The false-rollback probability that is set.",
        lambda made: made.promised,
    ),
    (
        "false_rollback_probability_extrapolated",
        "False-rollback probability read off the tail of the placebos' scores.",
        lambda made: made.extrapolated,
    ),
    (
        "resolved",
        "Whether the placebos are many enough to tell the probability that is set from a larger one.",
        lambda made: float(made.resolved),
    ),
)
_OF_SIGNALS: tuple[tuple[str, str, Callable[[RehearsedSignal], float | None]], ...] = (
    (
        "detectable_harm",
        "Smallest relative harm that is seen in 80 % of placebo deploys.",
        lambda one: one.detectable,
    ),
    ("detection_seconds", "Median time until that harm is called.", lambda one: one.seconds),
    (
        "vetoed_ratio",
        "Share of placebo deploys with harm put in that was taken for older than the deploy.",
        lambda one: one.vetoed,
    ),
    (
        "false_calls_ratio",
        "Share of placebo deploys without harm in which the signal was called harmed.",
        lambda one: one.false_calls,
    ),
)


class Metrics:
    """The metrics of one daemon, in a registry of their own."""

    def __init__(self, version: str) -> None:
        # A `_created` series beside every counter and bucket would be read by nobody.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.deploys_received = self._counter("deploys_received", "Deploy messages, by outcome.", "hook outcome")
        self.unwatched_deploys = self._counter("unwatched_deploys", "Deploys that no service matched.", "hook")
        self.clock_ahead = self._counter(
            "deploys_clock_ahead", "Deploy messages of a time over 5 minutes ahead of our clock.", "hook"
        )
        self.looks = self._counter("looks", "Looks at watches, by what they said.", "service outcome")
        self.look_lag = self._histogram("look_lag_seconds", "How late a look was.", "", _LAG)
        self.look_duration = self._histogram("look_duration_seconds", "Time that a look took.", "", _COST)
        self.source_errors = self._counter("source_errors", "Failed questions to sources.", "source fault")
        self.newest_point_age = self._gauge(
            "source_newest_point_age_seconds", "Age of the newest complete point.", "source signal service"
        )
        self.source_up = self._gauge("source_up", "Whether the source answered when it was last wanted.", "source")
        self.source_success = self._gauge(
            "source_last_success_timestamp_seconds", "When the source last answered.", "source"
        )
        self.source_breaker = self._gauge(
            "source_breaker_state", "1 for the state that the source's circuit breaker is in.", "source state"
        )
        self.source_blind = self._counter(
            "source_blind_seconds", "Time in which the source was wanted and did not answer.", "source"
        )
        self.decisions = self._counter("decisions", "Verdicts on deploys.", "service outcome reason")
        self.rollbacks = self._counter("rollbacks", "Rollbacks by the state they came to.", "service state")
        self.held_rollbacks = self._counter(
            "held_rollbacks", "Rollbacks that were left to a person although the mode is act.", "service hold"
        )
        self.drills = self._counter("drills", "Dry-run orders by the state they came to.", "service state")
        self.heartbeats_sent = self._counter("heartbeats", "Calls of the outside heartbeat.", "outcome")
        self.blind_seconds = self._counter(
            "blind_seconds", "Time in which a required signal could not be measured.", "service"
        )
        self.heartbeat = self._gauge("loop_heartbeat_timestamp_seconds", "When a loop last proved its life.", "loop")
        self.calibrator_deaths = self._counter(
            "calibrator_deaths", "Calibrating processes that ended by themselves.", ""
        )
        self.loop_errors = self._counter("loop_errors", "Unexpected errors that a loop survived.", "loop")
        self.notifications = self._counter("notifications", "Notes sent, by notifier.", "notifier outcome")
        self.http_requests = self._counter("http_requests", "Requests answered.", "route method status")
        self.http_duration = self._histogram("http_request_duration_seconds", "Time to answer.", "route", _COST)
        self.reload_successful = self._gauge(
            "config_last_reload_successful", "Whether the last reload of the configuration was right.", ""
        )
        self.reload_time = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration in use was read.", ""
        )
        build = self._gauge("build_info", "Always 1; the version is the label.", "version")
        build.labels(version).set(1)

    def watch_store(
        self,
        watches: Callable[[], Mapping[str, int]],
        orders: Callable[[], Mapping[tuple[str, str], int]],
        rehearsals: Callable[[], Mapping[str, Rehearsed]] = dict,
    ) -> None:
        """Exposes what the store counts, asked anew at each scrape."""
        self.registry.register(_StoreCollector(watches, orders, rehearsals))

    def forget(self, *, sources: Iterable[str] = (), services: Iterable[str] = (), loops: Iterable[str] = ()) -> None:
        """Drops the gauges of what is no longer configured: they would stay as they last were, and alert for ever."""
        gone = {"source": set(sources), "service": set(services), "loop": set(loops)}
        gauges = (self.source_up, self.source_success, self.source_breaker, self.newest_point_age, self.heartbeat)
        for gauge in gauges:
            for sample in [sample for family in gauge.collect() for sample in family.samples]:
                if any(sample.labels.get(label) in names for label, names in gone.items()):
                    gauge.remove(*sample.labels.values())

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The exposition in the form that the `Accept` header asks for, and its content type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type

    def _counter(self, name: str, text: str, labels: str) -> Counter:
        return Counter(f"watcher_{name}", text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: str) -> Gauge:
        return Gauge(f"watcher_{name}", text, labels.split(), registry=self.registry)

    def _histogram(self, name: str, text: str, labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"watcher_{name}", text, labels.split(), buckets=buckets, registry=self.registry)


class _StoreCollector:
    def __init__(
        self,
        watches: Callable[[], Mapping[str, int]],
        orders: Callable[[], Mapping[tuple[str, str], int]],
        rehearsals: Callable[[], Mapping[str, Rehearsed]],
    ) -> None:
        self._watches = watches
        self._orders = orders
        self._rehearsals = rehearsals

    def collect(self) -> Iterable[Metric]:
        by_state = GaugeMetricFamily("watcher_watches", "Watches by state.", labels=["state"])
        by_order = GaugeMetricFamily("watcher_orders", "Orders of the outbox.", labels=["kind", "state"])
        for state, number in self._watches().items():
            by_state.add_metric([state], number)
        for (kind, state), number in self._orders().items():
            by_order.add_metric([kind, state], number)
        return [by_state, by_order, *self._rehearsed()]

    def _rehearsed(self) -> Iterable[Metric]:
        made = self._rehearsals()
        for name, text, value in _OF_SERVICES:
            found = [((service,), value(one)) for service, one in made.items()]
            yield _family(name, text, ["service"], found)
        for name, text, of_signal in _OF_SIGNALS:
            each = [
                ((service, signal), of_signal(one))
                for service, rehearsed in made.items()
                for signal, one in rehearsed.signals.items()
            ]
            yield _family(name, text, ["service", "signal"], each)

    def describe(self) -> Iterable[Any]:
        return []


def _family(
    name: str, text: str, labels: Sequence[str], found: Iterable[tuple[Sequence[str], float | None]]
) -> GaugeMetricFamily:
    """What is not known has no series."""
    family = GaugeMetricFamily(f"watcher_rehearsal_{name}", text, labels=labels)
    for values, number in found:
        if number is not None:
            family.add_metric(values, number)
    return family
