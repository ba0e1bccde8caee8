"""What a rehearsal is made of: intervals, tails, injected harm, and where placebos are put."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.made import service, signal, tickets
from support.made_history import END, STEP, counts, ratio
from support.made_rehearsal import CONVERSION, rehearsal

from watcher import detect
from watcher.detect.noise import Scale
from watcher.engine import advice, injection, placebo, tally
from watcher.engine.proportions import beyond, resolvable, share
from watcher.kit.clock import iso
from watcher.model.decision import Reason
from watcher.model.rehearsal import Extrapolated
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind

HOUR, DAY = 3600.0, 86400.0


def waves() -> Series:
    """Four days with busy and with quiet hours."""
    flat = counts(4, 200.0)
    hour = np.sin(2 * np.pi * flat.times / DAY)
    return replace(flat, values=np.round(flat.values * (1 + 0.5 * hour)))


def leaving_out(odds: float | None) -> detect.Learned:
    return detect.Learned(detect.Baseline.DAY, Scale.SHARE, 7, None, odds)


def step(series: Series, start: float) -> Floats:
    return injection.course("step", series.times, start, HOUR)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 20, 0.0, 0.1684), (2, 10, 0.0252, 0.5561), (10, 10, 0.6915, 1.0), (5, 100, 0.0164, 0.1128)],
)
def test_the_interval_is_clopper_and_pearsons(hits: int, trials: int, low: float, high: float) -> None:
    found = share(hits, trials, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_overlapping_placebos_make_the_interval_no_narrower() -> None:
    assert share(4, 40, 10) == share(4, 40, 10)
    assert share(4, 40, 10).high == pytest.approx(share(1, 10, 10).high)
    assert share(4, 40, 10).high > share(4, 40, 40).high
    assert share(0, 0, 0).value is None


def test_about_three_hundred_windows_resolve_one_in_a_hundred() -> None:
    assert resolvable(299) == pytest.approx(0.01, rel=0.01)
    assert resolvable(0) is None


def test_a_tail_that_keeps_its_word_is_extrapolated_to_it() -> None:
    scores = -np.log10(np.random.default_rng(3).uniform(size=400))
    found = beyond(scores.tolist(), 2.0)
    assert found is not None
    assert found.low < 0.01 < found.high
    assert found.value == pytest.approx(0.01, rel=0.5)


@pytest.mark.parametrize("scores", [[], [0.1] * 40, [0.1, 0.5, 0.9] * 4, [5.0] * 20 + [6.0] * 20])
def test_what_would_be_a_guess_is_not_extrapolated(scores: list[float]) -> None:
    assert beyond(scores, 2.0) is None


def test_a_tail_too_thin_to_name_is_called_less_than_it() -> None:
    tail = Extrapolated(2e-4, 8.5e-7, 0.012)
    text = " ".join(advice.sentences(rehearsal(extrapolated=tail), {}))
    assert "in 0.02 % of deploys (less than 0.01 % to 1.2 %)" in text


def test_a_tail_that_promises_less_than_was_measured_is_not_told() -> None:
    tail = Extrapolated(0.008, 0.001, 0.03)
    some, many = share(1, 20, 20), share(8, 20, 20)
    told, kept = (
        " ".join(advice.sentences(rehearsal(extrapolated=tail, false_calls=each), {})) for each in (some, many)
    )
    assert some.low < tail.value < many.low
    assert "in 0.8 % of deploys" in told
    assert "extrapolated" not in kept
    assert "do not let this service act by itself yet" in kept


def test_what_so_few_placebos_do_not_prove_is_not_put_down_to_a_history_that_holds_enough() -> None:
    few = " ".join(advice.sentences(rehearsal(extrapolated=None, windows=431, resolvable=0.0069), {}))
    short = " ".join(advice.sentences(rehearsal(extrapolated=None), {}))
    assert "all 431 that the history holds would resolve 0.69 %. So 1 % is not proved by so few placebos" in few
    assert "So 1 % is not proved by this history" in short


def test_placebos_that_are_not_healthy_say_why() -> None:
    endings = {
        ("healthy", Reason.NO_HARM): 5,
        ("inconclusive", Reason.SUSPECT): 1,
        ("inconclusive", Reason.TOO_LITTLE_TRAFFIC): 6,
        ("regressed", Reason.SPIKE): 1,
    }
    made = rehearsal(outcomes={"healthy": 5, "regressed": 1, "inconclusive": 7})
    assert advice.sentences(made, endings)[-1] == (
        "They ended healthy in 5, inconclusive in 7 (too little traffic in 6; suspicious, but not certain in 1),"
        " regressed in 1 (a burst of harm after the deploy)."
    )


@pytest.mark.parametrize(
    ("control", "helps"),
    [
        (None, "raise its min_effect, give it a control, or leave it out"),
        ("west", "raise its min_effect, or leave it out"),
    ],
)
def test_what_helps_a_signal_that_is_called_too_often(control: str | None, helps: str) -> None:
    """Another role does not: harm in a supporting signal is harm."""
    often = replace(CONVERSION, false_calls=share(8, 20, 20))
    one = signal("conversion", control=control)
    assert f"conversion is called too often on its own past: {helps}." in advice.for_signal(service(), one, often)


def test_a_least_effect_that_nobody_has_set_is_not_raised_in_another_unit() -> None:
    often = replace(CONVERSION, false_calls=share(8, 20, 20))
    one = signal("uptime", kind=Kind.RATIO, harm=Harm.DOWN, min_effect=0.03, default_effect=True)
    (told,) = (each for each in advice.for_signal(service(), one, often, leaving_out(999.0)) if "too often" in each)
    assert "set its min_effect (0.01 % is a tenth more of what it leaves out), give it a control" in told


def test_what_hardly_ever_happens_needs_no_more_traffic() -> None:
    rare = replace(CONVERSION, detectable=None, tried=8.0)
    one = signal("errors", kind=Kind.COUNT, harm=Harm.UP)
    assert advice.for_signal(service(), one, rare, events=4.3) == (
        "errors hardly ever happens: 5 more in a window would show.",
    )
    assert "too little traffic" in advice.for_signal(service(), one, rare, events=9.0)[0]


def test_days_are_those_of_the_calendar() -> None:
    """Two weeks touch fifteen of them."""
    one = placebo.prepare(
        service(signals=(signal("n", kind=Kind.COUNT),), window=HOUR), {"n": waves()}, END - 0.4 * DAY
    )
    learned = detect.learned(one.calibration, "n")
    assert learned is not None
    assert advice.basis(learned).endswith("against the same minutes of other days (4 calendar days)")


def test_what_a_signal_does_by_itself_is_told_with_its_newest_time() -> None:
    """Five times half of the events are missing for forty minutes: no harm up to that can be told from it."""
    series = counts(7, 200.0)
    begins = END - np.array([6.2, 5.1, 3.7, 2.9, 1.3]) * DAY
    missing = np.any([(series.times > at) & (series.times <= at + 2400) for at in begins], axis=0)
    series = replace(series, values=np.where(missing, np.round(series.values / 2), series.values))
    wanted = signal("n", kind=Kind.COUNT)
    one = placebo.prepare(service(signals=(wanted,), window=HOUR), {"n": series}, END - HOUR)
    learned = detect.learned(one.calibration, "n")
    assert learned is not None
    assert learned.incidents == 5
    assert learned.newest_incident == pytest.approx(begins[-1], abs=1200)
    told = advice.for_signal(service(), wanted, CONVERSION, learned)[-1]
    assert told.startswith(f"n went far off by itself some 5 times, last about {iso(learned.newest_incident or 0.0)}: ")
    assert told.endswith("A control in which they show too would tell them apart.")
    weak = advice.for_signal(service(), wanted, replace(CONVERSION, detectable=0.9), learned)
    assert not any("busier" in each or "window would have to be" in each for each in weak)
    assert "A control" not in advice.for_signal(service(), wanted, CONVERSION, replace(learned, control="west"))[-1]


def test_a_change_of_clocks_that_nobody_has_told_is_told() -> None:
    """Europe's in autumn; the shop opens at eight on its own clocks."""
    changed = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    end = changed + 3 * DAY
    times = np.arange(end - 10 * DAY, end + 1, 60.0)
    hour = (times + np.where(times <= changed, 7200.0, 3600.0) - 60) % DAY / HOUR
    rate = np.where((hour >= 8) & (hour < 20), 100.0, 0.0)
    series = Series(times, np.random.default_rng(1).poisson(rate).astype(np.float64), 60.0, end)
    wanted = signal("n", kind=Kind.COUNT)
    for zone in (None, "Europe/Berlin"):
        of = service(signals=(wanted,), window=HOUR, zone=zone)
        found = detect.learned(placebo.prepare(of, {"n": series}, end - 14 * HOUR).calibration, "n")
        assert found is not None
        told = [each for each in advice.for_signal(of, wanted, CONVERSION, found) if "clocks" in each]
        assert len(told) == (0 if zone else 1)
        assert all(
            "n seem to have moved when clocks were changed at 2026-10-25T01:00:00Z: with the service's" in each
            for each in told
        )


