from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from support.measuring import a_signal, tools
from support.memory import DictMemory

from watcher.errors import MalformedError
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.sources.openmetrics import OpenMetrics, OpenMetricsOptions

T0 = 1_700_000_040.0  # the end of a minute
ORDERS = a_signal(Kind.COUNT, counter="orders_total")


def a_source(memory: DictMemory | None = None) -> OpenMetrics:
    options = OpenMetricsOptions(url="http://127.0.0.1:9/metrics")
    return OpenMetrics("shop", options, tools(memory=memory))


def fetch(source: OpenMetrics, signal: Signal = ORDERS, minutes: float = 60) -> Series:
    return source.fetch(signal, Window(T0, T0 + minutes * 60, signal.step))


def filled(lines: list[str], signal: Signal = ORDERS) -> Series:
    source = a_source()
    source.import_openmetrics(lines, [signal])
    return fetch(source, signal)


def counter(series: str, values: list[float], step: float = 60, start: float = T0) -> list[str]:
    return [f"{series} {value} {start + step * index}" for index, value in enumerate(values)]


def test_a_file_becomes_history() -> None:
    source = a_source()
    lines = ["# TYPE orders counter", *counter("orders_total", [100, 103, 110, 2, 2]), "# EOF"]
    assert source.import_openmetrics(lines, [ORDERS]) == 5
    series = fetch(source)
    assert series.times.tolist() == [T0 + 60 * minute for minute in (1, 2, 3, 4)]
    assert series.values.tolist() == [3, 7, 2, 0]
    assert series.complete_until == T0 + 240


def test_the_same_file_again_changes_nothing() -> None:
    source, lines = a_source(), counter("orders_total", [0, 5, 9])
    for _ in range(2):
        source.import_openmetrics(lines, [ORDERS])
        assert fetch(source).values.tolist() == [5, 4]


def test_series_may_stand_in_any_order() -> None:
    a, b = counter('orders_total{shop="a"}', [0, 1, 2, 3]), counter('orders_total{shop="b"}', [0, 10, 20, 30])
    by_series, by_time = a + b, [line for pair in zip(a, b, strict=True) for line in pair]
    assert filled(by_series).values.tolist() == filled(by_time).values.tolist() == [11, 11, 11]


def test_the_same_series_may_be_written_in_two_ways() -> None:
    lines = ['orders_total{a="1",b="2"} 5 1700000040', 'orders_total{b="2",a="1"} 8 1700000100']
    assert filled(lines).values.tolist() == [3]


def test_a_hole_in_the_file_is_missing() -> None:
    values = [float(minute) for minute in range(20)]
    lines = [line for index, line in enumerate(counter("orders_total", values)) if not 8 < index < 13]
    assert (filled(lines).times - T0).tolist() == [60.0 * minute for minute in (*range(1, 9), *range(14, 20))]


def test_a_series_that_replaces_another_counts_in_the_minute_in_which_it_came() -> None:
    steady = counter('orders_total{pod="a"}', [0, 10, 20, 30, 40])
    old = counter('orders_total{pod="b"}', [0, 5, 10])
    new = counter('orders_total{pod="c"}', [0, 2, 9], 30, T0 + 120 + 30)
    assert filled([*steady, *old, *new]).values.tolist() == [15, 15, 12, 17]


def test_a_gauge_is_averaged_and_then_aggregated() -> None:
    lines = [
        *counter('depth{queue="a"}', [0, 2, 4, 6], 30, T0 + 30),
        *counter('depth{queue="b"}', [10, 10, 10, 10], 30, T0 + 30),
    ]
    assert filled(lines, a_signal(Kind.GAUGE, gauge="depth", aggregate="sum")).values.tolist() == [11, 15]
    assert filled(lines, a_signal(Kind.GAUGE, gauge="depth", aggregate="max")).values.tolist() == [10, 10]
    assert len(filled(lines, a_signal(Kind.GAUGE, gauge="depth"))) == 0, "which of them?"


def test_what_is_not_a_number_is_passed_over() -> None:
    lines = counter("orders_total", [0, 5])
    assert filled([*lines, f"orders_total NaN {T0 + 75}", f"orders_total 9 {T0 + 120}"]).values.tolist() == [5, 4]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["orders_total 5"], r"^line 1: expected a timestamp"),
        (["# TYPE orders counter", "orders_total 5 soon"], r"^line 2: expected a timestamp"),
        (["orders_total 5 120", "orders_total 5 60"], r"^line 2: expected a time later"),
        (["orders_total", ""], r"^line 1: expected a sample"),
        (["other 5", "<html>"], r"^line 2: expected a sample"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_nothing_is_kept(lines: list[str], message: str) -> None:
    memory = DictMemory()
    with pytest.raises(MalformedError, match=message):
        a_source(memory).import_openmetrics(lines, [ORDERS])
    assert not memory.points


def test_a_file_without_what_the_signals_need_says_so_by_its_count() -> None:
    source = a_source()
    assert source.import_openmetrics(counter("refunds_total", [1, 2, 3]), [ORDERS]) == 0
    assert len(fetch(source)) == 0


def test_an_older_file_does_not_take_back_what_is_complete() -> None:
    source = a_source()
    source.import_openmetrics(counter("orders_total", [0, 1, 2], start=T0 + 600), [ORDERS])
    source.import_openmetrics(counter("orders_total", [0, 1, 2]), [ORDERS])
    assert fetch(source).complete_until == T0 + 720
    assert len(fetch(source)) == 4


def test_two_weeks_of_minutes_are_quick() -> None:
    minutes, pods = 14 * 1440, 5
    rng = np.random.default_rng(3)
    counts = np.cumsum(rng.poisson(20, (minutes, pods)), axis=0)

    def lines() -> Iterator[str]:
        for minute in range(minutes):
            for pod in range(pods):
                yield f'orders_total{{pod="p{pod}",job="shop"}} {counts[minute, pod]} {T0 + 60 * minute}'

    source = a_source()
    began = time.process_time()
    assert source.import_openmetrics(lines(), [ORDERS]) == minutes * pods
    assert time.process_time() - began < 8, "500,000 lines would take more than 40 s"
    values = fetch(source, minutes=minutes).values
    assert values.tolist() == np.diff(counts.sum(axis=1)).tolist()
