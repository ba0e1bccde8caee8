from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client import generate_latest as write_text
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as read_text

from watcher.errors import MalformedError
from watcher.kit.exposition import Sample, parse, read

write_openmetrics: Any = openmetrics_exposition.generate_latest  # untyped
read_openmetrics: Any = openmetrics_parser.text_string_to_metric_families


def everything(_name: str) -> bool:
    return True


def a_registry(label: str = 'a "quoted" \\ back\nslash, {brace} # hash') -> CollectorRegistry:
    registry = CollectorRegistry()
    requests = Counter("requests", "Requests: a {brace}", ["path", "code"], registry=registry)
    requests.labels(label, "200").inc(12345678)
    requests.labels("/", "500").inc(0.5)
    Counter("unused", "Without a series", ["path"], registry=registry)
    Gauge("depth", "Depth", registry=registry).set(float("inf"))
    Summary("size", "Size", registry=registry).observe(3)
    Histogram("seconds", "Seconds", ["path"], buckets=(0.1, 1, 10), registry=registry).labels("/").observe(0.7)
    return registry


def as_tuples(samples: tuple[Sample, ...]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    return {(sample.name, frozenset(sample.labels.items()), sample.value) for sample in samples}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30))
def test_it_reads_the_text_format_as_the_reference_parser_does(label: str) -> None:
    text = write_text(a_registry(label)).decode()
    reference = {
        (sample.name, frozenset(sample.labels.items()), float(sample.value))
        for family in read_text(text)
        for sample in family.samples
    }
    assert as_tuples(parse(text, everything, openmetrics=False).samples) == reference


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30))
def test_it_reads_openmetrics_as_the_reference_parser_does(label: str) -> None:
    text = write_openmetrics(a_registry(label)).decode()
    reference = {
        (sample.name, frozenset(sample.labels.items()), float(sample.value))
        for family in read_openmetrics(text)
        for sample in family.samples
    }
    assert as_tuples(parse(text, everything, openmetrics=True).samples) == reference


def test_names_stay_as_they_are_written() -> None:
    scrape = parse("# TYPE errors counter\nerrors 5\n", everything, openmetrics=False)
    assert [sample.name for sample in scrape.samples] == ["errors"]


def test_only_what_is_wanted_is_kept_and_every_name_is_known() -> None:
    text = write_openmetrics(a_registry()).decode()
    scrape = parse(text, {"depth"}.__contains__, openmetrics=True)
    assert [sample.name for sample in scrape.samples] == ["depth"]
    assert scrape.exposes("requests_total")
    assert scrape.exposes("unused_total"), "declared, though no series counts yet"
    assert scrape.exposes("seconds_bucket")
    assert not scrape.exposes("orders_total")


@pytest.mark.parametrize(
    ("line", "openmetrics", "at"),
    [
        ("x 1 1700000000", True, 1700000000.0),
        ("x 1 1700000000.25", True, 1700000000.25),
        ("x 1 1700000000250", False, 1700000000.25),
        ("x 1", True, None),
        ('x{a="b"} 1 1700000000 # {trace="y"} 0.5 1700000001', True, 1700000000.0),
        ('x{a="b"} 1 # {trace="y"} 0.5', True, None),
    ],
)
def test_timestamps_are_read_in_the_unit_of_their_format(line: str, openmetrics: bool, at: float | None) -> None:
    [(_, sample)] = read([line], everything, openmetrics=openmetrics)
    assert (sample.value, sample.at) == (1.0, at)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "# anything at all",
        "#",
    ],
)
def test_lines_without_a_sample_are_passed_over(line: str) -> None:
    [(number, _)] = read([line, "x NaN"], everything, openmetrics=True)
    assert number == 2


@pytest.mark.parametrize(
    "line",
    [
        "<!doctype html>",
        "{}",
        "x",
        "x one",
        "x 1_000",
        "x 1 then",
        "x 1 2 3",
        'x{a="b" 1',
        'x{a="b"}',
        "x{a=b} 1",
        'x{a="b",a="c"} 1',
        'x{a="b"c="d"} 1',
        'x{a="b\\"} 1',
        "1x 1",
    ],
)
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(MalformedError, match=r"^line 2: expected"):
        list(read(["up 1", line], everything, openmetrics=True))


def test_an_openmetrics_answer_that_is_cut_off_is_told_by_its_missing_end() -> None:
    with pytest.raises(MalformedError, match="# EOF"):
        parse("x 1\n", everything, openmetrics=True)
    assert parse("x 1\n# EOF\n", everything, openmetrics=True).samples[0].value == 1
    assert parse("x 1\n", everything, openmetrics=False).samples[0].value == 1


@given(st.text(max_size=60))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    with contextlib.suppress(MalformedError):
        parse(text, everything, openmetrics=False)


def test_a_value_may_be_anything_that_a_float_may() -> None:
    values = [sample.value for _, sample in read(["x NaN", "x +Inf", "x -Inf", "x 1e-3"], everything, openmetrics=True)]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, 0.001]