def test_struck_out_events_leave_the_noise_of_fewer_events() -> None:
    series = counts(3, 200.0)
    start = END - 2 * 86400
    harmed = injection.inject(series, Kind.COUNT, -0.4, step(series, start), 7)
    before, after = series.times <= start, series.times > start
    assert np.array_equal(harmed.values[before], series.values[before])
    assert np.mean(harmed.values[after]) == pytest.approx(120, rel=0.02)
    assert np.var(harmed.values[after]) == pytest.approx(120, rel=0.1)
    assert np.array_equal(harmed.values, np.round(harmed.values))


def test_added_events_leave_the_noise_of_more_events_even_where_few_are() -> None:
    series = counts(7, 0.4)
    harmed = injection.inject(series, Kind.COUNT, 1.5, step(series, END - 7 * 86400), 7)
    assert np.mean(harmed.values) == pytest.approx(1.0, rel=0.03)
    assert np.var(harmed.values) == pytest.approx(1.0, rel=0.25)


def test_a_numerator_never_passes_its_total() -> None:
    series = ratio(1, 50.0, 0.6)
    harmed = injection.inject(series, Kind.RATIO, 3.0, step(series, END - 86400), 7)
    assert harmed.totals is not None
    assert np.all(harmed.values <= harmed.totals)


