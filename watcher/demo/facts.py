"""What must be true at the end of the demo, as plain facts; pure, so that every way to fail is one row of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Watch = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One claim, and whether it holds. `text` is worded for both: what was wanted, and what was found."""

    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that the demo has seen.

    Attributes:
        good, bad: the two watches, as the API shows them.
        others: every other watch that the API knows.
        calls: bodies of the rollback calls that reached the pipeline.
        target: the version to which the shop should go back.
        serving: the version that the shop serves at the end.
    """

    good: Watch
    bad: Watch
    others: Sequence[Watch]
    calls: Sequence[Mapping[str, Any]]
    target: str
    serving: str


def facts(end: Ending) -> tuple[Fact, ...]:
    """Each claim in the order of the story."""
    good, bad = end.good, end.bad
    rollback = bad.get("rollback") or {}
    targets = [call.get("target_version") for call in end.calls]
    return (
        Fact(good.get("outcome") == "healthy", f"the good deploy {good.get('version')} was judged {_outcome(good)}"),
        Fact(not good.get("rollback"), f"and {'rolled back' if good.get('rollback') else 'left alone'}"),
        Fact(bad.get("outcome") == "regressed", f"the bad deploy {bad.get('version')} was judged {_outcome(bad)}"),
        Fact(len(end.calls) == 1, f"the rollback hook was called {_times(len(end.calls))}"),
        Fact(targets == [end.target], f"it was asked for {', '.join(map(str, targets)) or 'nothing'}"),
        Fact(end.serving == end.target, f"the shop serves {end.serving}"),
        Fact(rollback.get("state") == "verified", f"the rollback is {rollback.get('state', 'missing')}"),
        Fact(bad.get("recovered") is True, _recovery(bad.get("recovered"))),
        Fact(*_nothing_else(end.others)),
    )


def _outcome(watch: Watch) -> str:
    return f"{watch.get('outcome') or 'not yet'} ({watch.get('reason')})"


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def _recovery(recovered: object) -> str:
    if recovered is None:
        return "the recovery was not confirmed"
    return "the recovery was confirmed" if recovered else "the users did not come back"


def _nothing_else(others: Sequence[Watch]) -> tuple[bool, str]:
    wrong = [
        str(watch.get("version")) for watch in others if watch.get("rollback") or watch.get("outcome") == "regressed"
    ]
    return not wrong, f"nothing else was touched{': except ' + ', '.join(wrong) if wrong else ''}"
