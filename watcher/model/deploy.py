"""What a pipeline tells us of a deploy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """How far a deploy has come."""

    ANNOUNCED = "announced"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"  # the pipeline gave up; nothing to watch


@dataclass(frozen=True, slots=True)
class DeployEvent:
    """One message about one deploy, as an intake adapter understood it. Times are unix seconds.

    Attributes:
        identity: the sender's own id of the deploy, with the sender's scope (`acme/checkout#42`), or None.
        phase: how far the deploy has come with this message.
        at: when the sender says this happened.
        started_at: the first moment a user could meet the new version, where the message says so.
        finished_at: when the deploy ended, where the message says so.
        attributes: what a service's `match` is compared with: service, repository, environment, ref, task...
        links: title -> URL, to show beside the deploy.
        rollback_id: our own rollback's id, if the pipeline handed it back.
    """

    phase: Phase
    environment: str
    version: str
    at: float
    identity: str | None = None
    previous_version: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    rollback_id: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A webhook's content: deploys, or the reason why there is nothing to do.

    Attributes:
        delivery_id: the sender's id of this delivery, for repeats; None if it has none.
        ignored: why the message was acknowledged and left alone; None if `events` is not empty.
    """

    events: tuple[DeployEvent, ...] = ()
    delivery_id: str | None = None
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class Deploy:
    """A deploy as the store knows it: the sum of its events."""

    id: str
    identity: str
    hook: str
    phase: Phase
    environment: str
    version: str
    received_at: float
    started_at: float
    finished_at: float | None = None
    previous_version: str | None = None
    services: tuple[str, ...] = ()  # names of the services that it matched; empty: an unwatched deploy
    attributes: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    rollback_id: str | None = None
