"""Questions of many watches: identical ones once, kindred ones together, a source that is down once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from support.made import signal

from watcher.engine.asking import Ask, NotAskedError, Observer, answers
from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.model.series import Series, Window
from watcher.model.service import Signal

STEP = 60.0


def told(signal: Signal, window: Window) -> Series:
    times = window.grid()
    return Series(times, times + len(str(signal.query)), window.step, window.end)


@dataclass
class One:
    """A source that answers one question at a time."""

    fails: Callable[[Signal], None] = field(default=lambda _signal: None)
    asked: list[tuple[list[str], Window]] = field(default_factory=list)

    def fetch(self, signal: Signal, window: Window) -> Series:
        self.asked.append(([str(signal.query.get("who"))], window))
        self.fails(signal)
        return told(signal, window)


@dataclass
class Many(One):
    """A source that can answer for several at once those that say what they want."""

    def kin(self, signal: Signal) -> str | None:
        return str(signal.query.get("what")) if "what" in signal.query else None

    def fetch_all(self, signals: Sequence[Signal], window: Window) -> Sequence[Series | ExternalError]:
        self.asked.append(([str(each.query["who"]) for each in signals], window))
        found: list[Series | ExternalError] = []
        for each in signals:
            try:
                self.fails(each)
                found.append(told(each, window))
            except ExternalError as error:
                if error.fault is not Fault.QUERY:
                    raise
                found.append(error)
        return found


def ask(
    watch: str, who: str, start: float = 0.0, end: float = 60.0, what: str | None = "orders", **more: object
) -> Ask:
    query = {"who": who} | ({} if what is None else {"what": what}) | more
    return Ask(watch, watch, signal("conversion", query=query), Window(start, end, STEP))


def silent(*_: object) -> None: ...


def fails_for(who: str, fault: Fault) -> Callable[[Signal], None]:
    def fail(signal: Signal) -> None:
        if signal.query["who"] == who:
            raise ExternalError("no", fault=fault, permanent=False)

    return fail


def test_identical_questions_are_asked_once_and_each_gets_its_own_part() -> None:
    source = One()
    asks = [ask("w1", "a", 0, 120), ask("w2", "a", 60, 180), ask("w3", "a", 60, 120)]
    found = answers(asks, {"prom": source}, silent)
    assert source.asked == [(["a"], Window(0, 180, STEP))]
    for each in asks:
        answer = found[each.watch_id, "conversion"]
        assert isinstance(answer, Series)
        alone = told(each.signal, each.window)
        assert answer.times.tolist() == alone.times.tolist()
        assert answer.values.tolist() == alone.values.tolist()
        assert answer.complete_until == alone.complete_until


def test_kindred_questions_are_asked_together_and_others_are_not() -> None:
    source = Many()
    asks = [ask(f"w{who}", who) for who in "abc"] + [ask("wx", "x", what="errors"), ask("wy", "y", what=None)]
    found = answers(asks, {"prom": source}, silent)
    assert sorted(who for who, _ in source.asked) == [["a", "b", "c"], ["x"], ["y"]]
    assert all(isinstance(answer, Series) for answer in found.values())
    assert len(found) == 5


def test_nobody_pays_for_anothers_long_history() -> None:
    source = Many()
    day = 86400.0
    asks = [ask("w1", "a", 0, 14 * day), ask("w2", "b", 14 * day - 60, 14 * day), ask("w3", "c", day, 14 * day)]
    answers(asks, {"prom": source}, silent)
    assert [(who, window.start) for who, window in source.asked] == [(["a", "c"], 0), (["b"], 14 * day - 60)]


def test_looks_that_are_days_apart_are_not_bridged() -> None:
    source = One()
    answers([ask("w1", "a", 0, 60), ask("w2", "a", 86400, 86460)], {"prom": source}, silent)
    assert [window.end - window.start for _, window in source.asked] == [60, 60]


def test_what_is_wrong_with_one_is_no_others_trouble() -> None:
    source = Many(fails_for("b", Fault.QUERY))
    found = answers([ask("w1", "a"), ask("w2", "b"), ask("w3", "c")], {"prom": source}, silent)
    assert isinstance(found["w2", "conversion"], ExternalError)
    assert isinstance(found["w1", "conversion"], Series)
    assert isinstance(found["w3", "conversion"], Series)


@pytest.mark.parametrize("fault", [Fault.CONNECTION, Fault.CIRCUIT_OPEN, Fault.OVER_BUDGET])
def test_a_source_that_is_down_is_asked_once_and_others_all_the_same(fault: Fault) -> None:
    down, up = One(fails_for("a", fault)), One()
    seen: list[tuple[str, str]] = []
    observe: Observer = lambda source, _signal, service, _result: seen.append((source, service))  # noqa: E731
    asks = [ask(f"w{number}", "a", n=number) for number in range(5)]
    other = Ask("w9", "w9", signal("level", source="other", query={"who": "z"}), Window(0, 60, STEP))
    found = answers([*asks, other], {"prom": down, "other": up}, observe)
    assert len(down.asked) == 1
    assert len(up.asked) == 1
    assert [isinstance(answer, ExternalError) for answer in found.values()] == [True] * 5 + [False]
    assert seen == [("prom", "w0"), ("other", "w9")]


def test_of_a_slow_source_no_more_is_asked_than_leases_allow_but_the_first_watch_has_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: passed[0])

    def slow(_signal: Signal) -> None:
        passed[0] += 20.0

    asks = [
        Ask(f"w{number}", f"w{number}", signal(name, query={"who": f"{number} {name}"}), Window(0, 60, STEP))
        for number in range(3)
        for name in ("orders", "errors", "latency")
    ]
    other = Ask("w9", "w9", signal("level", source="other", query={"who": "z"}), Window(0, 60, STEP))
    found = answers([*asks, other], {"prom": One(slow), "other": One()}, silent)
    assert [isinstance(found["w0", name], Series) for name in ("orders", "errors", "latency")] == [True] * 3
    assert all(isinstance(found[f"w{number}", "errors"], NotAskedError) for number in (1, 2))
    assert isinstance(found["w9", "level"], Series)
    assert passed[0] == 60.0


def test_an_error_of_ours_is_kept_for_whom_it_concerns() -> None:
    def fail(signal: Signal) -> None:
        if signal.query["who"] == "b":
            raise ZeroDivisionError

    found = answers([ask("w1", "a", what=None), ask("w2", "b", what=None)], {"prom": One(fail)}, silent)
    assert isinstance(found["w1", "conversion"], Series)
    assert isinstance(found["w2", "conversion"], ZeroDivisionError)


def test_points_are_the_same_however_many_ask() -> None:
    rng = np.random.default_rng(1)
    asks = [
        ask(f"w{number}", "abcdefg"[number % 7], 60.0 * int(start), 60.0 * int(start + length))
        for number, (start, length) in enumerate(rng.integers(1, 400, (60, 2)))
    ]
    found = answers(asks, {"prom": Many()}, silent)
    for each in asks:
        answer = found[each.watch_id, "conversion"]
        assert isinstance(answer, Series)
        assert answer.values.tolist() == told(each.signal, each.window).values.tolist()
