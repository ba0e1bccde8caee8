"""Small recorded deploys of every sort, through the product's own code, must come out as they always did."""

from __future__ import annotations

import json
import math
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from watcher.engine.replay import run_case

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = [json.loads(line) for line in (HERE / "cases.jsonl").read_text().splitlines()]
EXPECTED: list[dict[str, Any]] = [json.loads(line) for line in (HERE / "expected.jsonl").read_text().splitlines()]
HARM = {"level_shift", "spike"}  # the first bucket of a lasting harm may look like either
ONSET_STEPS = 3


@pytest.mark.parametrize(
    ("case", "expected"), list(zip(CASES, EXPECTED, strict=True)), ids=[case["id"] for case in CASES]
)
def test_case(case: dict[str, Any], expected: dict[str, Any]) -> None:
    result = run_case(case)
    assert result["id"] == expected["id"]
    assert (result["outcome"], result["reason"]) in {
        (expected["outcome"], reason) for reason in (HARM if expected["reason"] == "harm" else {expected["reason"]})
    }, result["sentence"]
    if expected["onset"] is not None:
        assert abs(result["onset"] - expected["onset"]) <= ONSET_STEPS * case["signals"][0]["step"]
    _check_form(case, result)


def _check_form(case: dict[str, Any], result: dict[str, Any]) -> None:
    """What docs/replay.md promises of every result."""
    assert list(result) == ["id", "outcome", "reason", "decided_at", "onset", "score", "sentence", "signals"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert 0 <= result["score"] <= 12
    assert (result["outcome"] == "regressed") == (result["score"] >= -math.log10(0.01))
    assert (result["decided_at"] is not None) == (result["outcome"] == "regressed")
    watched = [signal["name"] for signal in case["signals"] if signal.get("role", "signal") == "signal"]
    assert [signal["name"] for signal in result["signals"]] == watched
    for signal in result["signals"]:
        fields = ["name", "outcome", "score", "effect", "effect_low", "effect_high", "onset", "detectable"]
        assert list(signal) == fields
        if signal["effect_low"] is not None:
            assert signal["effect_low"] <= signal["effect"] <= signal["effect_high"]


@pytest.mark.parametrize("probability", [0.2, 1e-6])
@pytest.mark.parametrize("name", ["quiet orders", "another deploy, long before"])
def test_the_outcome_follows_the_score_at_every_probability(name: str, probability: float) -> None:
    case = next(case for case in CASES if case["id"] == name)
    result = run_case(case, probability)
    assert (result["outcome"] == "regressed") == (result["score"] >= -math.log10(probability))


def test_no_look_uses_a_point_later_than_its_own_time() -> None:
    """With everything after the deciding look cut off or turned to nonsense, the same is decided at the same time."""
    case = json.loads(json.dumps(next(case for case in CASES if case["id"] == "orders fall by two fifths")))
    whole = run_case(case)
    for signal in case["signals"]:
        signal["values"] = [
            value if at <= whole["decided_at"] else 10 * value
            for at, value in zip(signal["times"], signal["values"], strict=True)
        ]
    changed = run_case(case)
    for field in ("outcome", "reason", "decided_at", "sentence"):
        assert changed[field] == whole[field]


def test_the_files_are_what_the_script_makes() -> None:
    spec = spec_from_file_location("generate_golden_cases", HERE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, content in module.files().items():
        assert (HERE / name).read_text() == content, f"run {HERE.name}/generate.py"
