from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, enable_created_metrics
from prometheus_client import generate_latest as write_text
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from support.fault_server import Answer, FaultServer, Request
from support.measuring import a_signal, tools
from support.memory import DictMemory

from watcher.errors import ExternalError, Fault
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.sources.openmetrics import OpenMetrics, OpenMetricsOptions

write_openmetrics: Any = openmetrics_exposition.generate_latest  # untyped

ORDERS = a_signal(Kind.COUNT, counter="orders_total")
T0 = 1_700_000_040.0  # the end of a minute


@dataclass
class Shop:
    """A scraped process in a time of its own; `expose` is what it answers."""

    server: FaultServer
    now: float = T0
    lines: dict[str, float] = field(default_factory=dict)
    memory: DictMemory = field(default_factory=DictMemory)
    interval: float = 15.0

    def source(self) -> OpenMetrics:
        options = OpenMetricsOptions(url=f"{self.server.url}/metrics", interval=self.interval)
        return OpenMetrics("shop", options, tools(lambda: self.now, self.memory))

    def expose(self, _request: Request) -> Answer:
        text = "".join(f"{series} {value}\n" for series, value in self.lines.items())
        return Answer(200, {"content-type": "text/plain; version=0.0.4"}, text.encode())

    def scrape(self, *signals: Signal, wait: float = 0.0, **lines: float) -> None:
        """Lets `wait` seconds pass and scrapes."""
        self.now += wait
        self.lines |= lines
        self.source().collect(self.now, signals or (ORDERS,))

    def run(self, minutes: float, grow: Callable[[float], None], *signals: Signal) -> None:
        """Scrapes every interval, after `grow(now)` has moved the counters."""
        end = self.now + minutes * 60
        while self.now < end:
            self.now += self.interval
            grow(self.now)
            self.scrape(*signals)

    def fetch(self, signal: Signal = ORDERS, minutes: float = 60) -> Series:
        return self.source().fetch(signal, Window(self.now - minutes * 60, self.now, signal.step))


@pytest.fixture
def shop() -> Iterator[Shop]:
    with FaultServer() as server:
        one = Shop(server)
        server.answer = one.expose
        yield one


def steady(shop: Shop, **rates: float) -> Callable[[float], None]:
    """Counters that grow by `rates` each scrape."""

    def grow(_now: float) -> None:
        for series, rate in rates.items():
            shop.lines[series] = shop.lines.get(series, 1000.0) + rate

    return grow


def test_a_counter_becomes_what_it_counted_in_each_bucket(shop: Shop) -> None:
    shop.run(5, steady(shop, orders_total=3))
    series = shop.fetch()
    assert series.times.tolist() == [T0 + 60 * minute for minute in (2, 3, 4, 5)], "the first scrape came 15 s late"
    assert series.values.tolist() == [12.0] * 4
    assert series.complete_until == T0 + 300
    assert series.step == 60


def test_nothing_counted_is_zero_and_nothing_scraped_is_missing(shop: Shop) -> None:
    shop.run(3, steady(shop, orders_total=0))
    assert shop.fetch().values.tolist() == [0.0, 0.0]
    assert len(shop.fetch(a_signal(Kind.COUNT, counter="refunds_total"))) == 0


def test_scrapes_need_not_meet_the_ends_of_buckets(shop: Shop) -> None:
    shop.now += 7.3
    shop.run(30, steady(shop, orders_total=3))
    values = shop.fetch().values
    assert np.allclose(values, 12.0)
    assert len(values) == 29


def test_a_restart_counts_from_zero(shop: Shop) -> None:
    shop.run(3, steady(shop, orders_total=3))
    shop.lines["orders_total"] = 2  # restarted, and 2 since
    shop.scrape(wait=15)
    shop.run(2, steady(shop, orders_total=3))
    assert shop.fetch(minutes=2).values.tolist() == [2 + 3 * 3, 12.0]


