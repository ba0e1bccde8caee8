from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from watcher.model.service import Kind
from watcher.sources.prometheus_query import PrometheusQuery
from watcher.sources.selection import Form, Selection, Selector, misfit, selector

FORMS: dict[Form, dict[str, Any]] = {
    Form.RAW: {"query": "x"},
    Form.RAW_RATIO: {"query": "x", "total_query": "y"},
    Form.COUNTER: {"counter": "orders_total"},
    Form.RATIO: {"bad": "errors_total", "total": "requests_total"},
    Form.GAUGE: {"gauge": "depth", "aggregate": "max"},
    Form.HISTOGRAM: {"histogram": "seconds", "quantile": 0.95},
}


@pytest.mark.parametrize("form", Form)
def test_every_form_is_known_by_its_keys(form: Form) -> None:
    assert PrometheusQuery.model_validate(FORMS[form]).form is form


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "expected exactly one of: query; query and total_query; counter; good or bad, and total; gauge"),
        ({"counter": "a_total", "gauge": "b"}, "exactly one of"),
        ({"good": "a_total"}, "exactly one of"),
        ({"good": "a_total", "bad": "b_total", "total": "c_total"}, "exactly one of"),
        ({"histogram": "a"}, "exactly one of"),
        ({"total_query": "a"}, "exactly one of"),
        ({"query": "a", "labels": {"job": "b"}}, "labels go with metric names"),
        ({"counter": "a_total", "aggregate": "sum"}, "aggregate goes with"),
        ({"counter": "a_total", "absent": "zero"}, "absent goes with"),
        ({"counter": "a-total"}, "pattern"),
        ({"counter": "a_total", "labels": {"a-b": "c"}}, "pattern"),
        ({"counter": "a_total", "labels": {"a": {"match": "("}}}, "not a regular expression"),
        ({"counter": "a_total", "labels": {"a": {}}}, "expected match or no_match"),
        ({"counter": {"counter": "a_total", "lables": {}}}, "Extra inputs"),
        ({"histogram": "a", "quantile": 95}, "less than 1"),
        ({"metric": "a"}, "Extra inputs"),
    ],
)
def test_what_does_not_go_together_is_said(query: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PrometheusQuery.model_validate(query)


def test_a_source_without_promql_does_not_offer_it() -> None:
    with pytest.raises(ValidationError, match="expected exactly one of: counter; good or bad, and total; gauge;"):
        Selection.model_validate({})


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_takes_its_own_forms_only(kind: Kind) -> None:
    takes = {form for form in Form if misfit(kind, PrometheusQuery.model_validate(FORMS[form])) is None}
    assert (
        takes
        == {
            Kind.GAUGE: {Form.RAW, Form.GAUGE},
            Kind.COUNT: {Form.RAW, Form.COUNTER},
            Kind.RATE: {Form.RAW, Form.COUNTER},
            Kind.RATIO: {Form.RAW, Form.RAW_RATIO, Form.RATIO},
            Kind.LATENCY: {Form.RAW, Form.GAUGE, Form.HISTOGRAM},
        }[kind]
    )


def test_a_misfit_names_the_kind_and_what_it_takes() -> None:
    wrong = misfit(Kind.RATIO, Selection.model_validate(FORMS[Form.COUNTER]))
    assert wrong == "kind ratio expects good or bad, and total"


def test_a_query_survives_its_way_through_a_stored_policy() -> None:
    query = PrometheusQuery.model_validate(
        {
            "bad": {"counter": "r_total", "labels": {"code": {"match": "5.."}}},
            "total": "r_total",
            "labels": {"job": "a"},
        }
    )
    stored = query.model_dump(mode="json", exclude_unset=True)
    assert PrometheusQuery.model_validate(stored) == query


def a_selector() -> Selector:
    query = PrometheusQuery.model_validate(
        {
            "counter": {"counter": "r_total", "labels": {"code": {"match": "5..", "no_match": "503"}}},
            "labels": {"job": 'a "b" \\'},
        }
    )
    assert query.counter is not None
    return selector(query.counter, query.labels)


def test_a_selector_is_written_as_promql() -> None:
    assert str(a_selector()) == r'r_total{code!~"503",code=~"5..",job="a \"b\" \\"}'
    assert str(a_selector().everywhere()) == r'r_total{job="a \"b\" \\"}'
    assert str(Selector("up", {}, {})) == "up"


@pytest.mark.parametrize(
    ("labels", "holds"),
    [
        ({"job": 'a "b" \\', "code": "500"}, True),
        ({"job": 'a "b" \\', "code": "503"}, False),
        ({"job": 'a "b" \\', "code": "5000"}, False),  # a pattern matches the whole value
        ({"job": 'a "b" \\'}, False),
        ({"job": "b", "code": "500"}, False),
    ],
)
def test_a_selector_matches_as_prometheus_does(labels: dict[str, str], holds: bool) -> None:
    assert a_selector().matches(labels) is holds


def test_a_label_that_is_not_there_is_empty() -> None:
    assert Selector("x", {"a": ""}, {}).matches({"b": "c"})