def test_a_fall_ends_at_the_loss_of_everything_whatever_a_rise_needed() -> None:
    """A signal that both ways hurt is asked of both the same size, which may be more than there is."""
    either = signal("p95", kind=Kind.LATENCY, harm=Harm.EITHER)
    series = replace(counts(2, 200.0), values=counts(2, 200.0).values / 100)
    one = placebo.prepare(service(signals=(either,), window=HOUR), {"p95": series}, END - HOUR)
    rise, fall = (tally.harmed(one, either, turn, 1.5, "step")["p95"] for turn in (1, 0))
    after = rise.times > END - HOUR
    assert np.array_equal(rise.values[after], 2.5 * one.known["p95"].values[after])
    assert not fall.values[after].any()
    assert np.array_equal(fall.values[~after], one.known["p95"].values[~after])


def test_what_spares_many_times_the_failures_is_told() -> None:
    uptime = signal("uptime", kind=Kind.RATIO, harm=Harm.DOWN, min_effect=0.03)
    told = advice.for_signal(service(), uptime, CONVERSION, leaving_out(999.0))[-1]
    assert told == (
        "uptime leaves out 0.1 %: its min_effect of 3 % is 30 times as many of those more, and what is less is no harm."
        " With 0.05 % half as many more would be."
    )
    (rare,) = advice.for_signal(service(), uptime, CONVERSION, leaving_out(2e6))
    assert rare == "uptime leaves out next to nothing, and a loss below its min_effect is no harm: set 0.01 %."
    for odds, changed in (
        (9.0, uptime),
        (None, uptime),
        (999.0, replace(uptime, harm=Harm.UP)),
        (999.0, replace(uptime, default_effect=True)),
    ):
        told_not = advice.for_signal(service(), changed, CONVERSION, leaving_out(odds))
        assert not any("leaves out" in each for each in told_not)


@pytest.mark.parametrize("shape", injection.SHAPES)
def test_harm_is_put_where_it_is_judged(shape: str) -> None:
    """A spike in a warm-up would be reported as one that cannot be found."""
    policy = service(signals=(signal("orders", kind=Kind.COUNT),), window=HOUR, warm_up=HOUR / 2)
    one = placebo.prepare(policy, {"orders": counts(2, 200.0)}, END - HOUR)
    harmed, known = tally.harmed(one, policy.signals[0], 0, 0.9, shape)["orders"], one.known["orders"]
    touched = known.times[harmed.values != known.values]
    assert len(touched) >= 2
    assert touched.min() > END - HOUR / 2


def test_the_most_that_was_tried_is_that_of_both_directions() -> None:
    either = signal("orders", kind=Kind.COUNT, harm=Harm.EITHER)
    policy = service(signals=(either,), window=HOUR)
    one = placebo.prepare(policy, {"orders": counts(2, 200.0)}, END - HOUR)
    unseen = [tally.Harmed(turn, one, {"step": np.inf}, seen=False, vetoed=False) for turn in (1, 0)]
    (step_,) = tally.conclude(policy, tally.Tally(either, judged=2, harmed=unseen)).shapes
    assert (step_.detectable, step_.tried) == (None, 10.0)


def test_anything_else_is_scaled_and_gaps_stay_gaps() -> None:
    series = Series(END + STEP * np.arange(4, dtype=np.float64), np.array([1.5, np.nan, -2.0, 4.0]), STEP, END)
    harmed = injection.inject(series, Kind.GAUGE, 0.5, step(series, END), 7)
    assert np.array_equal(harmed.values, [1.5, np.nan, -3.0, 6.0], equal_nan=True)


