"""Model instances for tests, with every field that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from watcher.model.decision import Decision, Outcome, Reason
from watcher.model.deploy import Deploy, DeployEvent, Phase
from watcher.model.service import Harm, Kind, Mode, Role, Service, Signal
from watcher.model.watch import Watch, WatchState

NOW = 1_800_000_000.0


def signal(name: str = "conversion", **changes: Any) -> Signal:
    values: dict[str, Any] = {"kind": Kind.RATIO, "harm": Harm.DOWN, "source": "prom", "step": 60.0}
    return Signal(name=name, **(values | changes))


def tickets(**changes: Any) -> Signal:
    values: dict[str, Any] = {
        "name": "tickets",
        "kind": Kind.COUNT,
        "harm": Harm.UP,
        "source": "desk",
        "step": 60.0,
        "is_tickets": True,
        "role": Role.SUPPORTING,
    }
    return Signal(**(values | changes))


def service(name: str = "checkout", **changes: Any) -> Service:
    values: dict[str, Any] = {
        "match": {"service": name},
        "signals": (signal(),),
        "mode": Mode.ACT,
        "rollback": name,
        "notify": ("oncall",),
    }
    return Service(name=name, **(values | changes))


def event(**changes: Any) -> DeployEvent:
    values: dict[str, Any] = {
        "phase": Phase.FINISHED,
        "environment": "production",
        "version": "v2",
        "at": NOW,
        "finished_at": NOW,
        "attributes": {"service": "checkout", "environment": "production"},
    }
    return DeployEvent(**(values | changes))


def deploy(**changes: Any) -> Deploy:
    values: dict[str, Any] = {
        "id": "d-1",
        "identity": "ci|id|1",
        "hook": "ci",
        "phase": Phase.FINISHED,
        "environment": "production",
        "version": "v2",
        "received_at": NOW,
        "started_at": NOW,
        "finished_at": NOW,
        "services": ("checkout",),
    }
    return Deploy(**(values | changes))


def watch(**changes: Any) -> Watch:
    values: dict[str, Any] = {
        "id": "w-1",
        "deploy_id": "d-1",
        "service": "checkout",
        "environment": "production",
        "version": "v2",
        "previous_version": "v1",
        "policy": service(),
        "state": WatchState.WATCHING,
        "started_at": NOW,
        "finished_at": NOW,
        "until": NOW + 3600,
        "ticket_until": NOW + 3600,
        "created_at": NOW,
        "next_look_at": NOW + 60,
    }
    return Watch(**(values | changes))


def decision(outcome: Outcome | None, reason: Reason, at: float = NOW + 60, sentence: str = "A sentence.") -> Decision:
    return Decision(outcome, reason, sentence, at, score=3.0 if outcome is Outcome.REGRESSED else 0.0)
