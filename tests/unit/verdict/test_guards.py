"""When another deploy may be the cause as well, and when harm is older than the deploy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.looks import CONVERSION, DEPLOY, MINUTE, ORDERS, P95, alarm, context, findings, nearby, quiet, suspect

from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Cause, Finding
from watcher.verdict import Nearby, decide, telling
from watcher.verdict.guards import veto

NOW = DEPLOY + 20 * MINUTE


def onset(low: float, at: float, high: float) -> dict[str, Any]:
    return {
        "onset_low": DEPLOY + low * MINUTE,
        "onset": DEPLOY + at * MINUTE,
        "onset_high": DEPLOY + high * MINUTE,
    }


UNLOCATED: dict[str, Any] = {"onset": None, "onset_low": None, "onset_high": None}
LATE = onset(9, 11, 13)


ANYBODY = [
    # Nearer to the onset than ours, or less than a bucket farther; ours is 11 minutes from it.
    (LATE, nearby("search", 11), True),
    (LATE, nearby("search", 5), True),
    (LATE, nearby("search", 0), True),
    (LATE, nearby("search", -0.9), True),
    (LATE, nearby("search", -1), False),
    # Up to the end of the last bucket that it may have begun with.
    (LATE, nearby("search", 13.9), True),
    (LATE, nearby("search", 14), False),
    (onset(-1, 1, 3), nearby("search", 2.9), True),
    (onset(-1, 1, 3), nearby("search", 3), False),
    (onset(-3, -1, 3), nearby("search", -1), True),
    # With the first bucket's onset set to our own start.
    (onset(0, 0, 0), nearby("search", 0.99), True),
    (onset(0, 0, 0), nearby("search", -0.99), True),
    (onset(0, 0, 0), nearby("search", 1), False),
    (onset(0, 0, 0), nearby("search", -1), False),
    (onset(0, 0, 0), nearby("search", 0, environment="staging"), False),
    # A rollout that is under way is near, however long ago it began.
    (onset(0, 0, 0), nearby("search", -40, finished_at=DEPLOY + 5 * MINUTE), True),
    (onset(0, 0, 0), nearby("search", -40, finished_at=DEPLOY - 2 * MINUTE), False),
    (onset(0, 0, 0), nearby("search", -40), False),
    (UNLOCATED, nearby("search", 0.9), True),
    (UNLOCATED, nearby("search", -0.9), True),
    (UNLOCATED, nearby("search", 1), False),
]
ITSELF = [
    (LATE, nearby("checkout", 1), True),
    (LATE, nearby("checkout", 13.9), True),
    (LATE, nearby("checkout", 14), False),
    (LATE, nearby("checkout", -5), False),
    (LATE, nearby("checkout", 5, environment="staging"), False),
    # Newer, although ours is at the onset itself; older, although farther from it.
    (onset(-1, 0, 5), nearby("checkout", 4), True),
    (onset(-3, 0, 3), nearby("checkout", -3.5), True),
    (UNLOCATED, nearby("checkout", 1), True),
    (UNLOCATED, nearby("checkout", 21), False),
]
DEPENDED_ON = [
    (onset(-1, 0, 5), nearby("search", 4), True),
    (onset(-3, 0, 3), nearby("search", -3.5), True),
    (onset(-3, 0, 3), nearby("search", -4), False),
    (LATE, nearby("search", 5), True),
    (LATE, nearby("search", 14), False),
    (UNLOCATED, nearby("search", 15), True),
    (UNLOCATED, nearby("search", 21), False),
    (UNLOCATED, nearby("search", -1), False),
]


@pytest.mark.parametrize(
    ("where", "other", "depends_on", "ambiguous"),
    [
        *((where, other, None, ambiguous) for where, other, ambiguous in [*ANYBODY, *ITSELF]),
        *((where, other, (), ambiguous) for where, other, ambiguous in ITSELF),
        *((where, other, (), False) for where, other, _ in [*ANYBODY, *DEPENDED_ON]),
        *((where, other, ("index", "search"), ambiguous) for where, other, ambiguous in DEPENDED_ON),
    ],
)
def test_which_deploys_make_the_cause_ambiguous(
    where: dict[str, Any], other: Nearby, depends_on: tuple[str, ...] | None, ambiguous: bool
) -> None:
    facts = context(nearby=(nearby("search", -90), other), depends_on=depends_on)
    decision = decide(facts, findings(alarm(**where), at=NOW))
    assert (decision.outcome is None) is ambiguous
    assert (decision.score == 0) is ambiguous
    found = veto(facts, CONVERSION, alarm(**where), NOW)
    assert (found.others if found else ()) == ((other,) if ambiguous else ())


def test_our_own_rollout_counts_whole_as_well() -> None:
    """Harm 20 minutes into a rollout of half an hour is as near to it as can be."""
    where, before = onset(19, 20, 21), nearby("search", 18)
    assert veto(context(nearby=(before,)), CONVERSION, alarm(**where), NOW + 10 * MINUTE) is not None
    ours = context(nearby=(before,), finished_at=DEPLOY + 30 * MINUTE)
    assert veto(ours, CONVERSION, alarm(**where), NOW + 10 * MINUTE) is None


def test_what_came_after_the_look_is_not_what_was_seen() -> None:
    where = onset(18, 19, 19.5)
    assert veto(context(nearby=(nearby("checkout", 20.2),)), CONVERSION, alarm(**where), NOW) is None
    assert veto(context(nearby=(nearby("checkout", 20.2),)), CONVERSION, alarm(**where), NOW + MINUTE) is not None


def test_the_likeliest_comes_first_by_scope_then_by_distance() -> None:
    here = (nearby("index", 11), nearby("search", 9.5), nearby("web", 10.5), nearby("checkout", 8))
    ranked = veto(context(nearby=here, depends_on=("search", "web")), CONVERSION, alarm(**LATE), NOW)
    assert ranked is not None
    assert [other.service for other in ranked.others] == ["checkout", "web", "search"]
    anybody = veto(context(nearby=here), CONVERSION, alarm(**LATE), NOW)
    assert anybody is not None
    assert [other.service for other in anybody.others] == ["checkout", "index", "web", "search"]


@pytest.mark.parametrize("depends_on", [None, ("search-3", "search-700"), ()])
def test_a_decision_needs_few_of_a_fleet_that_deploys_at_once(depends_on: tuple[str, ...] | None) -> None:
    fleet = tuple(nearby(f"search-{number}", number / 500, version="9") for number in range(1000))
    found = findings(alarm(**onset(0, 0, 0)), at=NOW)
    whole, given = context(nearby=fleet, depends_on=depends_on), context(depends_on=depends_on)
    few = replace(given, nearby=telling(given, found, fleet))
    assert len(few.nearby) <= 10
    one, other = decide(whole, found), decide(few, found)
    assert (one.outcome, one.reason, one.score) == (other.outcome, other.reason, other.score)
    if depends_on is None:
        assert "search-0 9 was deployed at the same time and at least 499 other deploys fit" in one.sentence
        assert "search-0 9 was deployed at the same time and at least 9 other deploys fit" in other.sentence
    else:
        assert one.sentence == other.sentence


def test_others_that_are_no_rivals_are_not_denied() -> None:
    found = findings(alarm(), quiet("p95"), at=NOW)
    facts = context(CONVERSION, P95)
    assert telling(facts, found, (nearby("search", -80), nearby("index", -70))) == (nearby("search", -80),)
    assert telling(replace(facts, depends_on=()), found, (nearby("search", -80),)) == ()


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        (alarm(), None),
        (alarm(cause=Cause.PRE_EXISTING), Reason.PRE_EXISTING),
        (alarm(cause=Cause.SHARED_WITH_CONTROL), Reason.SHARED_WITH_CONTROL),
        (alarm(**onset(-5, -3, -1.1)), Reason.PRE_EXISTING),
        (alarm(**onset(-5, -3, -1)), None),
        (alarm(**UNLOCATED), None),
    ],
)
def test_harm_that_is_not_this_deploys(finding: Finding, reason: Reason | None) -> None:
    found = veto(context(), CONVERSION, finding, NOW)
    assert (found.reason if found else None) == reason


def test_a_culprit_that_no_guard_holds_back_still_counts_with_its_own_score() -> None:
    other = ORDERS
    facts = context(CONVERSION, other, nearby=(nearby("search", 11),))
    found = (alarm(score=6, **LATE), alarm("orders", score=2.5))
    decision = decide(facts, findings(*found, at=NOW))
    assert (decision.outcome, decision.score, decision.signals) == (Outcome.REGRESSED, 2.5, ("orders",))
    weaker = decide(facts, findings(found[0], alarm("orders", score=1.5), at=NOW))
    assert (weaker.outcome, weaker.reason, weaker.score) == (None, Reason.SUSPECT, 1.5)


def test_what_signals_pay_for_being_several_is_paid_by_the_one_that_remains() -> None:
    """The joint score is 0.3 below that of the best signal; a second one that alone just reaches 2 does not."""
    facts = context(CONVERSION, ORDERS, nearby=(nearby("search", 11),))
    found = (alarm(score=6, **LATE), suspect("orders", score=2.1))
    decision = decide(facts, findings(*found, score=5.7, at=NOW))
    assert decision.outcome is None
    assert decision.score == pytest.approx(1.8)
