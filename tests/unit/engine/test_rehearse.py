"""Rehearsals by the true mathematics over made histories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from support.made import service, signal
from support.made_history import END, STEP, counts, ratio

from watcher.engine import injection, placebo, tally
from watcher.engine.rehearse import rehearse
from watcher.model.rehearsal import Rehearsal
from watcher.model.series import Series
from watcher.model.service import Harm, Kind, Role

WINDOW = 1800.0
DAYS = 3.0
ORDERS = signal("orders", kind=Kind.COUNT)
CONVERSION = signal("conversion")


def rehearsed(history: dict[str, Series], elapsed: Callable[[], float] = lambda: 0.0, **changes: Any) -> Rehearsal:
    settings: dict[str, Any] = {"incidents": (), "placebos": 4} | {
        name: changes.pop(name) for name in ("incidents", "earlier", "placebos", "limit") if name in changes
    }
    fields: dict[str, Any] = {"signals": (ORDERS,), "window": WINDOW, "step": STEP}
    policy = service(**(fields | changes))
    return rehearse(policy, history, END, elapsed=elapsed, **settings)


@pytest.fixture(scope="module")
def busy() -> Rehearsal:
    return rehearsed(
        {"orders": counts(DAYS, 200.0), "conversion": ratio(DAYS, 300.0, 0.1)}, signals=(ORDERS, CONVERSION)
    )


def test_a_quiet_service_is_not_called_and_its_limits_are_told(busy: Rehearsal) -> None:
    assert (busy.placebos, busy.false_calls.hits, busy.outcomes) == (4, 0, {"healthy": 4})
    for one in busy.signals:
        assert one.false_calls.trials == 4
        assert one.detectable is not None
        assert 0.02 < one.detectable < 0.4, one
        assert one.looks is not None
        assert 1 <= one.looks <= 30
        assert one.seconds == one.looks * STEP
        assert one.advice == ()


def test_events_without_a_denominator_show_less_harm_the_fewer_they_are(busy: Rehearsal) -> None:
    orders, conversion = busy.signals
    assert orders.detectable is not None
    assert conversion.detectable is not None
    assert orders.detectable < conversion.detectable  # 6000 orders in a window, 900 conversions


def test_it_claims_no_more_than_its_windows_resolve(busy: Rehearsal) -> None:
    assert busy.resolved == pytest.approx(1 - 0.05 ** (1 / 4))
    assert busy.resolvable is not None
    assert 0.03 < busy.resolvable < 0.06  # 71 windows of half an hour in the newer half of three days
    assert busy.extrapolated is None
    text = " ".join(busy.sentences)
    assert "resolve no probability below 53 %" in text
    assert "1 % is not proved by this history" in text


def test_no_shape_of_harm_shows_better_than_a_step(busy: Rehearsal) -> None:
    for one in busy.signals:
        assert [shape.name for shape in one.shapes] == list(injection.SHAPES)
        step, *others = one.shapes
        assert step.detectable == one.detectable
        assert (step.seen.hits, step.seen.trials) == (4, 4)  # 30 % must be seen
        assert {shape.seen.trials for shape in others} == {2}
        assert all(shape.detectable is None or shape.detectable > 0.8 * (step.detectable or 0) for shape in others)
        assert one.basis
    spike = busy.signals[0].shapes[-1]
    assert spike.detectable is None or spike.detectable > 1.2 * (busy.signals[0].detectable or 1)


def test_rehearsals_of_several_days_are_pooled_and_go_on_elsewhere(busy: Rehearsal) -> None:
    history = {"orders": counts(DAYS, 200.0)}
    first = rehearsed(history, placebos=3)
    second = rehearsed(history, placebos=3, earlier=[first])
    assert first.pooled is None
    assert second.pooled is not None
    assert second.pooled.rehearsals == 2
    assert not {each.start for each in first.judged} & {each.start for each in second.judged}
    assert second.pooled.false_calls.trials == 6
    assert second.pooled.resolved == pytest.approx(1 - 0.05 ** (1 / 6))
    assert second.known_false == second.pooled.false_calls
    assert "With 1 earlier rehearsal, " in " ".join(second.sentences)
    assert rehearsed(history, placebos=3, earlier=[busy]).pooled is None  # other signals, another policy
    incident = (first.judged[0].start, first.judged[0].start + 60)
    third = rehearsed(history, placebos=1, earlier=[first], incidents=[incident])
    assert third.pooled is not None
    assert third.pooled.false_calls.trials == 3  # what turned out to be an incident says nothing of quiet times


def test_too_little_traffic_says_what_would_help() -> None:
    made = rehearsed({"orders": counts(DAYS, 4 / 60)})
    (orders,) = made.signals
    assert orders.detectable is None or orders.detectable > 0.9
    assert made.false_calls.hits == 0
    assert "busier signal" in " ".join(orders.advice)
    assert "a control for orders" in " ".join(orders.advice)


def test_without_room_for_a_placebo_nothing_is_claimed() -> None:
    made = rehearsed({"orders": counts(0.02, 200.0)})
    assert (made.placebos, made.resolved, made.signals[0].detectable) == (0, None, None)
    assert "nothing is known yet" in made.sentences[0]
    assert rehearsed({}).placebos == 0


def test_too_short_a_history_says_that_more_is_needed() -> None:
    made = rehearsed({"orders": counts(0.06, 200.0)})
    assert made.placebos
    assert set(made.signals[0].unmeasured) == {"too_little_history"}
    assert made.signals[0].tried is None
    assert "needs more history" in made.signals[0].advice[0]


def test_the_time_limit_cuts_it_short_and_it_says_so() -> None:
    ticks = count(0.0, 10.0)
    made = rehearsed({"orders": counts(DAYS, 200.0)}, lambda: next(ticks), limit=5.0)
    assert (made.placebos, made.planned) == (2, 4)
    assert "cut it short" in " ".join(made.sentences)


def test_it_repeats_to_the_bit() -> None:
    history = {"orders": counts(DAYS, 200.0)}
    assert rehearsed(history, placebos=2) == rehearsed(history, placebos=2)


def test_a_wild_past_shows_more_calls_or_less_sight_than_a_quiet_one(busy: Rehearsal) -> None:
    quiet = counts(DAYS, 200.0)
    level = np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.03, len(quiet))) % 1.0)
    made = rehearsed({"orders": replace(quiet, values=np.round(quiet.values * level))})
    steady = busy.signals[0].detectable
    wild = made.signals[0].detectable
    assert steady is not None
    assert wild is None or wild > 1.5 * steady


def _placebos() -> list[placebo.Placebo]:
    history = {"orders": counts(DAYS, 30.0), "conversion": ratio(DAYS, 40.0, 0.1, 3)}
    policy = service(
        signals=(replace(ORDERS, harm=Harm.EITHER), replace(CONVERSION, role=Role.SUPPORTING)),
        window=WINDOW,
        step=STEP,
        false_rollback_probability=0.3,  # so that quiet placebos are called as well
    )
    clear = placebo.starts(policy, END - DAYS * 86400, END, [])
    return [placebo.prepare(policy, history, start) for start in clear[:4]]


@pytest.mark.parametrize("least", [0.0, 0.2, 0.9])
def test_the_smallest_harm_is_the_first_that_is_called_whether_evidence_or_what_is_held_against_it_decides(
    least: float,
) -> None:
    history = {"orders": counts(DAYS, 200.0)}
    signal = replace(ORDERS, min_effect=least)  # less harm than that is none, however sure
    policy = service(signals=(signal,), window=WINDOW, step=STEP)
    start = placebo.starts(policy, END - DAYS * 86400, END, [])[0]
    one = placebo.prepare(policy, history, start)
    sizes = injection.sizes(-1.0)

    def ask(place: int) -> placebo.Asked:
        return placebo.Asked(one, tally.harmed(one, signal, 0, sizes[place], "step"), one.looks[-1])

    def search(holds: Callable[[int], bool], begin: int) -> int:
        return tally.first(holds, len(sizes), begin, 0)

    calls = [ask(place).calls for place in range(len(sizes))]
    may = [ask(place).may_call for place in range(len(sizes))]
    if least:
        assert calls.index(True) > may.index(True)
    assert placebo.first_that_calls(ask, search, len(sizes)) == calls.index(True)


def test_short_cuts_find_what_all_looks_find() -> None:
    """A placebo is called if any of its looks calls it; the last look alone, and halving, must say the same."""
    called = []
    for number, one in enumerate(_placebos()):
        quick, full = placebo.run(one)[-1], placebo.walk(one, one.known)[-1]
        assert (quick.called, quick.findings.at) == (full.called, full.findings.at)
        called.append(full.called)
        change = 0.15 + 0.1 * number
        harmed = dict(one.known)
        part = injection.course("step", harmed["orders"].times, one.context.started_at, WINDOW)
        harmed["orders"] = injection.inject(harmed["orders"], Kind.COUNT, -change, part, 5)
        looks = placebo.walk(one, harmed)
        assert placebo.first_call(one, harmed) == (len(looks) if looks[-1].called else None)
    assert not all(called)
