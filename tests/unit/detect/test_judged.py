"""Looks that see the same points again say the same, and judge nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.signals import DEPLOY, calibrated, control, orders, plan, series, signal, times

from watcher import detect
from watcher.detect import judged as judged_before
from watcher.detect.judging import Seen
from watcher.detect.opinion import Opinion, Subject, form
from watcher.model.finding import Cause, Findings, State
from watcher.model.series import Series
from watcher.model.service import Harm, Kind
from watcher.model.watch import WatchPlan

_LOOKS = 20


def _spiked(seed: int) -> Series:
    data = orders(seed, looks=_LOOKS)
    values = np.where(np.abs(data.times - DEPLOY - 480) < 1, data.values * 5, data.values)
    return series(data.times, values)


def _with_gap(seed: int) -> Series:
    data = orders(seed, looks=_LOOKS)
    keep = (data.times <= DEPLOY + 300) | (data.times > DEPLOY + 600)
    return series(data.times[keep], data.values[keep])


def _ratio(seed: int) -> Series:
    rng, at = np.random.default_rng(seed), times(looks=_LOOKS)
    totals = rng.poisson(300, len(at)).astype(np.float64)
    good = rng.binomial(totals.astype(int), np.where(at > DEPLOY, 0.05, 0.1)).astype(np.float64)
    return series(at, good, totals)


def _moved_together(seed: int) -> dict[str, Series]:
    rng, at = np.random.default_rng(seed), times(looks=_LOOKS)
    both = 300 * np.exp(0.2 * rng.standard_normal(len(at))) * np.where(at > DEPLOY, 0.5, 1.0)
    return {name: series(at, rng.poisson(both).astype(np.float64)) for name in ("orders", "others")}


_UP = signal(harm=Harm.UP)
_CASES: dict[str, tuple[WatchPlan, dict[str, Series]]] = {
    "quiet": (plan(signal(), looks=_LOOKS), {"orders": orders(1, looks=_LOOKS)}),
    "harm": (plan(signal(), looks=_LOOKS), {"orders": orders(2, -0.5, looks=_LOOKS)}),
    "spike": (plan(_UP, looks=_LOOKS), {"orders": _spiked(3)}),
    "before": (plan(signal(), looks=_LOOKS), {"orders": orders(4, -0.5, looks=_LOOKS, since=DEPLOY - 3600)}),
    "gap": (plan(signal(), looks=_LOOKS), {"orders": _with_gap(5)}),
    "ratio": (plan(signal(kind=Kind.RATIO), looks=_LOOKS), {"orders": _ratio(6)}),
    "two": (
        plan(signal(), signal("errors", harm=Harm.UP), looks=_LOOKS),
        {"orders": orders(7, -0.3, looks=_LOOKS), "errors": orders(8, looks=_LOOKS)},
    ),
    "shared": (
        plan(signal(), control("others"), looks=_LOOKS),
        _moved_together(9),
    ),
}


def _looks(of: WatchPlan, data: dict[str, Series], judged: detect.Judged | None, late: float = 0.0) -> list[Findings]:
    """Three looks a bucket; `late`: how much later than the first signal's the others' points come, seconds."""
    calibration = calibrated(of, data)
    out: list[Findings] = []
    for at in (DEPLOY + 20.0 * np.arange(1, 3 * _LOOKS + 6)).tolist():
        recent = {
            name: each.between(calibration.recent_from, at - (late if number else 0.0))
            for number, (name, each) in enumerate(data.items())
        }
        out.append(detect.look(calibration, recent, at, out[-1] if out else None, judged))
    return out


@pytest.mark.parametrize("name", _CASES)
@pytest.mark.parametrize("late", [0.0, 130.0])
def test_points_that_are_seen_again_give_the_same_finding(name: str, late: float) -> None:
    of, data = _CASES[name]
    assert _looks(of, data, detect.Judged(), late) == _looks(of, data, None, late)


def test_the_cases_show_what_they_are_there_for() -> None:
    last = {name: _looks(of, data, None)[-1].of("orders") for name, (of, data) in _CASES.items()}
    assert {name for name, finding in last.items() if finding.state is State.ALARM} >= {"harm", "spike", "ratio", "two"}
    assert last["before"].cause is Cause.PRE_EXISTING
    assert last["shared"].state is not State.ALARM
    assert calibrated(*_CASES["shared"]).signals["orders"].judges[0].control == "others"


def test_points_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of, data = _CASES["quiet"]
    judged = list[int]()

    def counted(subject: Subject, seen: Seen) -> Opinion:
        judged.append(len(seen.grid))
        return form(subject, seen)

    monkeypatch.setattr(judged_before, "form", counted)
    _looks(of, data, detect.Judged())
    assert judged == list(range(1, _LOOKS + 1))


def test_what_a_first_idea_found_out_a_look_does_not_judge_again(monkeypatch: pytest.MonkeyPatch) -> None:
    of, data = _CASES["two"]
    calibration, at = calibrated(of, data), DEPLOY + 600
    alone = detect.look(calibration, data, at, None)
    names = list[str]()

    def counted(subject: Subject, seen: Seen) -> Opinion:
        names.append(subject.signal.name)
        return form(subject, seen)

    monkeypatch.setattr(judged_before, "form", counted)
    judged = detect.Judged()
    assert detect.highest(calibration, data, at, judged) >= alone.score > 2
    assert detect.look(calibration, data, at, None, judged) == alone
    assert names == ["orders", "errors"]


def test_a_new_calibration_judges_anew() -> None:
    of, data = _CASES["harm"]
    judged, at = detect.Judged(), DEPLOY + 1200
    first = detect.look(calibrated(of, data), data, at, None, judged)
    few = {"orders": data["orders"].between(DEPLOY - 7200, math.inf)}
    again = calibrated(of, few)
    assert detect.look(again, few, at, None, judged) == detect.look(again, few, at, None) != first
