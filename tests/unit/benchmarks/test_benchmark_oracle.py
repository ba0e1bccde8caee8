"""The oracle of the real series chooses by hindsight what it is said to choose, within 1 % of the placebos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.detection import oracle
from benchmarks.detection.cases import Case, harmed
from benchmarks.detection.runs import PRODUCT, Result, sum_up
from benchmarks.detection.views import views
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind


def _case(seed: int) -> Case:
    """Four days with a day's curve of one to three, at half its level today; a watch of an hour."""
    at = np.arange(5 * 1440 + 60)
    level = np.where(at >= 5 * 1440 - 120, 0.5, 1.0)
    times: Floats = np.arange(60.0, 60.0 * (len(at) + 1), 60.0)
    values = np.random.default_rng(seed).poisson(1000 * level * (2 + np.sin(2 * np.pi * at / 1440)))
    return Case("x", Kind.COUNT, Harm.DOWN, times, values.astype(np.float64), 5 * 1440, 60, 60.0)


def test_residuals_know_the_days_curve_and_todays_level() -> None:
    off = oracle.residuals(views(_case(1))[0])
    assert off["relative"].shape == off["clipped"].shape == (60,)
    assert abs(off["relative"].mean()) < 0.02
    assert abs(off["clipped"].mean()) < 0.7
    assert np.abs(off["clipped"]).max() <= oracle.CLIP


def test_harm_in_either_direction_is_up() -> None:
    for harm, change in ((Harm.DOWN, -0.3), (Harm.UP, 0.3)):
        moved = harmed(replace(_case(2), harm=harm), change, "step", np.random.default_rng(3))
        assert oracle.scans(moved)["clipped 5"][-1] > 2.5
        assert oracle.scans(moved)["relative 34"][-1] == pytest.approx(0.3, abs=0.03)
        better = harmed(replace(_case(2), harm=harm), -change, "step", np.random.default_rng(3))
        assert oracle.scans(better)["clipped 5"][-1] < -1.0


def test_a_scan_says_nothing_before_it_has_its_length() -> None:
    off = oracle.residuals(views(_case(4))[0])["relative"]
    scans = oracle.scans(_case(4))
    assert np.all(scans["relative 55"][:54] == oracle.NOTHING)
    assert scans["relative 55"][54] == pytest.approx(off[:55].mean())
    assert scans["relative 1"] == pytest.approx(np.maximum.accumulate(off))


def _result(group: str, change: float, **scores: float) -> Result:
    return Result(group, change, "step", 0, {name: np.array([0.0, score]) for name, score in scores.items()}, {})


def test_each_series_has_the_line_and_the_length_that_find_most_of_it() -> None:
    results = [
        *(_result("loud", 0.0, short=score, long=9.0) for score in (5.0, 6.0)),
        *(_result("loud", 0.5, short=score, long=9.0) for score in (6.0, 7.0)),
        *(_result("still", 0.0, short=1.0, long=score) for score in (1.0, 2.0)),
        *(_result("still", 0.5, short=1.0, long=score) for score in (2.5, 3.0)),
    ]
    got = sum_up(oracle.with_hindsight(results, ["short", "long"], 2), oracle.CHOSEN, 0.0, (1, 2))
    assert not any(hit for _, hit in got.false)
    assert got.found == {1: 0.0, 2: 0.75}  # one line for both series would find a quarter


def test_of_a_hundred_placebos_hindsight_calls_one() -> None:
    results = [_result("x", 0.0, short=float(number)) for number in range(100)]
    results.append(_result("x", 0.5, short=98.5))
    got = sum_up(oracle.with_hindsight(results, ["short"], 2), oracle.CHOSEN, 0.0, (2,))
    assert sum(hit for _, hit in got.false) == 1
    assert got.found == {2: 1.0}


def test_the_table_says_that_it_has_hindsight(capsys: pytest.CaptureFixture[str]) -> None:
    cases = [_case(5), harmed(_case(5), -0.5, "step", np.random.default_rng(6))]
    results = [
        Result(case.group, case.change, case.label, 0, {PRODUCT: np.full(60, score)}, {})
        for case, score in zip(cases, (1.0, 1.5), strict=True)
    ]
    oracle.tell("Oracle", cases, results, (15, 60))
    printed = capsys.readouterr().out
    assert "hindsight, which nobody has" in printed
    found = {line.split("|")[1].strip(): line.split("|")[-3].strip() for line in printed.splitlines() if "| " in line}
    assert found[f"{PRODUCT}, no hindsight"] == "0"
    assert found[f"{PRODUCT}, best threshold of each series"] == "100"
    assert found["scan of residuals, best threshold and length of each series"] == "100"
