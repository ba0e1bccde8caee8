"""Reading recorded cases: every mistake names its field, and nothing raises anything else."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import watcher
from watcher.engine import replay
from watcher.engine.cases import parse_case, read_case
from watcher.engine.replay import replay_line, run_case
from watcher.errors import MalformedError
from watcher.model.service import Harm, Kind, Role

CASE: dict[str, Any] = {
    "id": "c1",
    "service": "checkout",
    "deployed_at": 1200,
    "until": 1500,
    "signals": [
        {
            "name": "conversion",
            "kind": "ratio",
            "harm": "down",
            "step": 60,
            "min_effect": 0.03,
            "times": [1140, 1200, 1260, 1320],
            "values": [3, 4, None, 5],
            "totals": [100, 110, None, 120],
        },
        {
            "name": "other_region",
            "kind": "gauge",
            "role": "control",
            "harm": "either",
            "step": 60,
            "times": [1150, 1290],
            "values": [1.5, 2],
        },
        {"name": "tickets", "kind": "count", "harm": "up", "step": 300, "times": [1200, 1500], "values": [0, 2]},
    ],
    "deploys": [
        {"id": "other", "service": "search", "deployed_at": 900},
        {"id": 7, "service": "checkout", "deployed_at": 1250},
    ],
}
REMOVE = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    """The case with another value at `path`, for example `signals.0.times`."""
    case = copy.deepcopy(CASE)
    place: Any = case
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        place = place[step]
    if value is REMOVE:
        del place[last]
    else:
        place[last] = value
    return case


def test_a_case_is_understood() -> None:
    case = read_case(json.dumps(CASE).encode())
    assert (case.id, case.service, case.deployed_at, case.until) == ("c1", "checkout", 1200.0, 1500.0)
    conversion, control, tickets = case.signals
    assert (conversion.kind, conversion.harm, conversion.role) == (Kind.RATIO, Harm.DOWN, Role.REQUIRED)
    assert (conversion.min_effect, conversion.must_see, tickets.min_effect) == (0.03, 0.3, 0.0)
    assert (control.role, tickets.role) == (Role.CONTROL, Role.REQUIRED)
    series = case.series["conversion"]
    np.testing.assert_array_equal(series.values, [3, 4, np.nan, 5])
    assert series.totals is not None
    np.testing.assert_array_equal(series.totals, [100, 110, np.nan, 120])
    assert [(other.service, other.version) for other in case.nearby] == [("checkout", "7"), ("search", "other")]


def test_looks_are_made_whenever_a_signal_has_a_point() -> None:
    assert parse_case(CASE).looks() == [1260.0, 1320.0, 1500.0], "a control's point is no look"


def test_without_any_point_there_is_one_look_at_the_end() -> None:
    case = changed("signals", [CASE["signals"][0] | {"times": [], "values": [], "totals": []}])
    assert parse_case(case).looks() == [1500.0]
    result = run_case(case)
    assert (result["outcome"], result["reason"]) == ("inconclusive", "too_little_history")


@pytest.mark.parametrize(
    ("path", "value", "field", "expected"),
    [
        ("id", REMOVE, "id", "a string"),
        ("id", None, "id", "a string"),
        ("id", True, "id", "a string"),
        ("service", 3, "service", "a string"),
        ("deployed_at", REMOVE, "deployed_at", "a number"),
        ("deployed_at", "2026-01-01", "deployed_at", "a number"),
        ("deployed_at", True, "deployed_at", "a number"),
        ("until", 1200, "until", "a time after deployed_at"),
        ("until", 10**400, "until", "a number"),
        ("signals", REMOVE, "signals", "a list"),
        ("signals", {}, "signals", "a list"),
        ("signals", [], "signals", "at least one signal whose role is signal"),
        ("signals.0", 7, "signals[0]", "a JSON object"),
        ("signals.0.name", "", "signals[0].name", "a name"),
        ("signals.0.name", REMOVE, "signals[0].name", "a string"),
        ("signals.2.name", "conversion", "signals[2].name", "a name that no other signal has"),
        ("signals.0.kind", "histogram", "signals[0].kind", "one of gauge, count, rate, ratio, latency"),
        ("signals.0.kind", ["ratio"], "signals[0].kind", "one of gauge, count, rate, ratio, latency"),
        ("signals.0.kind", "gauge", "signals[0].totals", "nothing, as only a ratio has totals"),
        ("signals.0.harm", "sideways", "signals[0].harm", "one of up, down, either"),
        ("signals.0.harm", REMOVE, "signals[0].harm", "one of up, down, either"),
        ("signals.0.role", "required", "signals[0].role", "signal or control"),
        ("signals.0.role", [], "signals[0].role", "signal or control"),
        ("signals.0.step", 0, "signals[0].step", "seconds above 0"),
        ("signals.0.step", REMOVE, "signals[0].step", "a number"),
        ("signals.0.min_effect", -0.1, "signals[0].min_effect", "a share of at least 0"),
        ("signals.0.times", None, "signals[0].times", "a list of numbers"),
        ("signals.0.times", [1140, 1200, 1200, 1320], "signals[0].times", "unix seconds, ascending, each once"),
        ("signals.0.times", [1140, 1200, None, 1320], "signals[0].times", "unix seconds, ascending, each once"),
        ("signals.0.times", [1140, 1200, 1e999, 1320], "signals[0].times", "numbers of ordinary size"),
        ("signals.0.values", [1, 2, 3], "signals[0].values", "as many values as times (4, got 3)"),
        ("signals.0.values", [1, 2, "3", 4], "signals[0].values", "a list of numbers or null"),
        ("signals.0.values", [1, 2, True, 4], "signals[0].values", "a list of numbers or null"),
        ("signals.0.values", [1, 2, 10**400, 4], "signals[0].values", "numbers of ordinary size"),
        ("signals.0.values", [1, 2, [3], 4], "signals[0].values", "a list of numbers or null"),
        ("signals.0.totals", [1], "signals[0].totals", "as many values as times (4, got 1)"),
        ("deploys", {}, "deploys", "a list"),
        ("deploys.0", None, "deploys[0]", "a JSON object"),
        ("deploys.0.deployed_at", None, "deploys[0].deployed_at", "a number"),
        ("deploys.0.service", 5, "deploys[0].service", "a string"),
    ],
)
def test_a_mistake_names_its_field(path: str, value: Any, field: str, expected: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_case(changed(path, value))
    assert (caught.value.field, caught.value.expected) == (field, expected)


@pytest.mark.parametrize(
    "line",
    [b"{", b"", b"\xff\xfe\xfd", b"[" * 100_000, b'{"id": NaN}', b'{"id": Infinity}', b"9" * 5000, b"7", b"null"],
)
def test_a_line_that_is_no_case_is_one_complaint(line: bytes) -> None:
    replayed = replay_line(line, 0.01)
    assert replayed.result is None
    assert replayed.malformed is not None
    assert replayed.malformed.startswith("expected ")
    assert "\n" not in replayed.malformed
    assert len(replayed.malformed) < 300


def test_what_the_format_does_not_know_is_left_alone() -> None:
    case = parse_case(CASE | {"truth": "quiet"})
    assert case.id == "c1"
    assert parse_case(changed("id", 17)).id == 17


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*CASE, *CASE["signals"][0]]), inner),
    max_leaves=8,
)


@settings(max_examples=50)
@given(
    st.sampled_from(["id", "signals", "signals.0", "signals.0.times", "signals.0.values", "deploys", "until"]), _json
)
def test_nothing_else_is_raised(path: str, value: Any) -> None:
    replayed = replay_line(json.dumps(changed(path, value)), 0.01)
    assert (replayed.result is None) == (replayed.malformed is not None)
    assert replayed.trace is None


def test_an_error_of_the_product_itself_is_a_result_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret of a value")

    monkeypatch.setattr(replay, "judge", broken)
    replayed = replay_line(json.dumps(CASE), 0.01)
    assert replayed.result is not None
    result = json.loads(replayed.result)
    assert (result["id"], result["outcome"], result["reason"], result["score"]) == ("c1", "error", "internal_error", 0)
    assert "ZeroDivisionError" in result["sentence"]
    assert "secret" not in result["sentence"]
    assert replayed.trace is not None
    assert replayed.trace.startswith("c1: Traceback")


def test_a_result_is_strict_json() -> None:
    result = run_case(CASE)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert all(value is None or not isinstance(value, float) or math.isfinite(value) for value in result.values())


def test_the_example_of_the_documentation_is_a_case() -> None:
    page = (Path(watcher.__file__).parents[1] / "docs" / "replay.md").read_text()
    case_text, result_text = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    case = read_case(case_text)
    assert [signal.name for signal in case.signals] == ["conversion", "tickets", "other_region"]
    result, real = json.loads(result_text), run_case(CASE)
    assert list(result) == list(real)
    assert list(result["signals"][0]) == list(real["signals"][0])
    documented = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", page, re.MULTILINE)))
    known = {*json.loads(case_text), *real, *real["signals"][0]}
    known |= {key for signal in json.loads(case_text)["signals"] for key in signal}
    assert set(documented) == known


def test_a_larger_min_effect_raises_what_must_be_seen() -> None:
    assert parse_case(changed("signals.0.min_effect", 0.5)).signals[0].must_see == 0.75
    assert parse_case(changed("signals.0.min_effect", 0.8)).signals[0].must_see == 1.0  # of a fall
    assert parse_case(changed("signals.1.min_effect", 0.8)).signals[1].must_see == pytest.approx(1.2)