def test_a_series_that_appears_does_not_jump(shop: Shop) -> None:
    shop.run(3, steady(shop, **{'orders_total{shop="a"}': 3}))
    shop.lines['orders_total{shop="b"}'] = 5_000_000
    shop.run(3, steady(shop, **{'orders_total{shop="a"}': 3, 'orders_total{shop="b"}': 1}))
    assert shop.fetch(minutes=3).values.tolist() == [12 + 3, 12 + 4, 12 + 4]


def test_a_series_that_is_known_to_be_new_counts_from_zero(shop: Shop) -> None:
    """`_created` says when a series began: what it counts when it is first seen happened since the scrape before."""
    enable_created_metrics()  # type: ignore[no-untyped-call]  # the watcher's own metrics switch them off
    registry = CollectorRegistry()
    errors = Counter("errors", "Errors", ["code"], registry=registry)
    signal = a_signal(Kind.COUNT, counter="errors_total")
    content = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    def expose(_request: Request) -> Answer:
        text = write_openmetrics(registry).decode()
        text = "\n".join(  # in the shop's time
            f"{line.rpartition(' ')[0]} {shop.now - 1}" if "_created" in line and '"500"' in line else line
            for line in text.split("\n")
        )
        return Answer(200, {"content-type": content}, text.encode())

    shop.server.answer = expose
    errors.labels("404").inc(50)
    for _ in range(9):
        shop.scrape(signal, wait=15)
    errors.labels("500").inc(7)
    for _ in range(4):
        shop.scrape(signal, wait=15)
    assert shop.fetch(signal).values[-1] == 7.0


def test_scrapes_that_fail_leave_a_gap_and_not_a_zero(shop: Shop) -> None:
    shop.run(3, steady(shop, orders_total=3))
    shop.server.answer = lambda _request: Answer(503)
    for _ in range(4):
        shop.now += 15
        with pytest.raises(ExternalError) as error:
            shop.scrape()
        assert not error.value.permanent
    assert shop.fetch().complete_until == T0 + 180, "nothing is known since"
    shop.server.answer = shop.expose
    shop.run(4, steady(shop, orders_total=3))
    series = shop.fetch()
    missing = set(np.arange(T0 + 120, T0 + 481, 60)) - set(series.times)
    assert missing == {T0 + 240, T0 + 300}, "the minute of the outage, and the one in which it ended"
    assert set(series.values) == {12.0}


def test_why_scrapes_fail_is_told_to_whoever_fetches_once_there_is_a_gap_and_until_it_ends(shop: Shop) -> None:
    shop.server.answer = lambda _request: Answer(503)

    def fail() -> str:
        shop.now += 15
        with pytest.raises(ExternalError):
            shop.scrape()
        return shop.fetch().failing

    assert shop.fetch().failing == "", "nobody has tried yet"
    assert "503" in fail(), "never scraped"
    shop.now += 3600
    assert shop.fetch().failing == "", "for an hour nobody has scraped"
    shop.server.answer = shop.expose
    shop.run(3, steady(shop, orders_total=3))
    assert shop.fetch().failing == ""
    shop.server.answer = lambda _request: Answer(503)
    assert [bool(fail()) for _ in range(4)] == [False, False, True, True], "two failed scrapes lose nothing"
    assert len(shop.fetch()), "what was collected before stands"
    shop.server.answer = shop.expose
    shop.run(1, steady(shop, orders_total=3))
    assert shop.fetch().failing == ""


def test_one_failed_scrape_hides_nothing(shop: Shop) -> None:
    shop.run(3, steady(shop, orders_total=3))
    shop.lines["orders_total"] += 3
    shop.now += 15
    shop.run(2, steady(shop, orders_total=3))
    assert shop.fetch(minutes=2).values.tolist() == [12.0, 12.0]


