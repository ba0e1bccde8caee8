"""Every rule of the policy, as data: findings in, decision out."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.looks import (
    CONVERSION,
    DEPLOY,
    END,
    MINUTE,
    ORDERS,
    P95,
    TICKETS,
    alarm,
    context,
    findings,
    nearby,
    quiet,
    signal,
    suspect,
    unmeasurable,
)

from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Cause, Finding, State
from watcher.model.service import Role
from watcher.verdict import Context, assess, decide, standing
from watcher.verdict.policy import PRECEDENCE, allowance

LAST = {"last_look": True, "last_ticket_look": True}
CONTROLLED = signal(control="other_region")
CONTROL = signal("other_region", role=Role.CONTROL)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("score", "probability", "regressed"),
    [(2.0, 0.01, True), (1.999, 0.01, False), (1.4, 0.05, True), (2.5, 0.001, False), (12.0, 1e-12, True)],
)
def test_harm_is_called_exactly_from_the_threshold_on(
    score: float, probability: float, regressed: bool, last: bool
) -> None:
    facts = context(false_rollback_probability=probability, last_look=last)
    decision = decide(facts, findings(alarm(score=score)))
    assert (decision.outcome is Outcome.REGRESSED) is regressed
    assert decision.score == score
    assert regressed or decision.reason is Reason.SUSPECT


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (alarm(), Reason.LEVEL_SHIFT),
        (alarm(cause=Cause.SPIKE), Reason.SPIKE),
        (alarm("tickets"), Reason.TICKET_SURGE),
        (alarm("tickets", cause=Cause.SPIKE), Reason.TICKET_SURGE),
    ],
)
def test_the_kind_of_harm(harm: Finding, reason: Reason) -> None:
    decision = decide(context(CONVERSION, TICKETS), findings(quiet(), harm, at=DEPLOY + 600))
    if harm.name == "conversion":
        decision = decide(context(CONVERSION, TICKETS), findings(harm, quiet("tickets"), at=DEPLOY + 600))
    assert (decision.outcome, decision.reason, decision.signals) == (Outcome.REGRESSED, reason, (harm.name,))
    assert decision.at == DEPLOY + 600


def test_the_clearest_culprit_names_the_reason_and_a_metric_goes_before_tickets() -> None:
    both = context(TICKETS, CONVERSION)
    assert decide(both, findings(alarm("tickets", score=5), alarm(score=3))).signals == ("tickets", "conversion")
    even = decide(both, findings(alarm("tickets", score=3), alarm(score=3)))
    assert (even.reason, even.signals) == (Reason.LEVEL_SHIFT, ("conversion", "tickets"))


def test_signals_that_are_only_suspect_together_may_reach_the_threshold() -> None:
    decision = decide(context(CONVERSION, P95), findings(suspect(), suspect("p95"), score=2.4))
    assert (decision.outcome, decision.signals) == (Outcome.REGRESSED, ("conversion", "p95"))


def test_harm_that_has_gone_does_not_count_again() -> None:
    """The score never falls, so after a forbidden look it stays high while nothing is harmed any more."""
    decision = decide(context(**LAST), findings(quiet(score=4.0)))
    assert (decision.outcome, decision.score) == (Outcome.HEALTHY, 0.0)


@pytest.mark.parametrize(
    ("finding", "facts", "reason"),
    [
        (alarm(cause=Cause.PRE_EXISTING, score=0), {}, Reason.PRE_EXISTING),
        (alarm(cause=Cause.PRE_EXISTING, state=State.QUIET, score=0), {}, Reason.PRE_EXISTING),
        (alarm(onset_high=DEPLOY - 2 * MINUTE), {}, Reason.PRE_EXISTING),
        (alarm(cause=Cause.SHARED_WITH_CONTROL, score=0), {}, Reason.SHARED_WITH_CONTROL),
        (alarm(), {"nearby": (nearby("search", 2),)}, Reason.AMBIGUOUS_DEPLOYS),
        (suspect(), {"nearby": (nearby("search", 2),)}, Reason.SUSPECT),
        (suspect(), {}, Reason.SUSPECT),
        (unmeasurable(cause=Cause.NO_DATA), {}, Reason.NO_DATA),
        (unmeasurable(cause=Cause.NO_HARM), {}, Reason.NO_DATA),
        (unmeasurable(cause=Cause.STALE_DATA), {}, Reason.NO_DATA),
        (unmeasurable(cause=Cause.STALE_DATA, points=9, complete_until=DEPLOY + 9 * MINUTE), {}, Reason.STALE_DATA),
        (unmeasurable(cause=Cause.GAPS), {}, Reason.GAPS),
        (unmeasurable(cause=Cause.FROZEN_DATA), {}, Reason.FROZEN_DATA),
        (unmeasurable(cause=Cause.BAD_VALUES), {}, Reason.BAD_VALUES),
        (unmeasurable(cause=Cause.TOO_LITTLE_HISTORY), {}, Reason.TOO_LITTLE_HISTORY),
        (unmeasurable(cause=Cause.TOO_LITTLE_TRAFFIC), {}, Reason.TOO_LITTLE_TRAFFIC),
        (unmeasurable(cause=Cause.STALE_DATA), {"failed_sources": {"conversion": "timed out"}}, Reason.SOURCE_FAILED),
        (
            unmeasurable(cause=Cause.FROZEN_DATA),
            {"failed_sources": {"conversion": "timed out"}},
            Reason.FROZEN_DATA,
        ),
        (quiet(complete_until=None), {}, Reason.NO_DATA),
        (quiet(complete_until=END - 4 * MINUTE), {}, Reason.STALE_DATA),
        (quiet(complete_until=END - 4 * MINUTE), {"failed_sources": {"conversion": "x"}}, Reason.SOURCE_FAILED),
        (quiet(missing=4), {}, Reason.GAPS),
        (quiet(detectable=None), {}, Reason.TOO_LITTLE_TRAFFIC),
        (quiet(detectable=0.301), {}, Reason.TOO_LITTLE_TRAFFIC),
        (quiet(detectable=0.301, detectable_events=5.1), {}, Reason.TOO_LITTLE_TRAFFIC),
    ],
)
def test_every_way_to_end_inconclusive(finding: Finding, facts: dict[str, Any], reason: Reason) -> None:
    at_the_end = decide(context(CONTROLLED, CONTROL, **LAST, **facts), findings(finding))
    assert (at_the_end.outcome, at_the_end.reason) == (Outcome.INCONCLUSIVE, reason)
    assert at_the_end.signals == ("conversion",)
    before = decide(context(CONTROLLED, CONTROL, **facts), findings(finding, at=DEPLOY + 600))
    assert before.outcome is None
    assert before.reason in {Reason.WATCHING, Reason.SUSPECT}
    if reason not in {Reason.SUSPECT, *PRECEDENCE[4:]}:
        assert at_the_end.score == 0, "a guard takes the score away"


@pytest.mark.parametrize(
    "finding",
    [
        quiet(),
        quiet(complete_until=END - 3.9 * MINUTE),
        quiet(missing=3),
        quiet(detectable=0.3),
        quiet(detectable=0.3, detectable_events=100.0),
        quiet(detectable=900.0, detectable_events=4.9),
        quiet(effect=0.2),
        quiet(score=0.9),
    ],
)
def test_healthy(finding: Finding) -> None:
    decision = decide(context(failed_sources={"conversion": "late failure"}, **LAST), findings(finding))
    assert (decision.outcome, decision.reason) == (Outcome.HEALTHY, Reason.NO_HARM)
    assert decision.signals == ("conversion",)


@pytest.mark.parametrize(
    ("length", "step", "most"), [(60, 1, 3), (10, 1, 2), (5, 1, 1), (3, 1, 0), (60, 5, 2), (600, 1, 30)]
)
def test_a_few_missing_points_are_allowed_in_proportion(length: int, step: int, most: int) -> None:
    watched = signal(step=step * MINUTE)
    facts = context(watched, until=DEPLOY + length * MINUTE, ticket_until=DEPLOY + length * MINUTE)
    assert allowance(facts, watched) == most


def test_points_of_the_warm_up_are_not_counted_among_those_that_may_be_missing() -> None:
    watched = signal(step=MINUTE)
    until = {"until": DEPLOY + 10 * MINUTE, "ticket_until": DEPLOY + 10 * MINUTE}
    assert allowance(context(watched, warm_up=5 * MINUTE, **until), watched) == 1


class TestSupporting:
    def test_one_that_cannot_be_measured_never_blocks_healthy_but_is_mentioned(self) -> None:
        decision = decide(context(CONVERSION, TICKETS, **LAST), findings(quiet(), unmeasurable("tickets")))
        assert decision.outcome is Outcome.HEALTHY
        assert decision.signals == ("conversion",)
        assert "tickets (no data)" in decision.sentence

    def test_one_that_is_suspect_does_block(self) -> None:
        decision = decide(context(CONVERSION, TICKETS, **LAST), findings(quiet(), suspect("tickets")))
        assert (decision.outcome, decision.reason) == (Outcome.INCONCLUSIVE, Reason.SUSPECT)

    def test_when_no_signal_is_required_one_must_still_have_been_seen(self) -> None:
        assert decide(context(TICKETS, **LAST), findings(quiet("tickets"))).outcome is Outcome.HEALTHY
        blind = decide(context(TICKETS, **LAST), findings(unmeasurable("tickets", Cause.FROZEN_DATA)))
        assert (blind.outcome, blind.reason) == (Outcome.INCONCLUSIVE, Reason.FROZEN_DATA)


class TestTicketWindow:
    facts = context(CONVERSION, dataclasses.replace(TICKETS, role=Role.REQUIRED), ticket_until=END + 120 * MINUTE)

    def test_the_metric_window_ends_without_waiting_for_tickets(self) -> None:
        decision = decide(dataclasses.replace(self.facts, last_look=True), findings(quiet(), quiet("tickets")))
        assert decision.outcome is Outcome.HEALTHY

    def test_between_the_two_ends_nothing_is_decided_but_harm(self) -> None:
        later = END + 30 * MINUTE
        assert decide(self.facts, findings(quiet(), quiet("tickets"), at=later)).outcome is None
        surge = decide(self.facts, findings(quiet(), alarm("tickets"), at=later))
        assert (surge.outcome, surge.reason) == (Outcome.REGRESSED, Reason.TICKET_SURGE)

    @pytest.mark.parametrize(
        ("complete", "outcome"), [(END + 120 * MINUTE, Outcome.HEALTHY), (END, Outcome.INCONCLUSIVE)]
    )
    def test_the_last_ticket_look_decides_again_with_tickets_complete(self, complete: float, outcome: Outcome) -> None:
        facts = dataclasses.replace(self.facts, last_ticket_look=True)
        decision = decide(facts, findings(quiet(), quiet("tickets", complete_until=complete), at=END + 120 * MINUTE))
        assert decision.outcome is outcome


def test_the_most_telling_reason_is_given() -> None:
    names = [f"signal{index}" for index in range(len(PRECEDENCE))]
    signals = tuple(signal(name, control="other") for name in names)
    found = [
        alarm(names[0], onset=DEPLOY + 120, score=4),
        alarm(names[1], cause=Cause.PRE_EXISTING, score=0),
        alarm(names[2], cause=Cause.SHARED_WITH_CONTROL, score=0),
        suspect(names[3], onset=DEPLOY + 10 * 60, onset_low=DEPLOY + 9 * 60, onset_high=DEPLOY + 11 * 60),
        unmeasurable(names[4]),
        unmeasurable(names[5]),
        unmeasurable(names[6], Cause.BAD_VALUES),
        unmeasurable(names[7], Cause.FROZEN_DATA),
        unmeasurable(names[8], Cause.STALE_DATA, complete_until=DEPLOY),
        unmeasurable(names[9], Cause.GAPS),
        unmeasurable(names[10], Cause.TOO_LITTLE_HISTORY),
        quiet(names[11], detectable=2),
    ]
    facts = context(*signals, nearby=(nearby("search", 2),), failed_sources={names[4]: "x"}, **LAST)
    for index, reason in enumerate(PRECEDENCE):
        decision = decide(
            dataclasses.replace(facts, signals=signals[index:]),
            findings(*found[index:], score=4 if index == 0 else None),
        )
        assert (decision.outcome, decision.reason) == (Outcome.INCONCLUSIVE, reason)
        assert decision.signals == (names[index],)


def test_a_required_signal_goes_before_a_supporting_one_of_the_same_reason() -> None:
    facts = context(TICKETS, CONVERSION, **LAST)
    decision = decide(facts, findings(suspect("tickets", score=1.9), suspect()))
    assert decision.sentence.startswith("conversion fell")


def test_a_signal_that_the_findings_left_out_has_no_data() -> None:
    decision = decide(context(CONVERSION, P95, **LAST), findings(quiet()))
    assert (decision.outcome, decision.reason, decision.signals) == (Outcome.INCONCLUSIVE, Reason.NO_DATA, ("p95",))


def test_nothing_to_watch_is_never_healthy() -> None:
    decision = decide(context(CONTROL, **LAST), findings())
    assert (decision.outcome, decision.reason) == (Outcome.INCONCLUSIVE, Reason.NO_DATA)


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        ([], Outcome.INCONCLUSIVE),
        ([Outcome.HEALTHY], Outcome.HEALTHY),
        ([Outcome.HEALTHY, Outcome.INCONCLUSIVE], Outcome.INCONCLUSIVE),
        ([Outcome.INCONCLUSIVE, Outcome.ERROR, Outcome.HEALTHY], Outcome.ERROR),
        ([Outcome.ERROR, Outcome.REGRESSED], Outcome.REGRESSED),
    ],
)
def test_standing_is_the_worst(outcomes: list[Outcome], worst: Outcome) -> None:
    assert standing(outcomes) is worst
    assert standing(reversed(outcomes)) is worst


def test_every_cause_has_a_reason_of_its_name() -> None:
    assert {cause.value for cause in Cause} <= {reason.value for reason in Reason}


_number = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)
_time = st.none() | st.floats(min_value=DEPLOY - 7200, max_value=END + 7200)
_finding = st.builds(
    Finding,
    name=st.sampled_from(["conversion", "p95", "orders", "tickets"]),
    state=st.sampled_from(State),
    cause=st.sampled_from(Cause),
    score=st.floats(min_value=0, max_value=12),
    effect=_number,
    effect_low=_number,
    effect_high=_number,
    onset=_time,
    onset_low=_time,
    onset_high=_time,
    expected=_number,
    observed=_number,
    detectable=st.none() | st.floats(min_value=0, max_value=1e6),
    points=st.integers(0, 60),
    missing=st.integers(0, 60),
    complete_until=_time,
)
_facts = st.builds(
    lambda other, last, ticket, failed: context(
        CONVERSION, P95, ORDERS, TICKETS, nearby=other, last_look=last, last_ticket_look=ticket, failed_sources=failed
    ),
    st.sampled_from([(), (nearby("search", 2),), (nearby("checkout", 5), nearby("search", -3))]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([{}, {"p95": "timed out"}]),
)


@given(_facts, st.lists(_finding, max_size=4, unique_by=lambda finding: finding.name), st.floats(0, 12))
def test_whatever_is_found_the_decision_is_sound_and_readable(
    facts: Context, found: list[Finding], score: float
) -> None:
    decision = decide(facts, findings(*found, score=score))
    assert (decision.outcome is Outcome.REGRESSED) == (decision.score >= facts.threshold)
    assert (decision.outcome is None) == (not facts.final and decision.outcome is not Outcome.REGRESSED)
    assert 0 <= decision.score <= score
    assert math.isfinite(decision.score)
    assert set(decision.signals) <= {"conversion", "p95", "orders", "tickets"}
    assert decision.sentence
    for word in ("nan", "inf ", "None", "p-value", "  ", "{", "_data"):
        assert word not in decision.sentence
    if decision.outcome is Outcome.HEALTHY:
        assert not any(each.harmed for each in assess(facts, findings(*found, score=score)))
