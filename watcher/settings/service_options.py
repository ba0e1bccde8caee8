"""What may stand in a configuration of services: their policy, their signals, when they are frozen.

The descriptions are the documentation, as in `options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator

from watcher.kit.units import Duration, Share
from watcher.model.service import Freeze, Harm, Kind, Mode, Role
from watcher.settings.options import DAY, Section
from watcher.verdict import freezes


def _known_zone(name: str | None) -> str | None:
    if name is not None:
        freezes.zone_of(name)
    return name


class FreezeOptions(Section):
    """A time in which mode `act` only asks. `start` and `end` are written alike: `18:00` is every day, `fri 17:00`
    every week, `2026-12-20 18:00` or `2026-12-20` once. What clocks show twice counts from the first to the last time.
    """

    start: str = Field(description="From when on.")
    end: str = Field(description="Until when; earlier in the day than `start` is the next day.")
    zone: str | None = Field(
        default=None,
        description="On whose clocks: a name such as `Europe/Berlin`. Without it: the service's `zone`, or UTC.",
    )
    why: str | None = Field(default=None, max_length=200, description="Shown to whoever is asked.")

    @field_validator("start", "end")
    @classmethod
    def _is_time(cls, text: str) -> str:
        freezes.check_time(text)
        return text

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str | None) -> str | None:
        return _known_zone(name)

    @model_validator(mode="after")
    def _is_span(self) -> Self:
        freezes.check(self.compiled())
        return self

    def compiled(self, zone: str | None = None) -> Freeze:
        """`zone` is the service's."""
        return Freeze(self.start, self.end, self.zone or zone or "UTC", self.why or "")


class PolicyOptions(Section):
    """What a service does not say itself comes from `defaults`."""

    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="What may be done about a regressed deploy: `observe` only records and tells, `ask` waits for a "
        "person's approval, `act` rolls back.",
    )
    window: Duration = Field(
        default=3600.0, ge=30, le=7 * DAY, description="How long metrics are watched after the deploy has finished."
    )
    warm_up: Duration = Field(
        default=0.0,
        le=DAY,
        description="How long from the deploy's beginning on nothing is judged, for a new version that starts cold; at "
        "most half the `window`.",
    )
    ticket_window: Duration | None = Field(
        default=None,
        le=30 * DAY,
        description="How long tickets are watched; at least `window`. Without it: `window`, and at least 4h if the "
        "service has a ticket signal, for customers write later than they suffer.",
    )
    step: Duration | None = Field(
        default=None,
        ge=1,
        description="Time between looks; at most `window`. Without it: the smallest step of the service's signals.",
    )
    zone: str | None = Field(
        default=None,
        description="The time zone that most users live in, such as `Europe/Berlin`: what is usual at this hour goes "
        "by its clocks, daylight saving included. Without it: UTC, and that clocks were changed is read off the "
        "history, one to three days later.",
    )
    false_rollback_probability: Share = Field(
        default=0.01,
        gt=0,
        le=0.2,
        description="How probable it may be that a harmless deploy is called regressed: per watch, over all its looks "
        "and signals.",
    )
    history: Duration = Field(
        default=14 * DAY,
        le=400 * DAY,
        description="How far back the service's own history is read, to know what is normal; longer than `window`.",
    )
    recovery_window: Duration = Field(
        default=1800.0,
        ge=30,
        le=7 * DAY,
        description="How long the signals may take to come back after a rollback before that is an emergency.",
    )
    approval_timeout: Duration = Field(
        default=1800.0, ge=30, le=7 * DAY, description="How long an approval is waited for in mode `ask`."
    )
    rollbacks_per_hour: int = Field(
        default=1,
        ge=0,
        le=10_000,
        description="How many rollbacks of one service may go without a person's word within an hour; beyond that "
        "mode `act` only asks. 0: it always asks.",
    )
    freeze: tuple[FreezeOptions, ...] = Field(default=(), description="Times in which mode `act` only asks.")
    notify: tuple[str, ...] = Field(default=(), description="Names of the notifiers that are told.")
    blind_after: Duration | None = Field(
        default=None,
        ge=1,
        le=7 * DAY,
        description="How long a required signal may go unmeasured until somebody is told, once a watch. Without it: "
        "15m, or a quarter of `window` if that is less.",
    )
    depends_on: tuple[str, ...] | None = Field(
        default=None,
        description="Names of the services whose deploys can harm this one too: with another deploy at the time of the "
        "harm nothing is rolled back by itself. `[]`: only its own. Without it: every deploy to the same environment.",
    )

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str | None) -> str | None:
        return _known_zone(name)


class SignalOptions(Section):
    """One thing to watch. All other keys of a metric signal are the query that its source understands."""

    source: str | None = Field(default=None, description="Name of the metric source that measures it.")
    tickets: str | None = Field(default=None, description="Name of the ticket system to count in, instead of `source`.")
    kind: Kind | None = Field(
        default=None,
        description="How the values behave: `gauge` a level, `count` events a step, `rate` events a second, `ratio` a "
        "share of a total, `latency` a duration. Tickets are a `count`.",
    )
    harm: Harm | None = Field(
        default=None, description="Which direction hurts users: `up`, `down` or `either`. Only a control needs none."
    )
    role: Role | None = Field(
        default=None,
        description="`required`: without it measured to the end no deploy is healthy; `supporting`: may show harm, may "
        "be missing; `control`: a series that the deploy cannot touch, to tell its harm from everybody's. Without it: "
        "metrics are required, tickets supporting.",
    )
    step: Duration | None = Field(
        default=None, ge=1, le=DAY, description="Width of a bucket. Without it: 60s for metrics, 5m for tickets."
    )
    settle: Duration = Field(
        default=0.0, le=DAY, description="How long a point takes to be final, beyond what the source itself says."
    )
    min_effect: Share = Field(
        default=0.03,
        description="Relative change below which nothing is called harm. Unless it is set, of a `ratio` that is "
        "usually above a half it is a change of what that leaves out: of 99.9% good, 3% more bad ones.",
    )
    must_see: Share | None = Field(
        default=None,
        gt=0,
        description="Relative harm that the window must be able to show, or the deploy cannot be called healthy. "
        "Without it: 30%, or one and a half times `min_effect` if that is more; of a fall at most 100%. Of events that "
        "hardly ever happen and are harm, five more in the window will do.",
    )
    control: str | None = Field(default=None, description="Name of a signal of this service with the role `control`.")


class ServiceOptions(PolicyOptions):
    """One service: which deploys are its own, what is watched, what is done."""

    match: Mapping[str, str] | None = Field(
        default=None,
        description="Attribute of a deploy -> pattern with `*`; all must match. Without it: `service` is this name.",
    )
    each: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Makes this a template: one service of each of these names. `$service` in a pattern of `match` or "
        "in a text of a signal's query is the name.",
    )
    label: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        description="Of a template: the label by which a source of kind `prometheus` tells its services apart, and "
        "asks for all of them at once. Without it: `service`.",
    )
    signals: Mapping[str, Mapping[str, object]] = Field(description="Name -> signal.", min_length=1)
    rollback: Mapping[str, object] | None = Field(
        default=None, description="The team's rollback hook: its `kind` and options. Modes `ask` and `act` need it."
    )