def test_a_restart_of_the_watcher_counts_on_from_where_it_was(shop: Shop) -> None:
    """Every scrape of these tests is made by a new instance on the same memory."""
    shop.run(2, steady(shop, orders_total=3))
    before = dict(shop.memory.values)
    shop.scrape(wait=15, orders_total=shop.lines["orders_total"] + 3)
    shop.memory.values = before  # it died after it had written buckets and before it had written its state
    shop.scrape(wait=15, orders_total=shop.lines["orders_total"] + 3)
    shop.run(1.5, steady(shop, orders_total=3))
    assert shop.fetch().values.tolist() == [12.0, 12.0, 12.0]


def test_a_rate_is_per_second(shop: Shop) -> None:
    signal = a_signal(Kind.RATE, counter="orders_total")
    shop.run(3, steady(shop, orders_total=3), signal)
    assert shop.fetch(signal).values.tolist() == [0.2, 0.2]


def test_a_ratio_keeps_both_its_parts(shop: Shop) -> None:
    signal = a_signal(Kind.RATIO, good="orders_total", total="sessions_total")
    shop.run(3, steady(shop, orders_total=3, sessions_total=50), signal)
    series = shop.fetch(signal)
    assert series.values.tolist() == [12.0, 12.0]
    assert series.totals is not None
    assert series.totals.tolist() == [200.0, 200.0]


def test_events_that_never_happened_are_zero_while_their_metric_is_there(shop: Shop) -> None:
    signal = a_signal(
        Kind.RATIO, bad={"counter": "requests_total", "labels": {"code": {"match": "5.."}}}, total="requests_total"
    )
    grow = steady(shop, **{'requests_total{code="200"}': 50})
    shop.run(3, grow, signal)
    series = shop.fetch(signal)
    assert series.values.tolist() == [0.0, 0.0]
    assert series.totals is not None
    assert series.totals.tolist() == [200.0, 200.0]
    assert shop.source().probe(signal, shop.now).warnings == (
        'no series matches requests_total{code=~"5.."}; it counts as zero',
    )


@pytest.mark.parametrize(("absent", "values"), [("missing", [math.nan, math.nan]), ("zero", [0.0, 0.0])])
def test_a_metric_that_is_not_there_is_missing_unless_it_is_said_to_be_zero(
    shop: Shop, absent: str, values: list[float]
) -> None:
    signal = a_signal(Kind.RATIO, bad="errors_total", total="requests_total", absent=absent)
    shop.run(3, steady(shop, requests_total=50), signal)
    series = shop.fetch(signal)
    assert np.array_equal(series.values, values, equal_nan=True)
    assert series.totals is not None
    assert series.totals.tolist() == [200.0, 200.0]


def test_labels_that_say_where_make_no_zero_of_another_place(shop: Shop) -> None:
    signal = a_signal(Kind.COUNT, counter="orders_total", labels={"env": "production"})
    shop.run(3, steady(shop, **{'orders_total{env="staging"}': 5}), signal)
    assert len(shop.fetch(signal)) == 0


def test_a_gauge_is_the_mean_of_its_scrapes(shop: Shop) -> None:
    signal = a_signal(Kind.GAUGE, gauge="depth")
    levels = iter([1, 2, 3, 6, 10, 10, 10, 10, 7])
    shop.run(2, lambda _now: shop.lines.update(depth=next(levels)), signal)
    shop.scrape(signal, wait=15, depth=7)
    series = shop.fetch(signal)
    assert series.times.tolist() == [T0 + 60, T0 + 120]
    assert series.values.tolist() == [3.0, 10.0]
    assert series.complete_until == T0 + 120


