"""docs/reasons.md lists exactly the closed lists of the code, in their order of precedence."""

from __future__ import annotations

import re
from pathlib import Path

import watcher
from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Cause, State
from watcher.model.order import Hold
from watcher.verdict.policy import PRECEDENCE

PAGE = (Path(watcher.__file__).parents[1] / "docs" / "reasons.md").read_text()


def rows(heading: str) -> list[str]:
    """First cells of the tables under a heading of the second level, subheadings included."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    return re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE)


def test_outcomes_worst_first() -> None:
    assert rows("Outcomes") == [outcome.value for outcome in Outcome]


def test_every_reason_and_no_other() -> None:
    assert set(rows("Reasons")) == {reason.value for reason in Reason}


def test_the_order_of_inconclusive_reasons() -> None:
    documented = [reason for reason in dict.fromkeys(rows("Reasons")) if reason in PRECEDENCE]
    assert documented == [reason.value for reason in PRECEDENCE]


def test_every_hold_in_its_order() -> None:
    assert rows("Why a rollback waits for a person") == [hold.value for hold in Hold]


def test_every_state_and_cause() -> None:
    assert rows("States of a signal at one look") == [state.value for state in State]
    causes = PAGE.split("## Causes")[1]
    assert re.findall(r"`(\w+)`", causes) == [cause.value for cause in Cause]
