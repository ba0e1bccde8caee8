"""What may stand in a configuration, apart from the adapters' own options: one model a section.

The descriptions are the documentation: the JSON schema and docs/config.md are made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from watcher.kit.http import Connection
from watcher.kit.outside import is_web_url
from watcher.kit.units import Duration, Share
from watcher.model.service import Freeze, Harm, Kind, Mode, Role
from watcher.verdict import freezes

DAY = 86400.0


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenOptions(_Section):
    """Who may speak to the API. A caller sends the token as `Authorization: Bearer ...`."""

    name: str = Field(description="Who holds the token; it stands in the record of what was approved or refused.")
    token: SecretStr = Field(min_length=8, description="The token itself: at least 8 characters.")
    scopes: tuple[Literal["read", "deploy", "approve"], ...] = Field(
        min_length=1,
        description="What the holder may do: `read` the page and the API, announce a `deploy`, `approve` a rollback.",
    )


class ProxyOptions(_Section):
    """Reverse proxies in front of the watcher. What they say of a client is believed, what others say is not."""

    addresses: tuple[str, ...] = Field(
        min_length=1, description="Addresses or networks (`10.0.0.0/8`) from which the proxies reach the watcher."
    )
    user_header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$",
        description="Header in which a proxy names the person whom it has signed in, such as `X-Forwarded-User`; the "
        "proxy must take it out of what clients send. From any other address it is refused.",
    )
    user_scopes: tuple[Literal["read", "deploy", "approve"], ...] = Field(
        default=("read",), min_length=1, description="What such a person may do; needs `user_header`."
    )


class ServerOptions(_Section):
    """Where webhooks, the API and the page are served."""

    listen: str = Field(default="127.0.0.1:8080", description="Address and port, `host:port` or `[ipv6]:port`.")
    external_url: str | None = Field(
        default=None,
        description="How people reach this server; links in notes start with it. Without it: `http://` and `listen`.",
    )
    tokens: tuple[TokenOptions, ...] = Field(
        default=(),
        description="Tokens for the page and the API; one with scope `read` is needed when listening "
        "beyond loopback, or with an `external_url` beyond it.",
    )
    proxy: ProxyOptions | None = Field(
        default=None, description="Reverse proxies that are trusted. Without it: none, and no header of theirs counts."
    )
    max_body: int = Field(
        default=1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Largest request body that is read, in bytes."
    )
    requests_per_minute: int = Field(
        default=30_000, ge=60, le=10_000_000, description="Requests that one client may make in a minute."
    )
    failures_per_minute: int = Field(
        default=30,
        ge=1,
        le=100_000,
        description="Wrong tokens, signatures and sign-ins of one client in a minute; beyond it none is looked at.",
    )


class StoreOptions(_Section):
    """Where everything is kept. Without this section: the file `watcher.db` in the current folder."""

    path: str | None = Field(
        default=None, description="SQLite file; a relative path starts in the folder that the daemon is started in."
    )
    url: SecretStr | None = Field(
        default=None,
        description="Database URL instead of `path`: `sqlite:///file` or `postgresql://user:password@host/database`, "
        "with `%40` for an `@` in the password.",
    )
    retention: Duration = Field(
        default=30 * DAY,
        ge=DAY,
        le=3650 * DAY,
        description="How long after the end of a watch its raw points and every one of its looks are kept, so that its "
        "decision can be computed again. What stays for ever: decisions, the looks at which something changed, the "
        "audit log. As long are drills kept (the newest of a service stays) and the answers to messages.",
    )


class HeartbeatOptions(Connection):
    """A URL that is called while all is well: who expects the call notices when the watcher is no more.

    It is left out while a loop is dead, the store takes no writes, leases are not renewed, a look is five minutes late,
    or a source has not answered for `blind_after`.
    """

    url: SecretStr = Field(description="What is called, by GET; never shown, for whoever has it can keep it quiet.")
    interval: Duration = Field(default=60.0, ge=5, le=DAY, description="Time between calls.")
    blind_after: Duration = Field(
        default=900.0, ge=60, le=DAY, description="How long a source that is asked may fail before the calls stop."
    )

    @field_validator("url")
    @classmethod
    def _is_web_url(cls, url: SecretStr) -> SecretStr:
        if not is_web_url(url.get_secret_value()):
            raise ValueError("expected an http or https URL; a user and password go into `username` and `password`")
        return url


class LimitsOptions(_Section):
    """What holds over all services together."""

    rollbacks_per_hour: int = Field(
        default=3,
        ge=0,
        le=10_000,
        description="How many rollbacks of all services together may go without a person's word within an hour; beyond "
        "that an approval is asked for: many at once more often have one cause that no rollback cures.",
    )


class FreezeOptions(_Section):
    """A time in which mode `act` only asks. `start` and `end` are written alike: `18:00` is every day, `fri 17:00`
    every week, `2026-12-20 18:00` or `2026-12-20` once. What clocks show twice counts from the first to the last time.
    """

    start: str = Field(description="From when on.")
    end: str = Field(description="Until when; earlier in the day than `start` is the next day.")
    zone: str = Field(default="UTC", description="On whose clocks: a name such as `Europe/Berlin`.")
    why: str | None = Field(default=None, max_length=200, description="Shown to whoever is asked.")

    @field_validator("start", "end")
    @classmethod
    def _is_time(cls, text: str) -> str:
        freezes.check_time(text)
        return text

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        freezes.zone_of(name)
        return name

    @model_validator(mode="after")
    def _is_span(self) -> Self:
        freezes.check(self.compiled())
        return self

    def compiled(self) -> Freeze:
        return Freeze(self.start, self.end, self.zone, self.why or "")


class PolicyOptions(_Section):
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


class SignalOptions(_Section):
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
        description="Relative change below which nothing is called harm. Unless it is set, of a `ratio` with a total "
        "that is usually above a half it is a change of what that leaves out: of 99.9% good, 3% more bad ones.",
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
