from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from support.fault_server import Answer, FaultServer, Request
from support.measuring import a_signal, tools

from watcher.errors import ExternalError, Fault
from watcher.model.series import Series, Window
from watcher.model.service import Kind
from watcher.ports import Probe
from watcher.sources.http_json import HttpJson, HttpJsonOptions, HttpJsonQuery

NAN = float("nan")


def fetch(
    document: Any,
    kind: Kind = Kind.GAUGE,
    options: dict[str, Any] | None = None,
    now: float = 10_000.0,
    window: Window | None = None,
    **query: Any,
) -> tuple[Series, Request]:
    with FaultServer() as server:
        server.answer = lambda _request: Answer.of(document)
        settings = {"url": f"{server.url}/data"} | (options or {})
        settings["url"] = settings["url"].replace("SERVER", server.url)
        source = HttpJson("api", HttpJsonOptions.model_validate(settings), tools(now))
        series = source.fetch(a_signal(kind, **query), window or Window(60, 300, 60))
        return series, server.requests[0]


def test_a_list_of_pairs_needs_no_configuration() -> None:
    series, _ = fetch([[120, 1], [180, 2.5], [300, 3]])
    assert series.times.tolist() == [120, 180, 300]
    assert series.values.tolist() == [1, 2.5, 3]
    assert (series.totals, series.complete_until, series.step) == (None, 300, 60)


def test_objects_are_read_where_the_expressions_point() -> None:
    document = {"data": {"rows": [{"at": "1970-01-01T00:02:00Z", "n": {"good": 3, "all": 50}}]}}
    series, _ = fetch(
        document, Kind.RATIO, points="data.rows", time="at", value="n.good", total="n.all", time_unit="iso"
    )
    assert (series.times.tolist(), series.values.tolist()) == ([120], [3])
    assert series.totals is not None
    assert series.totals.tolist() == [50]


def test_the_window_is_written_where_the_placeholders_stand() -> None:
    options = {"url": "SERVER/q/{step}", "params": {"from": "{start}", "key": "k-e-y"}, "time_format": "ms"}
    _, request = fetch([], options=options, params={"to": "{end}", "what": "orders"})
    assert request.path == "/q/60"
    assert request.query == {"from": ["60000"], "to": ["300000"], "key": ["k-e-y"], "what": ["orders"]}
    _, request = fetch([], options={"time_format": "iso"}, params={"from": "{start}"})
    assert request.query == {"from": ["1970-01-01T00:01:00Z"]}


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 1000)])
def test_times_are_in_their_unit(unit: str, scale: int) -> None:
    assert fetch([[120 * scale, 1]], time_unit=unit)[0].times.tolist() == [120]


def test_a_bucket_may_be_named_by_its_start() -> None:
    assert fetch([[60, 1], [240, 2]], stamp="start")[0].times.tolist() == [120, 300]


@pytest.mark.parametrize(
    ("kind", "values"), [(Kind.COUNT, [8]), (Kind.GAUGE, [4]), (Kind.RATE, [4]), (Kind.LATENCY, [4])]
)
def test_several_points_in_a_bucket_are_added_up_or_averaged(kind: Kind, values: list[float]) -> None:
    series, _ = fetch([[130, 3], [180, 5], [180, None]], kind)
    assert (series.times.tolist(), series.values.tolist()) == ([180], values)


def test_parts_of_a_ratio_are_added_up() -> None:
    series, _ = fetch([[130, 3, 40], [180, 5, 60], [175, 1, None]], Kind.RATIO, total="[2]")
    assert series.totals is not None
    assert (series.values.tolist(), series.totals.tolist()) == ([8], [100])


def test_what_is_null_or_left_out_is_missing() -> None:
    series, _ = fetch([[120, None], [180, NAN], [240, 0]], Kind.COUNT)
    assert (series.times.tolist(), series.values.tolist()) == ([240], [0])


def test_a_count_may_leave_out_its_zeros_if_it_is_said_so() -> None:
    series, _ = fetch([[180, 2]], Kind.COUNT, now=250, absent="zero")
    assert series.times.tolist() == [120, 180, 240], "what is not complete yet may still get a point"
    assert series.values.tolist() == [0, 2, 0]


def test_points_outside_the_window_are_left_out() -> None:
    assert fetch([[60, 1], [61, 2], [300, 3], [301, 4]])[0].times.tolist() == [120, 300]


def test_what_has_not_settled_is_not_complete() -> None:
    assert fetch([], options={"settle": 30}, now=290)[0].complete_until == 260
    assert fetch([], options={"settle": 30})[0].complete_until == 300


def test_text_is_a_number_only_where_it_may_be() -> None:
    with pytest.raises(ExternalError, match=r"points\[0\].value: expected a number, found text \(`coerce: true`"):
        fetch([[120, "1.5"]])
    assert fetch([["120", "1.5"]], coerce=True)[0].values.tolist() == [1.5]


@pytest.mark.parametrize(
    ("document", "query", "place"),
    [
        ({"data": 5}, {"points": "data"}, r"points `data`: expected a list, found a number"),
        ({"data": []}, {}, r"points `@`: expected a list, found an object"),
        ({}, {"points": "data"}, r"points `data`: expected a list, found nothing"),
        ([5], {}, r"points\[0\].time: expected a time"),
        ([[120, 1], [None, 1]], {}, r"points\[1\].time: expected a time"),
        ([[120, True]], {}, r"points\[0\].value: expected a number, found true or false"),
        ([[120, {}]], {}, r"points\[0\].value: expected a number, found an object"),
        ([[120000000000000, 1]], {}, r"points\[0\].time: expected a time in unix s"),
    ],
)
def test_what_is_shaped_otherwise_is_malformed(document: Any, query: dict[str, Any], place: str) -> None:
    with pytest.raises(ExternalError, match=place) as error:
        fetch(document, **query)
    assert (error.value.fault, error.value.permanent) == (Fault.MALFORMED, False)


def test_an_expression_is_checked_when_it_is_configured() -> None:
    with pytest.raises(ValidationError, match="not a JMESPath expression"):
        HttpJsonQuery(points="data[")


def test_fractions_of_a_second_are_fine() -> None:
    series, _ = fetch([[120.5, 1], [121, 2]], window=Window(120, 121.0, 0.5))
    assert series.times.tolist() == [120.5, 121.0]


def probe(document: Any, **query: Any) -> Probe:
    with FaultServer() as server:
        server.answer = lambda _request: Answer.of(document)
        source = HttpJson("api", HttpJsonOptions(url=server.url), tools(1000.0))
        return source.probe(a_signal(Kind.RATIO if "total" in query else Kind.GAUGE, **query), 1000.0)


def test_a_probe_tells_value_age_and_step() -> None:
    assert probe([[900, 1], [930, 2], [960, 3], [990, None]]) == Probe(3.0, 40.0, 1, 30.0)
    assert probe([[960, 3, 60]], total="[2]").value == 0.05
    nothing = probe([])
    assert (nothing.value, nothing.series, nothing.warnings) == (
        None,
        0,
        ("the answer has no number in the last ten steps",),
    )


def test_a_probe_of_an_unshaped_answer_fails_as_a_fetch_does() -> None:
    with pytest.raises(ExternalError):
        probe({"error": "no"})


def test_missing_and_complete_are_two_things() -> None:
    series, _ = fetch([])
    assert len(series) == 0
    assert series.complete_until == 300
    assert np.isfinite(series.complete_until)
