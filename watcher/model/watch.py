"""A watch over one deploy of one service in one environment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from watcher.model.decision import Outcome, Reason
from watcher.model.order import Hold, RollbackState
from watcher.model.service import Service, Signal


class WatchState(StrEnum):
    """Where a watch stands."""

    SCHEDULED = "scheduled"  # opened; its first look is yet to come
    WATCHING = "watching"
    RECOVERING = "recovering"  # a rollback was ordered; are the signals coming back?
    DONE = "done"
    SUPERSEDED = "superseded"  # a newer deploy took its place
    STOPPED = "stopped"  # a person ended it


ENDED = frozenset({WatchState.DONE, WatchState.SUPERSEDED, WatchState.STOPPED})


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What the mathematics must know of a watch before its first look.

    Attributes:
        signals: controls included.
        started_at: harm counts from here, unix seconds.
        until: end of the metric window; `ticket_until`: end of the window of ticket signals.
        false_rollback_probability: for the whole watch: over all looks and all signals together.
        warm_up: seconds from `started_at` on in which nothing is judged, and nothing learned.
        zone: IANA name of the time zone that users live in; None: nobody says.
    """

    signals: tuple[Signal, ...]
    started_at: float
    until: float
    ticket_until: float
    false_rollback_probability: float
    warm_up: float = 0.0
    zone: str | None = None

    @property
    def judged_from(self) -> float:
        return self.started_at + self.warm_up


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch. Times are unix seconds.

    Attributes:
        policy: the service's configuration as it was when the watch opened.
        started_at, finished_at: of the deploy; harm counts from `started_at`, windows from `finished_at`.
        until: end of the metric window; `ticket_until`: end of the ticket window.
        next_look_at: when it is due; None once ended.
        last_look_at: time of the newest look.
        outcome: None until something is decided; it may still turn to `regressed` until the watch has ended.
        decided_at: the look's time at which `outcome` was decided.
        recovered: after a rollback: whether the signals came back; None: not known (yet).
        rollback_held: why its rollback waited for a person although the mode is `act`.
        blind_seconds: time in which a required signal could not be measured.
        superseded_by: id of the deploy that took its place.
    """

    id: str
    deploy_id: str
    service: str
    environment: str
    version: str
    previous_version: str | None
    policy: Service
    state: WatchState
    started_at: float
    finished_at: float
    until: float
    ticket_until: float
    created_at: float
    next_look_at: float | None
    last_look_at: float | None = None
    outcome: Outcome | None = None
    reason: Reason = Reason.WATCHING
    sentence: str = ""
    score: float = 0.0
    decided_at: float | None = None
    ended_at: float | None = None
    rollback_id: str | None = None
    rollback_state: RollbackState | None = None
    target_version: str | None = None
    rollback_detail: str = ""
    rollback_held: Hold | None = None
    recovery_until: float | None = None
    recovered: bool | None = None
    blind_seconds: float = 0.0
    superseded_by: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def plan(self) -> WatchPlan:
        return WatchPlan(
            signals=self.policy.signals,
            started_at=self.started_at,
            until=self.until,
            ticket_until=self.ticket_until,
            false_rollback_probability=self.policy.false_rollback_probability,
            warm_up=self.policy.warm_up,
            zone=self.policy.zone,
        )