def test_several_gauges_are_an_error_that_counts_them_unless_they_are_aggregated(shop: Shop) -> None:
    lines = {'depth{queue="a"}': 2.0, 'depth{queue="b"}': 6.0}
    one, several = a_signal(Kind.GAUGE, gauge="depth"), a_signal(Kind.GAUGE, gauge="depth", aggregate="avg")
    shop.run(2, lambda _now: shop.lines.update(lines), one, several, ORDERS)
    with pytest.raises(ExternalError, match="the gauge matches 2 series") as error:
        shop.fetch(one)
    assert (error.value.fault, error.value.permanent) == (Fault.QUERY, True)
    assert shop.fetch(several).values.tolist() == [4.0, 4.0]
    assert shop.source().probe(one, shop.now).warnings[0].startswith("the gauge matches 2 series")
    assert shop.source().probe(several, shop.now).value == 4.0


def test_a_quantile_comes_from_a_histogram_in_either_format(shop: Shop) -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "Seconds", ["path"], buckets=(0.1, 0.5, 1, 5), registry=registry)
    signal = a_signal(Kind.LATENCY, histogram="seconds", quantile=0.5)
    formats = {
        "application/openmetrics-text; version=1.0.0; charset=utf-8": write_openmetrics,
        "text/plain; version=0.0.4": write_text,
    }
    for content, write in formats.items():
        shop.server.answer = lambda _r, c=content, w=write: Answer(200, {"content-type": c}, w(registry))  # type: ignore[misc]
        for _ in range(8):
            for path, value in (("/", 0.3), ("/", 0.4), ("/cart", 0.7)):
                seconds.labels(path).observe(value)
            shop.scrape(signal, wait=15)
        assert shop.fetch(signal, minutes=1).values.tolist() == [pytest.approx(0.1 + 0.4 * 0.75)]
    assert shop.server.requests[0].headers["accept"].startswith("application/openmetrics-text")


def test_a_histogram_without_events_says_nothing_of_latency(shop: Shop) -> None:
    signal = a_signal(Kind.LATENCY, histogram="seconds", quantile=0.5)
    shop.lines = {'seconds_bucket{le="1"}': 5, 'seconds_bucket{le="+Inf"}': 5}
    shop.run(3, lambda _now: None, signal)
    assert np.isnan(shop.fetch(signal).values).all()


def test_buckets_without_a_usable_bound_are_left_out(shop: Shop) -> None:
    signal = a_signal(Kind.LATENCY, histogram="seconds", quantile=0.5)
    grow = steady(
        shop,
        **{
            'seconds_bucket{le="1.0"}': 4,
            'seconds_bucket{le="+Inf"}': 4,
            'seconds_bucket{le="many"}': 9,
            "seconds_bucket": 9,
        },
    )
    shop.run(3, grow, signal)
    assert shop.fetch(signal).values.tolist() == [0.5, 0.5]


def test_all_signals_come_from_one_scrape_and_one_write(shop: Shop) -> None:
    shop.lines = {"orders_total": 1, "sessions_total": 2, "depth": 3}
    signals = [
        ORDERS,
        a_signal(Kind.RATE, counter="orders_total"),
        a_signal(Kind.RATIO, good="orders_total", total="sessions_total"),
        a_signal(Kind.GAUGE, gauge="depth"),
    ]
    shop.scrape(*signals)
    assert len(shop.server.requests) == 1
    shop.run(2, lambda _now: None, *signals)
    assert len(shop.memory.points) == 3, "what two signals have in common is kept once"


def test_only_what_the_signals_need_is_kept(shop: Shop) -> None:
    shop.lines = {f'other_total{{number="{number}"}}': 1 for number in range(500)}
    shop.run(3, steady(shop, orders_total=3))
    assert shop.memory.appended == 2
    assert len(shop.memory.values["scraped"]) < 300


def test_a_clock_that_was_set_back_loses_its_own_time_only(shop: Shop) -> None:
    shop.run(3, steady(shop, orders_total=3))
    shop.now -= 20
    shop.scrape(orders_total=shop.lines["orders_total"] + 4)
    shop.run(2, steady(shop, orders_total=3))
    assert all(12 <= value <= 12 + 8 for value in shop.fetch().values), "20 s of events stand in another bucket"
    shop.now -= 86400
    shop.run(3, steady(shop, orders_total=3))
    assert shop.fetch(minutes=2).values.tolist() == [12.0, 12.0]


