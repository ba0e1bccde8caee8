"""Every method stands in the benchmark's tables, on the same watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np
import pytest

from benchmarks.detection import otava, textbook
from benchmarks.detection.cases import Case
from benchmarks.detection.peers import peers
from benchmarks.detection.product import THRESHOLD
from benchmarks.detection.real import split
from benchmarks.detection.runs import PRODUCT, Result, tell_methods, tell_parts
from benchmarks.detection.shapes import shape_tables
from benchmarks.detection.streams import STREAMS, TICKETS
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

METHODS = {PRODUCT, *(rule.name for rule in peers())}


class Here(Executor):
    """Runs in this process."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        return map(fn, *iterables)


@pytest.fixture(autouse=True)
def _otava_ends() -> Iterator[None]:
    yield
    if otava.is_installed():
        otava.close()


def _rows(printed: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if line[:1] == "|"]


def test_peers_judge_watches_that_the_product_was_counted_on() -> None:
    found = textbook.run(textbook.Batch(STREAMS[0], 3, 6, 2, beside=2))
    quiet, moved = found.beside[:2], found.beside[2:]
    assert [each.change for each in quiet] == [0.0, 0.0]
    assert [each.change for each in moved] == [STREAMS[0].changes[1], STREAMS[0].changes[2]]
    assert {each.group for each in found.beside} == {"normal 3"}
    assert all(set(each.scores) == METHODS for each in found.beside)
    assert [bool(each.scores[PRODUCT][-1] >= THRESHOLD) for each in quiet] == found.alarmed[:2]
    for turn, each in enumerate(moved):
        alarmed = np.flatnonzero(each.scores[PRODUCT] >= THRESHOLD)
        assert (int(alarmed[0]) + 1 if len(alarmed) else None) == found.looks[each.change][turn]


def test_harms_take_turns_from_history_to_history() -> None:
    batches = [textbook.Batch(TICKETS[1], number, 0, 1, beside=1) for number in range(4)]
    changes = [textbook.run(batch).beside[-1].change for batch in batches]
    assert changes == [2.0, 4.0, 9.0, 2.0]


def test_textbook_tables_have_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    textbook.textbook(Here(), 1, TICKETS[:1], "Tickets")
    _, _, together, apart = capsys.readouterr().out.split("###")[1:]
    assert {row[0] for row in _rows(together)} >= METHODS
    assert {row[0] for row in _rows(apart)} >= METHODS
    assert "1 placebo watches, 1 with harm" in together
    assert "1 placebo watches and 1 with harm a stream" in apart


@pytest.mark.parametrize("with_control", [False, True])
def test_shapes_are_told_of_every_method(with_control: bool, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    values: Floats = rng.poisson(500, 2940).astype(np.float64)
    case = Case("x", Kind.COUNT, Harm.DOWN, np.arange(60.0, 60.0 * 2941, 60.0), values, 2880, 60, 60.0)
    shapes = (("step", -0.5), ("late", 0.5))
    shape_tables(Here(), [split(case, rng) if with_control else case], "Shapes", (15, 30, 60), shapes)
    printed = capsys.readouterr().out
    every, product = (_rows(part) for part in printed.split("###")[1:])
    assert {row[0] for row in every[2:]} == METHODS
    assert every[0] == ["method", "step -50%", "late +50%"]
    assert next(row for row in every if row[0] == PRODUCT) == [PRODUCT, "100", "100"]
    assert product[2:] == [[name, "1", "100", "100", "100"] for name in every[0][1:]]


def _result(change: float, product: float, mann: float) -> Result:
    scores = {PRODUCT: np.array([0.0, product]), "Mann-Whitney, 10 % floor": np.array([0.0, mann])}
    return Result("a", change, "step", 0, scores, dict.fromkeys(scores, 0.0))


def test_only_methods_that_judged_the_watches_have_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    results = [_result(0.0, 0.0, 5.0), _result(0.0, 0.0, 0.0), _result(0.5, 9.0, 6.0), _result(0.5, 9.0, 4.0)]
    tell_methods("All", results, (1, 2))
    tell_parts("By part", {"p": results}, lambda got: f"{got.false_share:.0f}/{got.matched:.1f}", 2)
    together, apart = (_rows(part) for part in capsys.readouterr().out.split("###")[1:])
    assert [row[0] for row in together[2:]] == [PRODUCT, "Mann-Whitney, 10 % floor"]
    assert apart == [["method", "p"], apart[1], [PRODUCT, "0/1.0"], ["Mann-Whitney, 10 % floor", "50/0.5"]]
