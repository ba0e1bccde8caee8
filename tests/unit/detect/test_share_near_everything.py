"""A share near everything is judged by what it leaves out, and told as it was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.signals import DEPLOY, calibrated, control, day_curve, plan, series, signal, times, watched

from watcher import detect
from watcher.detect import Calibration
from watcher.engine import advice
from watcher.model.finding import Cause, Finding, Recovery, State
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Signal

_GOOD = signal("good", Kind.RATIO, Harm.DOWN)
_BAD = signal("bad", Kind.RATIO, Harm.UP)
_AT = times()


def _drawn(
    seed: int, times_as_many: float = 4.0, failing: float = 0.001, a_minute: float = 100.0
) -> tuple[Floats, Floats]:
    """Failures and requests a minute; after the deploy so many times as many failures."""
    rng = np.random.default_rng(seed)
    totals = rng.poisson(a_minute * day_curve(_AT)).astype(np.float64)
    share = failing * np.where(_AT > DEPLOY, times_as_many, 1.0)
    return rng.binomial(totals.astype(np.int64), share).astype(np.float64), totals


def _both(seed: int, times_as_many: float = 4.0, failing: float = 0.001) -> dict[str, Series]:
    bad, totals = _drawn(seed, times_as_many, failing)
    return {"good": series(_AT, totals - bad, totals), "bad": series(_AT, bad, totals)}


def _last(of: Signal, data: dict[str, Series]) -> Finding:
    return watched(plan(of), {of.name: data[of.name]}, every=60)[-1].of(of.name)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("times_as_many", [1.0, 4.0, 10.0])
def test_a_loss_of_the_good_is_judged_as_the_rise_of_the_bad_that_it_is(seed: int, times_as_many: float) -> None:
    data = _both(seed, times_as_many)
    good, bad = _last(_GOOD, data), _last(_BAD, data)
    assert (good.score, good.state, good.cause, good.onset) == (bad.score, bad.state, bad.cause, bad.onset)
    assert good.expected is not None
    assert bad.expected is not None
    assert bad.observed is not None
    assert good.expected == pytest.approx(1 - bad.expected)
    assert good.observed == pytest.approx(1 - bad.observed)


def test_four_times_the_failures_of_one_in_a_thousand_are_found() -> None:
    found = [_last(_GOOD, _both(seed)) for seed in range(20)]
    assert sum(each.state is State.ALARM for each in found) >= 17


def test_what_is_told_is_the_share_as_it_was_measured() -> None:
    found = _last(_GOOD, _both(1, 10.0))
    assert found.state is State.ALARM
    assert found.effect is not None
    assert found.effect_low is not None
    assert found.effect_high is not None
    assert found.detectable is not None
    assert -0.012 < found.effect_low < found.effect < found.effect_high < -0.006
    assert found.observed == pytest.approx(0.99, abs=0.002)
    assert 0.001 < found.detectable < 0.01
    assert found.detectable_events is None, "there are no more of the good"


def test_the_least_effect_is_one_of_the_share_as_it_was_measured() -> None:
    data = _both(1, 10.0)  # 0.9 % of the good are lost
    assert _last(replace(_GOOD, min_effect=0.004), data).state is State.ALARM
    spared = _last(replace(_GOOD, min_effect=0.03), data)
    assert (spared.state, spared.cause) == (State.QUIET, Cause.NO_HARM)
    assert spared.note == "a change, and not surely 3 % off what was expected"
    assert spared.detectable is not None
    assert spared.detectable >= 0.03


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("times_as_many", [1.0, 1.5, 10.0])
def test_a_least_effect_that_nobody_has_set_is_the_same_for_both_ways_to_write_a_share(
    seed: int, times_as_many: float
) -> None:
    data = _both(seed, times_as_many, failing=0.02)
    good, bad = (_last(replace(of, min_effect=0.2, default_effect=True), data) for of in (_GOOD, _BAD))
    assert (good.score, good.state, good.cause, good.onset) == (bad.score, bad.state, bad.cause, bad.onset)
    assert good.detectable is not None
    assert bad.detectable is not None
    assert 0.2 <= bad.detectable == pytest.approx(good.detectable * 0.98 / 0.02, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_that_holds_where_the_usual_share_depends_on_the_hour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    totals = rng.poisson(20_000.0, len(_AT)).astype(np.float64)
    ago = (_AT - DEPLOY) % 86400
    failing = np.where((ago < 8 * 3600) | (ago > 20 * 3600), 0.005, 0.05)  # the deploy is where there are few
    bad = rng.binomial(totals.astype(np.int64), failing * np.where(_AT > DEPLOY, 1.2, 1.0)).astype(np.float64)
    usual = [replace(of, min_effect=0.03, default_effect=True) for of in (_GOOD, _BAD)]
    data = {"good": series(_AT, totals - bad, totals), "bad": series(_AT, bad, totals)}
    good, bads = (_last(of, data) for of in usual)
    assert (good.state, bads.state) == (State.ALARM, State.ALARM)
    assert good.score == bads.score


def test_of_a_quotient_without_totals_it_is_the_same() -> None:
    usual = replace(_GOOD, min_effect=0.03, default_effect=True)
    for times_as_many, default, was_set in ((10.0, State.ALARM, State.QUIET), (1.0, State.QUIET, State.QUIET)):
        bad, totals = _drawn(1, times_as_many, a_minute=1000.0)
        data = {"good": series(_AT, 1 - bad / np.maximum(totals, 1))}
        assert _last(usual, data).state is default
        assert _last(replace(usual, default_effect=False), data).state is was_set
        assert calibrated(plan(usual), data).signals["good"].side.odds == pytest.approx(1000, rel=0.2)


@pytest.mark.parametrize("values", [np.full(len(_AT), 1.5), np.full(len(_AT), 0.3), np.full(len(_AT), -0.9)])
def test_other_quotients_are_as_they_are(values: Floats) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(_AT))
    assert calibrated(plan(_GOOD), {"good": series(_AT, values + noise)}).signals["good"].side.odds is None


def test_what_spares_a_change_is_told_in_what_the_share_leaves_out() -> None:
    found = _last(replace(_GOOD, min_effect=5.0, default_effect=True), _both(1, 4.0))
    assert (found.state, found.note) == (State.QUIET, "a change, and not surely by 500 % of what it leaves out")


def test_with_nothing_set_ten_times_the_failures_are_harm() -> None:
    usual = replace(_GOOD, min_effect=0.03, default_effect=True)
    assert _last(usual, _both(1, 10.0)).state is State.ALARM
    assert _last(replace(usual, default_effect=False), _both(1, 10.0)).cause is Cause.NO_HARM


def test_a_few_failures_are_no_harm() -> None:
    rng = np.random.default_rng(5)
    totals = rng.poisson(30, len(_AT)).astype(np.float64)
    good = totals.copy()
    good[-10] -= 2
    found = _last(_GOOD, {"good": series(_AT, good, totals)})
    assert found.state is State.QUIET
    assert found.note in {"", "not 3 events fewer than expected"}


def test_harm_that_was_there_before_is_told_as_a_fall() -> None:
    bad, totals = _drawn(3, 1.0, 0.01)
    bad = np.where(_AT > DEPLOY - 2400, np.random.default_rng(4).binomial(totals.astype(np.int64), 0.05), bad)
    found = _last(_GOOD, {"good": series(_AT, totals - bad, totals)})
    assert found.cause is Cause.PRE_EXISTING
    assert found.effect is None or found.effect < 0


def test_a_rise_of_what_is_nearly_all_is_a_fall_of_the_rest() -> None:
    bots = replace(_GOOD, name="bots", harm=Harm.UP)
    bad, totals = _drawn(1, 0.2, 0.1)
    found = _last(bots, {"bots": series(_AT, totals - bad, totals)})
    assert found.state is State.ALARM
    assert found.effect == pytest.approx(0.8 * 0.1 / 0.9, rel=0.1)


def _regions(seed: int, own: float, other: float, mood: Floats) -> dict[str, Series]:
    """Two regions that share a mood: of how many of them something goes well, by shares of all."""
    rng, data = np.random.default_rng(seed), {}
    for name, share in (("good", own), ("elsewhere", other)):
        totals = rng.poisson(3000, len(_AT)).astype(np.float64)
        data[name] = series(_AT, rng.binomial(totals.astype(np.int64), share * mood).astype(np.float64), totals)
    return data


def _outages(seed: int, own: float, other: float, times_as_many: float) -> dict[str, Series]:
    """The same with what goes wrong in common, of each region to so many."""
    rng, data = np.random.default_rng(seed), {}
    mood = np.exp(0.3 * rng.standard_normal(len(_AT))) * np.where(_AT > DEPLOY, times_as_many, 1.0)
    for name, share in (("good", own), ("elsewhere", other)):
        totals = rng.poisson(3000, len(_AT)).astype(np.float64)
        data[name] = series(_AT, totals - rng.binomial(totals.astype(np.int64), np.minimum(share * mood, 0.9)), totals)
    return data


@pytest.mark.parametrize(("own", "other"), [(0.02, 0.02), (0.02, 0.004), (0.004, 0.02)])
def test_a_common_outage_is_seen_as_one_however_little_of_it_each_has(own: float, other: float) -> None:
    of = plan(_GOOD, control("elsewhere", Kind.RATIO))
    for seed in range(3):
        data = _outages(seed, own, other, 5.0)
        assert watched(of, data, every=60)[-1].of("good").cause is Cause.SHARED_WITH_CONTROL
        assert _last(_GOOD, data).state is State.ALARM, "without the control"


@pytest.mark.parametrize(("own", "other"), [(0.55, 0.45), (0.45, 0.55), (0.55, 0.55)])
def test_a_control_on_the_other_side_of_a_half_is_one(own: float, other: float) -> None:
    rng = np.random.default_rng(1)
    mood = np.minimum(np.exp(0.1 * rng.standard_normal(len(_AT))), 1.6)
    of = plan(_GOOD, control("elsewhere", Kind.RATIO))
    together, alone = np.where(_AT > DEPLOY, 0.8, 1.0), np.where(_AT > DEPLOY, 0.97, 1.0)
    both = _regions(1, own, other, mood * together)
    assert calibrated(of, both).signals["good"].judges[0].control == "elsewhere"
    assert watched(of, both, every=60)[-1].of("good").cause is Cause.SHARED_WITH_CONTROL
    own_fall = {
        "good": _regions(1, own, other, mood * alone)["good"],
        "elsewhere": _regions(1, own, other, mood)["elsewhere"],
    }
    assert watched(of, own_fall, every=60)[-1].of("good").state is State.ALARM


def test_what_was_nearly_nothing_before_the_deploy_is_told_as_a_share() -> None:
    rng = np.random.default_rng(1)
    totals = rng.poisson(100, len(_AT)).astype(np.float64)
    share = np.where((_AT > DEPLOY - 7200) & (_AT <= DEPLOY), 0.0, 0.99)
    data = series(_AT, rng.binomial(totals.astype(np.int64), share).astype(np.float64), totals)
    found = _last(replace(_GOOD, harm=Harm.EITHER), {"good": data})
    assert found.expected is not None
    assert found.effect is not None
    assert 0 < found.expected < 1
    assert found.effect < 100
    band = detect.band(_calibration({"good": data}), "good", data)
    for each in (band.expected, band.low, band.high):
        assert np.nanmin(each) >= 0
        assert np.nanmax(each) <= 1


@pytest.mark.parametrize("counted", [0.98, 1.0, 1.02])
def test_what_is_counted_beyond_the_totals_is_no_share_of_them(counted: float) -> None:
    """Payments of a minute are not those of the minute's orders: nothing is what they leave out."""
    rng = np.random.default_rng(2)
    totals, values = rng.poisson(100, len(_AT)).astype(np.float64), rng.poisson(100 * counted, len(_AT))
    data = {"good": series(_AT, values.astype(np.float64), totals)}
    assert _calibration(data).signals["good"].side.odds is None
    found = _last(_GOOD, data)
    assert found.cause is Cause.NO_HARM
    assert found.detectable == pytest.approx(0.08, rel=0.3)


