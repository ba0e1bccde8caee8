"""The benchmark's shares, intervals and delays are what they are called."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import speed
from benchmarks.detection import low_traffic, textbook
from benchmarks.detection.product import THRESHOLD, Watch, conclude, first_called
from benchmarks.detection.runs import PRODUCT, Result, sum_up
from benchmarks.detection.streams import STREAMS
from benchmarks.detection.table import design_effect, per_hundred, wilson
from watcher.engine.replay import replay_line
from watcher.model.finding import Cause, Finding, Findings, State


def _result(change: float, scores: list[float], onset: int = 0, group: str = "a") -> Result:
    return Result(group, change, "step", onset, {PRODUCT: np.array(scores)}, {PRODUCT: 0.0})


def test_watches_are_summed_by_look_and_size() -> None:
    results = [
        *(_result(0.0, [0, 0, 0, 0]) for _ in range(99)),
        _result(0.0, [0, 0, 0, 9]),
        _result(-0.2, [0, 2, 2, 2]),
        _result(-0.2, [0, 0, 0, 1]),
        _result(-0.5, [9.5, 9.5, 9.5, 9.5]),
        _result(-0.5, [0, 0, 3, 3], onset=2),
    ]
    got = sum_up(results, PRODUCT, 2.0, (1, 2, 4))
    assert sum(hit for _, hit in got.false) == 1
    assert got.found == {1: 0.5, 2: 0.75, 4: 0.75}
    assert got.sizes[-0.2] == {1: 0.0, 2: 0.5, 4: 0.5}
    assert got.delay == pytest.approx((2 / 4 + 1 + 1 / 4 + 1 / 2) / 4)


def test_at_one_per_cent_false_the_bar_lies_above_all_but_one_in_a_hundred() -> None:
    quiet = [_result(0.0, [float(number)]) for number in range(200)]
    moved = [_result(math.nan, [float(number)]) for number in (100, 197, 198, 199)]
    assert sum_up([*quiet, *moved], PRODUCT, 2.0, (1,)).matched == pytest.approx(0.5)


def test_wilson_is_wilson() -> None:
    assert wilson(0, 50) == pytest.approx((0.0, 0.0713), abs=1e-3)
    assert wilson(12, 1400) == pytest.approx((0.0049, 0.0149), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_alike_watches_widen_the_interval_as_much_as_they_are_alike() -> None:
    alone = [(number, number < 10) for number in range(1000)]
    twins = [(number // 10, number // 10 < 1) for number in range(1000)]
    assert design_effect(alone) == pytest.approx(1.0, abs=0.01)
    assert design_effect(twins) == pytest.approx(10.0, rel=0.05)
    assert per_hundred(twins) == "1.0 (0.2-5.5)"
    assert per_hundred(alone) == "1.0 (0.5-1.8)"


def test_looks_between_two_equal_scores_need_not_be_made() -> None:
    for seed, change in ((1, 0.0), (2, -0.1), (3, -0.05)):
        watch = Watch.of(STREAMS[0].maker(change)(np.random.default_rng(seed)))
        findings, every = None, []
        for number in range(1, len(watch.times) + 1):
            findings = watch.look(number, findings)
            every.append(findings.score)
        scores, _ = watch.scores()
        assert scores == pytest.approx(np.maximum.accumulate(every), abs=0.021)
        first = next((number for number, score in enumerate(every, 1) if score >= THRESHOLD), None)
        assert watch.first_alarm() == first


@pytest.mark.parametrize(("note", "first"), [("a change, and not surely 0% off what was expected", 6), ("", None)])
def test_what_an_early_look_called_counts_though_the_last_holds_it_back(note: str, first: int | None) -> None:
    def look(number: int, previous: Findings | None) -> Findings:
        score = 2.1 if number == 6 else previous.score if previous else 0.0
        return Findings(60.0 * number, score, (Finding("signal0", State.QUIET, Cause.NO_HARM, note=note),))

    assert first_called(look, 60) == first


def test_a_batch_is_the_same_whenever_it_is_run() -> None:
    batch = textbook.Batch(STREAMS[0], 3, 4, 2)
    assert textbook.run(batch) == textbook.run(batch)
    found = textbook.run(batch)
    assert len(found.alarmed) == 4
    assert all(look is not None for look in found.looks[-0.1])


def test_what_the_speed_of_a_replay_is_measured_on_is_a_case() -> None:
    replayed = replay_line(speed._case(1), 0.01)
    assert replayed.malformed is None
    assert replayed.result is not None
    assert '"outcome": "healthy"' in replayed.result


def test_a_shop_with_four_orders_an_hour_is_never_called_healthy_or_harmed() -> None:
    for seed, change in ((1, 0.0), (2, -0.5), (3, -1.0)):
        case = low_traffic.Made(low_traffic.SHOP, change)(np.random.default_rng(seed))
        watch = Watch.of(case)
        outcome, detectable = conclude(case.plan, watch.scores()[1])
        assert outcome == "inconclusive"
        assert detectable is None or detectable > 0.9