def test_a_probe_tells_what_is_there_now(shop: Shop) -> None:
    shop.lines = {'orders_total{shop="a"}': 1, 'orders_total{shop="b"}': 2}
    probe = shop.source().probe(ORDERS, shop.now)
    assert (probe.value, probe.age, probe.series, probe.step, probe.warnings) == (None, 0.0, 2, 15.0, ())
    grow = steady(shop, **{'orders_total{shop="a"}': 1, 'orders_total{shop="b"}': 2})
    shop.run(3, grow)
    assert shop.source().probe(ORDERS, shop.now).value == 12.0
    nothing = shop.source().probe(a_signal(Kind.COUNT, counter="order_total"), shop.now)
    assert (nothing.age, nothing.series, nothing.warnings) == (None, 0, ("no series matches order_total",))
    fine = shop.source().probe(a_signal(Kind.COUNT, step=5, counter="orders_total"), shop.now)
    assert fine.warnings == ("the step of 5 s is finer than the scrape interval of 15 s",)


@pytest.mark.parametrize(("good", "total"), [("order_total", "sessions_total"), ("orders_total", "session_total")])
def test_a_ratio_of_which_one_part_is_misspelt_matches_nothing(shop: Shop, good: str, total: str) -> None:
    shop.lines = {"orders_total": 1, "sessions_total": 2}
    probe = shop.source().probe(a_signal(Kind.RATIO, good=good, total=total), shop.now)
    wrong = next(name for name in (good, total) if name not in shop.lines)
    assert (probe.value, probe.age, probe.series) == (None, None, 0)
    assert probe.warnings == (f"no series matches {wrong}",)


def test_what_may_be_absent_counts_as_zero_in_a_probe_too(shop: Shop) -> None:
    shop.lines = {"requests_total": 2}
    signal = a_signal(Kind.RATIO, bad="errors_total", total="requests_total", absent="zero")
    probe = shop.source().probe(signal, shop.now)
    assert (probe.age, probe.series, probe.warnings) == (0.0, 1, ("no series matches errors_total; it counts as zero",))


def test_a_signal_of_the_wrong_kind_is_told_when_it_is_fetched_and_stops_no_other(shop: Shop) -> None:
    wrong = a_signal(Kind.GAUGE, counter="orders_total")
    shop.run(3, steady(shop, orders_total=3), wrong, ORDERS)
    assert len(shop.fetch()) == 2
    with pytest.raises(ExternalError, match="signal signal: kind gauge expects gauge"):
        shop.fetch(wrong)


def test_gauges_and_counters_of_a_real_client_library(shop: Shop) -> None:
    registry = CollectorRegistry()
    orders = Counter("orders", "Orders", ["status"], registry=registry)
    depth = Gauge("depth", "Depth", registry=registry)
    shop.server.answer = lambda _request: Answer(200, {"content-type": "text/plain"}, write_text(registry))
    count = a_signal(Kind.COUNT, counter={"counter": "orders_total", "labels": {"status": "paid"}})
    level = a_signal(Kind.GAUGE, gauge="depth")

    def grow(_now: float) -> None:
        orders.labels("paid").inc(2)
        orders.labels("lost").inc(1)
        depth.set(7)

    shop.run(3, grow, count, level)
    assert shop.fetch(count).values.tolist() == [8.0, 8.0]
    assert shop.fetch(level).values.tolist() == [7.0, 7.0, 7.0]


def test_a_counter_that_is_declared_without_a_series_has_counted_nothing(shop: Shop) -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders", ["status"], registry=registry)
    shop.server.answer = lambda _request: Answer(200, {"content-type": "text/plain"}, write_text(registry))
    shop.run(3, lambda _now: None)
    assert shop.fetch().values.tolist() == [0.0, 0.0]
