"""The adapter on a real Prometheus with two back-filled jobs: `shop` is scraped every 15 s at an odd moment, restarts,
and goes silent for half an hour; `till` is sampled on every minute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from support.fault_server import Answer, FaultServer
from support.measuring import a_signal, tools
from support.prometheus_server import PrometheusServer

from watcher.errors import ExternalError, Fault
from watcher.model.series import Floats, Series, Window
from watcher.model.service import Kind, Signal
from watcher.ports import Probes
from watcher.sources.openmetrics import OpenMetrics, OpenMetricsOptions
from watcher.sources.prometheus import Prometheus
from watcher.sources.prometheus_api import ApiOptions

HOUR = 3600
SHOP, TILL = {"job": "shop"}, {"job": "till"}


@dataclass
class History:
    """What was written: series -> sample times and values; buckets of a minute."""

    end: float
    samples: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)

    @property
    def start(self) -> float:
        return self.end - 3 * HOUR

    @property
    def silence(self) -> tuple[float, float]:
        return self.end - 90 * 60, self.end - 60 * 60

    def write(self, rng: np.random.Generator) -> list[str]:
        shop = np.arange(self.start + 3.7, self.end, 15)
        shop = shop[(shop <= self.silence[0]) | (shop > self.silence[1])]
        till = np.arange(self.start, self.end + 1, 60)
        for code, rate in (("200", 20), ("404", 1)):
            counts: Floats = np.cumsum(rng.poisson(rate, len(shop))).astype(np.float64) + 1000
            restart = len(shop) // 4
            counts[restart:] -= counts[restart] - 3  # 3 since it was restarted
            self.samples[f'requests_total{{job="shop",code="{code}"}}'] = (shop, counts)
        for name, rate in (("orders_total", 20), ("sessions_total", 400)):
            self.samples[f'{name}{{job="till"}}'] = (
                till,
                np.cumsum(rng.poisson(rate, len(till))).astype(np.float64) + 500,
            )
        for queue in "ab":
            self.samples[f'depth{{job="till",queue="{queue}"}}'] = (till, rng.poisson(5, len(till)).astype(float))
        below: Floats = np.zeros(len(till))
        for bound, rate in (("0.1", 3), ("0.5", 6), ("1", 2), ("+Inf", 1)):
            below = below + np.cumsum(rng.poisson(rate, len(till)))
            self.samples[f'seconds_bucket{{job="till",le="{bound}"}}'] = (till, below + 7)
        return [
            f"{series} {value:g} {at:.3f}"
            for series, (times, values) in self.samples.items()
            for at, value in zip(times, values, strict=True)
        ]


@pytest.fixture(scope="module")
def history() -> History:
    return History(end=math.floor(time.time() / 60) * 60)


@pytest.fixture(scope="module")
def lines(history: History) -> list[str]:
    return history.write(np.random.default_rng(5))


@pytest.fixture(scope="module")
def server(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    one = PrometheusServer(tmp_path_factory.mktemp("prometheus"))
    one.backfill(lines)
    with one:
        yield one


@pytest.fixture
def source(server: PrometheusServer, history: History) -> Prometheus:
    return Prometheus("prom", ApiOptions(url=server.url), tools(history.end + 60))


def fetch(source: Prometheus, signal: Signal, history: History) -> Series:
    return source.fetch(signal, Window(history.start, history.end, signal.step))


def counted(history: History, prefix: str, ends: Floats, step: float = 60) -> Floats:
    """What the series of `prefix` counted between the last samples before the ends of each bucket and its beginning."""
    total = np.zeros(len(ends))
    for series, (times, values) in history.samples.items():
        if series.startswith(prefix):
            steps = np.diff(values, prepend=values[0])
            counts = np.cumsum(np.where(steps < 0, values, steps))
            before, after = (np.searchsorted(times, at, side="right") - 1 for at in (ends - step, ends))
            total += counts[after] - np.where(before >= 0, counts[before], 0)
    return total


@pytest.mark.prometheus
@pytest.mark.parametrize("step", [30, 60, 300])
def test_increments_are_those_between_the_last_samples_of_the_buckets(
    source: Prometheus, history: History, step: float
) -> None:
    series = fetch(source, a_signal(Kind.COUNT, step, counter="requests_total", labels=SHOP), history)
    inside = (series.times > history.start + 2 * step) & (
        (series.times <= history.silence[0]) | (series.times > history.silence[1] + step + 15)
    )
    truth = counted(history, "requests_total", series.times[inside], step)
    # A first sample after a restart is taken for an increment from zero by Prometheus too.
    assert np.allclose(series.values[inside], truth, atol=0.01)
    assert inside.sum() > 0.7 * 3 * HOUR / step


@pytest.mark.prometheus
def test_all_events_are_counted_where_the_usual_query_drops_a_quarter(source: Prometheus, history: History) -> None:
    window = Window(history.end - 50 * 60, history.end, 60)  # after the silence
    own = source.fetch(a_signal(Kind.COUNT, counter="requests_total", labels=SHOP), window)
    usual = source.fetch(a_signal(Kind.COUNT, query='sum(increase(requests_total{job="shop"}[1m]))'), window)
    truth = counted(history, "requests_total", own.times)
    assert np.abs(own.values - truth).max() < 1e-6
    assert np.sqrt(np.mean((usual.values - truth) ** 2)) > 2


@pytest.mark.prometheus
def test_silence_is_missing_and_not_zero(source: Prometheus, history: History) -> None:
    series = fetch(source, a_signal(Kind.COUNT, counter="requests_total", labels=SHOP), history)
    start, end = history.silence
    assert not ((series.times > start + 60) & (series.times <= end)).any()
    assert (series.values > 0).all()


@pytest.mark.prometheus
def test_the_end_of_a_series_is_known_up_to_what_a_scrape_may_still_bring(
    server: PrometheusServer, history: History
) -> None:
    orders = a_signal(Kind.COUNT, counter="orders_total", labels=TILL)
    window = Window(history.end - 600, history.end + 600, 60)
    now = history.end + 25
    for settle in (0, 30):
        source = Prometheus("prom", ApiOptions(url=server.url, settle=settle), tools(now))
        series = source.fetch(orders, window)
        assert series.complete_until == now - settle - 10
        assert series.times[-1] == history.end, "nothing is said of the future"
    late = Prometheus("prom", ApiOptions(url=server.url), tools(history.end + 86400))
    assert late.fetch(orders, window).complete_until == window.end


@pytest.mark.prometheus
def test_nothing_found_is_an_empty_series_and_no_zero(source: Prometheus, history: History) -> None:
    series = fetch(source, a_signal(Kind.COUNT, counter="refunds_total"), history)
    assert (len(series), series.complete_until) == (0, history.end)
    assert series.totals is None


@pytest.mark.prometheus
def test_errors_that_never_happened_are_zero_of_all(source: Prometheus, history: History) -> None:
    bad = {"counter": "requests_total", "labels": {"code": {"match": "5.."}}}
    series = fetch(source, a_signal(Kind.RATIO, bad=bad, total="requests_total", labels=SHOP), history)
    assert series.totals is not None
    assert (series.values == 0).all()
    assert (series.totals > 0).all()
    elsewhere = a_signal(Kind.RATIO, bad=bad, total="requests_total", labels={"job": "shp"})
    assert len(fetch(source, elsewhere, history)) == 0


@pytest.mark.prometheus
def test_a_metric_that_is_absent_is_missing_or_zero_as_the_query_says(source: Prometheus, history: History) -> None:
    for absent, finite in (("missing", 0), ("zero", 180)):
        signal = a_signal(Kind.RATIO, bad="refunds_total", total="orders_total", labels=TILL, absent=absent)
        series = fetch(source, signal, history)
        assert series.totals is not None
        assert np.isfinite(series.totals).sum() == 180
        assert np.isfinite(series.values).sum() == finite


SAME = {
    "count": a_signal(Kind.COUNT, counter="orders_total", labels=TILL),
    "rate": a_signal(Kind.RATE, counter="orders_total", labels=TILL),
    "ratio": a_signal(Kind.RATIO, good="orders_total", total="sessions_total", labels=TILL),
    "gauge": a_signal(Kind.GAUGE, gauge="depth", labels=TILL | {"queue": "a"}),
    "gauges": a_signal(Kind.GAUGE, gauge="depth", labels=TILL, aggregate="max"),
    "latency": a_signal(Kind.LATENCY, histogram="seconds", quantile=0.95, labels=TILL),
    "median": a_signal(Kind.LATENCY, histogram="seconds", quantile=0.5, labels=TILL),
}


@pytest.mark.prometheus
@pytest.mark.parametrize("name", SAME)
def test_own_scrapes_and_prometheus_measure_the_same(
    name: str, source: Prometheus, history: History, lines: list[str]
) -> None:
    signal = SAME[name]
    own = OpenMetrics("shop", OpenMetricsOptions(url="http://127.0.0.1:9/metrics", interval=60), tools())
    assert own.import_openmetrics(lines, [signal]) > 0
    window = Window(history.start + 120, history.end, 60)
    ours, theirs = own.fetch(signal, window), source.fetch(signal, window)
    assert ours.times.tolist() == theirs.times.tolist() == window.grid().tolist()
    assert np.allclose(ours.values, theirs.values)
    assert (ours.totals is None) == (theirs.totals is None)
    if ours.totals is not None and theirs.totals is not None:
        assert np.allclose(ours.totals, theirs.totals)
    assert ours.complete_until == theirs.complete_until == history.end


@pytest.mark.prometheus
def test_several_series_are_an_error_that_counts_them(source: Prometheus, history: History) -> None:
    with pytest.raises(ExternalError, match="matches 2 series") as error:
        fetch(source, a_signal(Kind.GAUGE, query="depth"), history)
    assert (error.value.fault, error.value.permanent) == (Fault.QUERY, True)
    series = fetch(source, a_signal(Kind.GAUGE, query="depth", aggregate="sum"), history)
    assert series.values[-1] == sum(values[-1] for name, (_, values) in history.samples.items() if "depth" in name)


@pytest.mark.prometheus
def test_a_query_that_is_refused_is_quoted(source: Prometheus, history: History) -> None:
    with pytest.raises(ExternalError, match=r"the query was refused: .*parse error: unclosed left paren") as error:
        fetch(source, a_signal(Kind.RATE, query="rate(x[5m]"), history)
    assert (error.value.fault, error.value.permanent) == (Fault.QUERY, True)
    with pytest.raises(ExternalError, match=r"many-to-many|duplicate series") as error:
        fetch(source, a_signal(Kind.RATE, query="depth * on (job) depth"), history)
    assert (error.value.fault, error.value.permanent) == (Fault.QUERY, True)


@pytest.mark.prometheus
def test_values_that_are_no_numbers_are_missing_and_infinite_ones_stay(source: Prometheus, history: History) -> None:
    assert len(fetch(source, a_signal(Kind.GAUGE, query="vector(0) / 0"), history)) == 0
    assert np.isinf(fetch(source, a_signal(Kind.GAUGE, query="vector(1) / 0"), history).values).all()


@pytest.mark.prometheus
def test_a_ratio_of_raw_queries_keeps_its_parts(source: Prometheus, history: History) -> None:
    signal = a_signal(Kind.RATIO, query="increase(orders_total[2m])", total_query="increase(sessions_total[2m])")
    series = fetch(source, signal, history)
    assert series.totals is not None
    assert 0.04 < np.nanmean(series.values / series.totals) < 0.06


@pytest.mark.prometheus
def test_more_points_than_the_server_gives_at_once_are_asked_for_in_parts(source: Prometheus, history: History) -> None:
    step = 0.5
    window = Window(history.start, history.end, step)
    series = source.fetch(a_signal(Kind.GAUGE, step, query="vector(time())"), window)
    assert len(series) == 3 * HOUR / step > 11_000
    assert np.array_equal(series.values, series.times)


@pytest.mark.prometheus
def test_a_probe_finds_value_age_series_and_step(source: Prometheus, history: History) -> None:
    assert isinstance(source, Probes)
    now = history.end + 30
    probe = source.probe(a_signal(Kind.COUNT, counter="requests_total", labels=SHOP), now)
    assert (probe.series, probe.step, probe.warnings) == (2, 15.0, ())
    assert probe.age == pytest.approx(now - history.samples['requests_total{job="shop",code="200"}'][0][-1], abs=0.01)
    assert probe.value is not None
    assert 40 < probe.value < 160
    ratio = source.probe(SAME["ratio"], now)
    assert ratio.value == pytest.approx(0.05, rel=0.5)
    assert (ratio.step, ratio.age) == (60.0, 30.0)


@pytest.mark.prometheus
def test_a_probe_warns_of_ranges_under_two_scrapes_and_of_names_that_match_nothing(
    source: Prometheus, history: History
) -> None:
    def warnings(signal: Signal) -> str:
        return " | ".join(source.probe(signal, history.end).warnings)

    short = a_signal(Kind.RATE, query='sum(rate(orders_total{job="till"}[1m]))')
    assert 'the range orders_total{job="till"}[60s] is under two scrape intervals of 60 s' in warnings(short)
    assert warnings(a_signal(Kind.RATE, query='sum(rate(orders_total{job="till"}[2m]))')) == ""
    assert warnings(a_signal(Kind.COUNT, counter="order_total")) == "no series matches order_total"
    bad = {"counter": "requests_total", "labels": {"code": "500"}}
    silent = a_signal(Kind.RATIO, bad=bad, total="requests_total", labels=SHOP)
    assert warnings(silent) == 'no series matches requests_total{code="500",job="shop"}; it counts as zero'
    assert "finer than the scrape interval of 60 s" in warnings(a_signal(Kind.COUNT, 15, counter="orders_total"))
    assert "matches 2 series" in warnings(a_signal(Kind.GAUGE, query="depth"))
    assert warnings(a_signal(Kind.GAUGE, query="dept")) == "the query gives nothing now"


@pytest.mark.prometheus
def test_what_is_learnt_of_scrapes_is_asked_once(server: PrometheusServer, history: History) -> None:
    with FaultServer() as proxy:
        proxy.answer = lambda _request: Answer.of({"status": "success", "data": {"resultType": "vector", "result": []}})
        source = Prometheus("prom", ApiOptions(url=proxy.url, scrape_interval=15), tools(history.end))
        fetch(source, a_signal(Kind.COUNT, counter="x_total"), history)
        assert len(proxy.requests) == 1, "nothing is to be learnt where it is configured"


@pytest.mark.prometheus
def test_a_history_of_fewer_scrapes_is_measured_too(tmp_path: Path, history: History) -> None:
    """Scraped every minute at an odd second, since two hours every 15 s."""
    changed = history.end - 2 * HOUR
    times = np.concatenate(
        [np.arange(history.end - 12 * HOUR + 41, changed, 60), np.arange(changed + 11, history.end, 15)]
    )
    with PrometheusServer(tmp_path) as server:
        server.backfill(f"orders_total {at - times[0]:g} {at:.0f}" for at in times)
        source = Prometheus("prom", ApiOptions(url=server.url), tools(history.end))
        orders = a_signal(Kind.COUNT, counter="orders_total")
        whole = source.fetch(orders, Window(history.end - 12 * HOUR, history.end, 60))
        newest = source.fetch(orders, Window(history.end - 600, history.end, 60))
    assert len(whole) >= 12 * 60 - 2
    assert np.mean(np.isclose(whole.values, 60, atol=0.01)) > 0.99, "but for the change itself"
    assert newest.values.tolist() == [60] * 10


MATRIX = {"status": "success", "data": {"resultType": "matrix", "result": []}}


def ask(answer: object, options: dict[str, object] | None = None) -> tuple[Series, FaultServer]:
    with FaultServer() as server:
        server.answer = lambda _request: Answer.of(answer)
        configured = ApiOptions.model_validate(
            {"url": f"{server.url}/prometheus/", "scrape_interval": 15} | (options or {})
        )
        source = Prometheus("prom", configured, tools(1000.0))
        return source.fetch(a_signal(Kind.GAUGE, query="up"), Window(0, 600, 60)), server


def test_how_it_asks() -> None:
    _, server = ask(
        MATRIX, {"tenant": "acme", "params": {"dedup": "true"}, "bearer_token": "tok", "headers": {"x-team": "shop"}}
    )
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/prometheus/api/v1/query_range")
    assert request.form() == {"query": ["up"], "start": ["60"], "end": ["600"], "step": ["60"], "dedup": ["true"]}
    assert request.headers["x-scope-orgid"] == "acme"
    assert request.headers["authorization"] == "Bearer tok"
    assert request.headers["x-team"] == "shop"


@pytest.mark.parametrize(
    ("extra", "partial"),
    [
        ({}, False),
        ({"warnings": ["PromQL info: metric might not be a counter"]}, False),
        ({"warnings": ["store gateway 10.0.0.7: no such host"]}, True),
        ({"isPartial": True}, True),
        ({"isPartial": False}, False),
    ],
)
def test_an_answer_that_says_it_is_incomplete_is_partial(extra: dict[str, object], partial: bool) -> None:
    series, _ = ask(MATRIX | extra)
    assert series.partial is partial
    assert list(series.warnings) == extra.get("warnings", [])


@pytest.mark.parametrize(
    "pairs",
    [
        [[60, 1.5]],  # numbers come as text
        [[60, "1"], [60, "2"]],
        [[120, "1"], [60, "2"]],
        [["60", "1"]],
        [[90, "1"]],  # not on the step
        [[60, "one"]],
        [[60]],
        [60],
        {"60": "1"},
    ],
)
def test_points_that_are_none_are_malformed(pairs: object) -> None:
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": pairs}]}}
    with pytest.raises(ExternalError) as error:
        ask(answer)
    assert (error.value.fault, error.value.permanent) == (Fault.MALFORMED, False)


def test_points_outside_the_window_are_left_out() -> None:
    pairs = [[0, "1"], [60, "2"], [120, "NaN"], [600, "3"], [660, "4"]]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": pairs}]}}
    series, _ = ask(answer)
    assert series.times.tolist() == [60, 600]
    assert series.values.tolist() == [2, 3]


def test_a_window_without_a_bucket_asks_nothing() -> None:
    with FaultServer() as server:
        source = Prometheus("prom", ApiOptions(url=server.url, scrape_interval=15), tools(1000.0))
        series = source.fetch(a_signal(Kind.GAUGE, query="up"), Window(10, 50, 60))
        assert (len(series), series.complete_until, server.requests) == (0, 50, [])
