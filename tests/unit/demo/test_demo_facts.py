from dataclasses import replace
from typing import Any

import pytest

from watcher.demo.facts import Ending, facts

GOOD: dict[str, Any] = {"version": "v2", "outcome": "healthy", "reason": "no_harm", "rollback": None}
BAD: dict[str, Any] = {
    "version": "v3",
    "outcome": "regressed",
    "reason": "level_shift",
    "rollback": {"state": "verified"},
    "recovered": True,
}
END = Ending(good=GOOD, bad=BAD, others=(), calls=({"target_version": "v2"},), target="v2", serving="v2")


def test_a_story_that_went_well_has_only_facts_that_hold() -> None:
    claims = facts(END)
    assert all(fact.holds for fact in claims), claims
    assert "the rollback hook was called once" in [fact.text for fact in claims]


@pytest.mark.parametrize(
    ("end", "failed"),
    [
        (replace(END, good=GOOD | {"outcome": "inconclusive", "reason": "gaps"}), "judged inconclusive (gaps)"),
        (replace(END, good=GOOD | {"outcome": None, "reason": "watching"}), "judged not yet (watching)"),
        (replace(END, good=GOOD | {"rollback": {"state": "planned"}}), "and rolled back"),
        (replace(END, bad=BAD | {"outcome": "healthy", "reason": "no_harm"}), "v3 was judged healthy (no_harm)"),
        (replace(END, bad=BAD | {"rollback": {"state": "accepted"}}), "the rollback is accepted"),
        (replace(END, bad=BAD | {"rollback": None}), "the rollback is missing"),
        (replace(END, bad=BAD | {"recovered": False}), "did not come back"),
        (replace(END, bad=BAD | {"recovered": None}), "not confirmed"),
        (replace(END, calls=[*END.calls, *END.calls]), "called 2 times"),
        (replace(END, calls=({"target_version": "v1"},)), "asked for v1"),
        (replace(END, serving="v3"), "serves v3"),
        (replace(END, others=[{"version": "v1", "outcome": "regressed"}]), "except v1"),
        (replace(END, others=[{"version": "v1", "outcome": None, "rollback": {"state": "planned"}}]), "except v1"),
    ],
)
def test_each_way_to_go_wrong_is_named(end: Ending, failed: str) -> None:
    wrong = [fact.text for fact in facts(end) if not fact.holds]
    assert any(failed in text for text in wrong), wrong


def test_a_rollback_that_was_never_asked_for_fails_several_facts() -> None:
    wrong = [fact.text for fact in facts(replace(END, calls=(), serving="v3")) if not fact.holds]
    assert wrong == ["the rollback hook was called never", "it was asked for nothing", "the shop serves v3"]