def test_a_rise_that_nobody_can_ask_for_is_not_missed() -> None:
    rng = np.random.default_rng(1)
    totals = rng.poisson(100, len(_AT)).astype(np.float64)
    data = {"good": series(_AT, rng.binomial(totals.astype(np.int64), 0.98).astype(np.float64), totals)}
    assert _last(replace(_GOOD, harm=Harm.UP, min_effect=0.03), data).cause is Cause.NO_HARM


def _calibration(data: dict[str, Series]) -> Calibration:
    return calibrated(plan(_GOOD), {"good": data["good"]})


def test_the_band_is_about_the_share_as_it_was_measured() -> None:
    data = _both(2, 1.0, 0.05)
    band = detect.band(_calibration(data), "good", data["good"])
    known = np.isfinite(band.expected)
    assert known.mean() > 0.9
    assert np.all(band.low[known] <= band.expected[known])
    assert np.all(band.expected[known] <= band.high[known])
    assert np.all((band.low[known] >= 0) & (band.high[known] <= 1))
    assert band.expected[known].mean() == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("of", [_GOOD, replace(_GOOD, min_effect=0.03, default_effect=True)])
def test_after_a_rollback_the_share_recovers(of: Signal) -> None:
    bad, totals = _drawn(1, 10.0)
    rng, since = np.random.default_rng(8), DEPLOY + 1200
    back = np.where(since < _AT, rng.binomial(totals.astype(np.int64), 0.001), bad)
    for values, wanted in ((back, Recovery.RECOVERED), (bad, Recovery.NOT_YET)):
        data = {"good": series(_AT, np.maximum(totals - values, 0), totals)}
        learned = calibrated(plan(of), _both(1, 10.0))
        assert detect.recovery(learned, data, since, DEPLOY + 3600)["good"] is wanted


