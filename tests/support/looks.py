"""One look at one watch, built from what a test cares about: a deploy at minute 0 of a one-hour window."""

from __future__ import annotations

from typing import Any

from watcher.model.finding import Cause, Finding, Findings, State
from watcher.model.service import Harm, Kind, Role, Signal
from watcher.verdict import Context, Nearby

DEPLOY = 1_700_000_000.0
MINUTE = 60.0
END = DEPLOY + 60 * MINUTE


def signal(name: str = "conversion", **fields: Any) -> Signal:
    defaults: dict[str, Any] = {"kind": Kind.RATIO, "harm": Harm.DOWN, "source": "prom", "step": MINUTE}
    return Signal(name=name, **(defaults | fields))


CONVERSION = signal()
P95 = signal("p95", kind=Kind.LATENCY, harm=Harm.UP)
ORDERS = signal("orders", kind=Kind.COUNT)
ERRORS = signal("errors", kind=Kind.COUNT, harm=Harm.UP)
TICKETS = signal(
    "tickets",
    kind=Kind.COUNT,
    harm=Harm.UP,
    source="helpdesk",
    step=300.0,
    is_tickets=True,
    role=Role.SUPPORTING,
    must_see=2.0,
)


def quiet(name: str = "conversion", **fields: Any) -> Finding:
    """Measured to the end, no harm, and sharp enough."""
    defaults: dict[str, Any] = {
        "state": State.QUIET,
        "cause": Cause.NO_HARM,
        "detectable": 0.07,
        "points": 60,
        "complete_until": END,
    }
    return Finding(name=name, **(defaults | fields))


def alarm(name: str = "conversion", **fields: Any) -> Finding:
    """A fall of a third from the second minute on."""
    defaults: dict[str, Any] = {
        "state": State.ALARM,
        "cause": Cause.LEVEL_SHIFT,
        "score": 3.6,
        "effect": -0.31,
        "effect_low": -0.37,
        "effect_high": -0.25,
        "onset": DEPLOY + 2 * MINUTE,
        "onset_low": DEPLOY + MINUTE,
        "onset_high": DEPLOY + 3 * MINUTE,
        "expected": 0.031,
        "observed": 0.0214,
        "detectable": 0.07,
        "points": 9,
        "complete_until": DEPLOY + 9 * MINUTE,
    }
    return Finding(name=name, **(defaults | fields))


def suspect(name: str = "conversion", **fields: Any) -> Finding:
    defaults: dict[str, Any] = {
        "state": State.SUSPECT,
        "score": 1.5,
        "effect": -0.12,
        "effect_low": -0.21,
        "effect_high": -0.02,
        "expected": 0.031,
        "observed": 0.0273,
        "points": 60,
        "complete_until": END,
    }
    return alarm(name, **(defaults | fields))


def unmeasurable(name: str = "conversion", cause: Cause = Cause.NO_DATA, **fields: Any) -> Finding:
    return Finding(name, State.UNMEASURABLE, cause, **fields)


def findings(*each: Finding, score: float | None = None, at: float = END) -> Findings:
    joint = max((one.score for one in each), default=0.0) if score is None else score
    return Findings(at=at, score=joint, signals=each)


def context(*signals: Signal, **fields: Any) -> Context:
    defaults: dict[str, Any] = {
        "service": "checkout",
        "environment": "production",
        "version": "2.4.0",
        "started_at": DEPLOY,
        "finished_at": DEPLOY,
        "until": END,
        "ticket_until": END,
        "false_rollback_probability": 0.01,
        "failed_sources": {},
    }
    return Context(signals=signals or (CONVERSION,), **(defaults | fields))


def nearby(service: str = "search", minute: float = 1.0, **fields: Any) -> Nearby:
    defaults: dict[str, Any] = {"environment": "production", "version": "7.1", "started_at": DEPLOY + minute * MINUTE}
    return Nearby(service=service, **(defaults | fields))
