"""What the outbox carries: a rollback to be done, a note to be sent; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class RollbackState(StrEnum):
    """Where a rollback stands."""

    PLANNED = "planned"  # decided; in mode `ask` it waits for a person here
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"  # nobody approved in time, or a newer deploy took its place
    ATTEMPTED = "attempted"  # the intent is stored; the call may have been made
    ACCEPTED = "accepted"
    VERIFIED = "verified"  # the pipeline announced the old version, or the target confirmed it
    FAILED = "failed"
    UNKNOWN = "unknown"  # the call may or may not have been carried out: a person must look


class Hold(StrEnum):
    """Why a rollback that the mode allows waits for a person all the same; the first that applies counts."""

    RESTORED = "restored"
    FROZEN = "frozen"
    SERVICE_BUDGET = "service_budget"
    TOTAL_BUDGET = "total_budget"


@dataclass(frozen=True, slots=True)
class RollbackOrder:
    """One rollback; `key` is the idempotency key, the same for every attempt. A drill (`dry_run`) has no watch and no
    deploy: their ids are empty.
    """

    rollback_id: str
    watch_id: str
    deploy_id: str
    service: str
    environment: str
    bad_version: str
    target_version: str
    sentence: str
    url: str
    dry_run: bool = False

    @property
    def key(self) -> str:
        return self.rollback_id


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a rollback target answered: `accepted` is not yet carried out. `detail` is short and free of secrets."""

    accepted: bool
    detail: str = ""
    reference: str = ""


class Standing(StrEnum):
    """What a rollback target says of an order when it is asked afterwards."""

    DONE = "done"
    RUNNING = "running"
    NOT_DONE = "not_done"


class Severity(StrEnum):
    """How loudly to speak, least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Topic(StrEnum):
    """What a note is about: a closed list, with stable names."""

    REGRESSED = "regressed"
    HEALTHY = "healthy"
    INCONCLUSIVE = "inconclusive"
    APPROVAL_WANTED = "approval_wanted"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_REFUSED = "approval_refused"
    ROLLBACK_ACCEPTED = "rollback_accepted"
    ROLLBACK_FAILED = "rollback_failed"
    ROLLBACK_UNKNOWN = "rollback_unknown"
    NO_ROLLBACK_TARGET = "no_rollback_target"
    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    SUPERSEDED = "superseded"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Note:
    """One message to people.

    Attributes:
        id: the same for every attempt to send it.
        alert: groups the notes of one alert (the watch's id): an alert fires until a note with `resolved`.
        resolved: whether this note ends the alert.
        at: unix seconds at which it was decided.
    """

    id: str
    alert: str
    topic: Topic
    severity: Severity
    title: str
    sentence: str
    service: str
    environment: str
    version: str
    url: str
    at: float
    resolved: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
