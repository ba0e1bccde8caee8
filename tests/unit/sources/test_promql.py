from __future__ import annotations

from typing import Any

import pytest

from watcher.sources.prometheus_query import PrometheusQuery
from watcher.sources.promql import Grid, denominator, numerator, ranges

GRID = Grid(step=60, scrape=15)


def asked(**query: Any) -> PrometheusQuery:
    return PrometheusQuery.model_validate(query)


def test_a_counter_is_asked_for_one_scrape_more_than_its_bucket() -> None:
    grid = Grid(step=60, scrape=15)
    assert numerator(asked(counter="o_total"), grid) == f"sum(increase(o_total[74999ms])) * {60 / 74.999!r}"


@pytest.mark.parametrize(
    ("step", "scrape", "length"), [(60, 60, 119.999), (60, 15, 74.999), (15, 60, 119.999), (30, 30, 59.999)]
)
def test_a_range_is_never_under_two_scrapes(step: float, scrape: float, length: float) -> None:
    assert Grid(step, scrape).range == pytest.approx(length)


def test_victoriametrics_counts_exactly_by_itself() -> None:
    grid = Grid(step=60, scrape=15, extrapolates=False)
    assert numerator(asked(counter="o_total", labels={"job": "a"}), grid) == 'sum(increase(o_total{job="a"}[60s]))'


def test_labels_that_choose_events_make_a_counter_that_is_silent_a_zero() -> None:
    query = asked(
        bad={"counter": "r_total", "labels": {"code": {"match": "5.."}}}, total="r_total", labels={"job": "a"}
    )
    scale = f" * {60 / 74.999!r}"
    everything = f'sum(increase(r_total{{job="a"}}[74999ms])){scale}'
    errors = f'sum(increase(r_total{{code=~"5..",job="a"}}[74999ms])){scale}'
    assert numerator(query, GRID) == f"({errors} or 0 * {everything})"
    assert denominator(query, GRID) == everything


def test_a_metric_that_may_be_absent_is_zero_where_the_total_is_there() -> None:
    query = asked(bad="errors_total", total="requests_total", absent="zero")
    assert numerator(query, GRID).endswith(f" or 0 * {denominator(query, GRID)}")


def test_raw_promql_stays_as_it_is_unless_it_is_to_be_aggregated() -> None:
    assert numerator(asked(query="a or b"), GRID) == "a or b"
    assert numerator(asked(query="a or b", aggregate="max"), GRID) == "max(a or b)"
    assert denominator(asked(query="a", total_query="b", aggregate="sum"), GRID) == "sum(b)"
    assert denominator(asked(query="a"), GRID) is None


def test_a_gauge_is_averaged_over_its_bucket_alone() -> None:
    assert numerator(asked(gauge="depth"), GRID) == "avg_over_time(depth[59999ms])"
    assert numerator(asked(gauge="depth", aggregate="sum"), Grid(15, 60)) == "sum(avg_over_time(depth[59999ms]))"


def test_a_quantile_is_of_all_series_together() -> None:
    query = asked(histogram="seconds", quantile=0.95)
    assert numerator(query, GRID) == "histogram_quantile(0.95, sum by (le) (increase(seconds_bucket[74999ms])))"


@pytest.mark.parametrize(
    ("promql", "found"),
    [
        ("rate(x[1m])", [("x", 60.0)]),
        ('sum(rate(x{a="}[5m]"}[1h30m])) / sum(rate(y{} [90s]))', [('x{a="}[5m]"}', 5400.0), ("y{}", 90.0)]),
        ("x > 5", []),
        ("max_over_time(rate(x[1m])[1h:])", [("x", 60.0)]),
    ],
)
def test_ranges_of_raw_promql_are_found(promql: str, found: list[tuple[str, float]]) -> None:
    assert list(ranges(promql)) == found
