"""When another deploy may be the cause as well, and when harm is older than the deploy."""

from __future__ import annotations

from typing import Any

import pytest
from support.looks import CONVERSION, DEPLOY, MINUTE, ORDERS, alarm, context, findings, nearby, suspect

from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Cause, Finding
from watcher.verdict import Nearby, decide
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


@pytest.mark.parametrize(
    ("where", "other", "ambiguous"),
    [
        # Another service's deploy: only when inside the onset's interval and nearer than ours.
        (LATE, nearby("search", 10), True),
        (LATE, nearby("search", 13), True),
        (LATE, nearby("search", 8.9), False),
        (LATE, nearby("search", 13.1), False),
        (LATE, nearby("search", 0), False),
        (onset(-1, 1, 3), nearby("search", 2.5), False),
        (onset(-1, 1, 3), nearby("search", 1.5), True),
        (onset(-3, -1, 3), nearby("search", -1), True),
        (UNLOCATED, nearby("search", 1), False),
        # The same service again: any time before the onset is settled.
        (LATE, nearby("checkout", 1), True),
        (LATE, nearby("checkout", 12.9), True),
        (LATE, nearby("checkout", 13), True),
        (LATE, nearby("checkout", 13.5), False),
        (LATE, nearby("checkout", -5), False),
        (LATE, nearby("checkout", 5, environment="staging"), False),
        (onset(-3, -1, 3), nearby("checkout", -1.5), True),
        (UNLOCATED, nearby("checkout", 1), True),
        (UNLOCATED, nearby("checkout", 21), False),
    ],
)
def test_which_deploys_make_the_cause_ambiguous(where: dict[str, Any], other: Nearby, ambiguous: bool) -> None:
    facts = context(nearby=(nearby("search", -90), other))
    decision = decide(facts, findings(alarm(**where), at=NOW))
    assert (decision.outcome is None) is ambiguous
    assert (decision.score == 0) is ambiguous
    found = veto(facts, CONVERSION, alarm(**where), NOW)
    assert (found.other if found else None) == (other if ambiguous else None)


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
