"""What may stand in a configuration of the daemon itself: one model a section. Services: `service_options.py`.

The descriptions are the documentation: the JSON schema and docs/config.md are made of them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from watcher.kit.http import Connection
from watcher.kit.outside import is_web_url
from watcher.kit.units import Duration

DAY = 86400.0


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenOptions(Section):
    """Who may speak to the API. A caller sends the token as `Authorization: Bearer ...`."""

    name: str = Field(description="Who holds the token; it stands in the record of what was approved or refused.")
    token: SecretStr = Field(min_length=8, description="The token itself: at least 8 characters.")
    scopes: tuple[Literal["read", "deploy", "approve"], ...] = Field(
        min_length=1,
        description="What the holder may do: `read` the page and the API, announce a `deploy`, `approve` a rollback.",
    )


class ProxyOptions(Section):
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


class ServerOptions(Section):
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


class StoreOptions(Section):
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


class LimitsOptions(Section):
    """What holds over all services together."""

    rollbacks_per_hour: int = Field(
        default=3,
        ge=0,
        le=10_000,
        description="How many rollbacks of all services together may go without a person's word within an hour; beyond "
        "that an approval is asked for: many at once more often have one cause that no rollback cures.",
    )