@pytest.mark.parametrize("shape", injection.SHAPES)
def test_no_shape_of_harm_begins_before_its_time_or_passes_its_size(shape: str) -> None:
    times: Floats = END + STEP * np.arange(-30, 61, dtype=np.float64)
    part = injection.course(shape, times, END, HOUR)
    assert not part[times <= END].any()
    assert part.max() == 1.0
    assert part.min() == 0.0
    assert np.all(part <= injection.course("step", times, END, HOUR))


def test_shapes_of_harm_are_what_they_are_called() -> None:
    minutes = np.arange(1, 61)
    times: Floats = END + STEP * minutes.astype(np.float64)
    ramp, late, spike = (injection.course(shape, times, END, HOUR) for shape in ("ramp", "late", "spike"))
    assert ramp[[0, 14, 29, 59]] == pytest.approx([1 / 30, 0.5, 1.0, 1.0])
    assert list(minutes[late > 0]) == list(range(21, 61))
    assert list(minutes[spike > 0]) == [16, 17, 18]


def test_a_ramp_strikes_out_the_more_the_later() -> None:
    series = counts(1, 500.0)
    start = END - HOUR
    harmed = injection.inject(series, Kind.COUNT, -0.6, injection.course("ramp", series.times, start, HOUR), 7)
    left = harmed.values[series.times > start] / series.values[series.times > start]
    assert left[:5].mean() > 0.9
    assert left[30:].mean() == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("least", [0, 3])
@pytest.mark.parametrize("near", [0, 5, 26, 40])
def test_the_smallest_harm_is_found_wherever_the_search_begins(least: int, near: int) -> None:
    for answer in range(least, 28):
        asked: list[int] = []

        def called(place: int, answer: int = answer, asked: list[int] = asked) -> bool:
            asked.append(place)
            return place >= answer

        assert tally.first(called, 27, least, near) == answer
        assert len(asked) == len(set(asked)) <= 12
    assert tally.first(lambda place: place >= 9, 27, 0, 9) == 9


def test_a_search_that_begins_where_it_ends_asks_little() -> None:
    asked: list[int] = []

    def called(place: int) -> bool:
        asked.append(place)
        return place >= 9

    assert tally.first(called, 27, 0, 9) == 9
    assert asked == [9, 7, 8]


def test_sizes_of_harm_end_at_the_loss_of_everything() -> None:
    assert injection.sizes(-1.0)[-1] == 1.0
    assert injection.sizes(1.0)[-1] == 10.0
    assert list(injection.sizes(1.0)) == sorted(injection.sizes(1.0))
    near_everything = injection.sizes(-1.0, odds=999.0)
    assert list(near_everything) == sorted(near_everything)
    assert near_everything[0] == pytest.approx(1e-5, rel=0.25)
    assert near_everything[-len(injection.sizes(-1.0)) :] == injection.sizes(-1.0)
    directions = {injection.direction(signal(harm=Harm.EITHER), turn) for turn in range(2)}
    assert directions == {1.0, -1.0}


def test_placebos_lie_in_the_newer_half_and_never_overlap() -> None:
    policy = service(window=HOUR)
    found = placebo.starts(policy, END - 14 * 86400, END, [])
    assert len(found) == len(set(found)) == 7 * 24
    assert min(found) >= END - 7 * 86400
    assert max(found) + HOUR <= END
    assert np.all(np.diff(sorted(found)) >= HOUR)


def test_the_first_placebos_are_spread_over_days_and_hours() -> None:
    first = placebo.starts(service(window=HOUR), END - 14 * 86400, END, [])[:20]
    assert set(Counter(at // 86400 for at in first).values()) <= {1, 2, 3, 4}
    assert len({int(at % 86400 // (4 * HOUR)) for at in first}) == 6


def test_no_placebo_touches_an_incident() -> None:
    incident = (END - 2.5 * HOUR, END - 2.2 * HOUR)
    found = placebo.starts(service(window=HOUR), END - 86400, END, [incident])
    assert END - 3 * HOUR not in found
    assert {END - 2 * HOUR, END - 4 * HOUR} <= set(found)


def test_a_window_of_tickets_must_end_within_the_history() -> None:
    policy = service(window=HOUR, ticket_window=4 * HOUR, signals=(signal(), tickets()))
    assert max(placebo.starts(policy, END - 2 * 86400, END, [])) + 4 * HOUR <= END
    assert placebo.starts(policy, END - HOUR, END, []) == ()