def test_a_source_that_repeats_one_value_is_frozen_though_it_leaves_out_nothing() -> None:
    data = _both(3, 1.0)["good"]
    assert data.totals is not None
    stuck = _AT > DEPLOY
    values, totals = np.where(stuck, 97.0, data.values), np.where(stuck, 97.0, data.totals)
    assert _last(_GOOD, {"good": series(_AT, values, totals)}).cause is Cause.FROZEN_DATA


def test_a_half_and_less_is_judged_as_it_is_measured() -> None:
    for failing, odds in (
        (0.6, None),
        (0.2, pytest.approx(4.0, rel=0.05)),
        (0.0, pytest.approx(2 * 100 * 5 * 1440, rel=0.05)),
    ):
        calibration = _calibration(_both(1, 1.0, failing))
        assert calibration.signals["good"].side.odds == odds
        assert Calibration.from_bytes(calibration.to_bytes()).signals["good"].side.odds == odds


def test_quotients_and_other_kinds_are_judged_as_they_are() -> None:
    bad, totals = _drawn(1, 1.0)
    quotients = series(_AT, 1 - bad / totals)
    assert calibrated(plan(_GOOD), {"good": quotients}).signals["good"].side.turned is False
    counts = calibrated(plan(replace(_GOOD, kind=Kind.COUNT)), {"good": series(_AT, totals - bad, totals)})
    assert counts.signals["good"].side.odds is None


def test_a_rehearsal_says_what_the_least_effect_comes_to() -> None:
    learned = detect.learned(_calibration(_both(1, 1.0)), "good")
    assert learned is not None
    assert advice.basis(learned).startswith("as a share of events, by what it leaves out, against ")
