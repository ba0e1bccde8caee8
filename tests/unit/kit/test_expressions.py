from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from watcher.errors import ExternalError, Fault
from watcher.kit.expressions import Expression, TimeUnit, find, identifier, moment, number


class Asked(BaseModel):
    where: Expression


def test_an_expression_is_checked_when_it_is_configured() -> None:
    assert Asked(where="data[*].points").where == "data[*].points"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data[", "Incomplete expression"),
        ("'a", "Unclosed ' delimiter"),
        ("a b", r'Unexpected token: b: Parse error at column 2, token "b" \(UNQUOTED_IDENTIFIER\)'),
        ("[" * 5000, "maximum recursion depth exceeded"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said_once_and_whole(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=rf"not a JMESPath expression: {said} \["):
        Asked(where=text)


def test_it_finds_and_what_is_not_there_is_nothing() -> None:
    assert find("a.b[1]", {"a": {"b": [1, 2]}}) == 2
    assert find("a.c", {"a": 17}) is None


@pytest.mark.parametrize("document", [{"a": 5}, {"a": {"b": 1}}, {}, 5, None])
def test_a_function_that_meets_the_wrong_type_is_a_malformed_answer(document: Any) -> None:
    with pytest.raises(ExternalError) as error:
        find("sort_by(a, &x)", document)
    assert error.value.fault is Fault.MALFORMED


def test_numbers_are_numbers() -> None:
    assert number(3, "x") == 3.0
    assert math.isnan(number(None, "x"))
    assert number("3.5", "x", coerce=True) == 3.5


@pytest.mark.parametrize("value", ["3", True, [], {}, "x"])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(ExternalError, match=r"points\[2\]: expected a number"):
        number(value, "points[2]")


@pytest.mark.parametrize("value", ["x", "", "1_000", True, []])
def test_coercion_takes_only_text_that_is_a_number(value: Any) -> None:
    with pytest.raises(ExternalError, match="expected a number"):
        number(value, "x", coerce=True)


def test_a_number_too_large_for_a_float_is_malformed() -> None:
    with pytest.raises(ExternalError, match="expected a number"):
        number(10**400, "x")


@pytest.mark.parametrize(("value", "unit"), [(1700000000, "s"), (1700000000000, "ms"), ("2023-11-14T22:13:20Z", "iso")])
def test_moments_are_read_in_their_unit(value: Any, unit: TimeUnit) -> None:
    assert moment(value, unit, "t") == 1700000000.0


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1700000000000, "s"),  # milliseconds
        (-1, "s"),
        (None, "s"),
        ("1700000000", "s"),
        ("2023-11-14T22:13:20", "iso"),  # no zone
        (1700000000, "iso"),
        (None, "iso"),
        (float("nan"), "ms"),
    ],
)
def test_what_is_no_moment_is_malformed(value: Any, unit: TimeUnit) -> None:
    with pytest.raises(ExternalError) as error:
        moment(value, unit, "points[0].time")
    assert error.value.fault is Fault.MALFORMED


def test_an_id_is_a_text_or_a_whole_number() -> None:
    assert (identifier(7, "x"), identifier("a-7", "x")) == ("7", "a-7")
    wrong: list[Any] = [None, "", True, 1.5, [], {}]
    for value in wrong:
        with pytest.raises(ExternalError, match=r"tickets\[0\].id: expected an id"):
            identifier(value, "tickets[0].id")
