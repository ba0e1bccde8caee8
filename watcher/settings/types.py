"""The settings that the rest of the product is built from: frozen, whole and checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from watcher.errors import Problem
from watcher.model.service import Service
from watcher.settings.options import HeartbeatOptions
from watcher.web.clients import Proxies
from watcher.web.limits import Rates


@dataclass(frozen=True, slots=True)
class Adapter:
    """One configured adapter: `options` is an instance of the `Options` of its kind. Its repr keeps them to itself."""

    name: str
    kind: str
    options: Any

    def __repr__(self) -> str:
        return f"Adapter({self.name}: {self.kind})"


@dataclass(frozen=True, slots=True)
class Token:
    """Who may do what through the API; scopes are of read, deploy, approve."""

    name: str
    token: SecretStr
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Server:
    """Where to listen, and how people reach us; `external_url` has no slash at its end. `max_body` is in bytes."""

    host: str
    port: int
    external_url: str
    tokens: tuple[Token, ...] = ()
    max_body: int = 1024 * 1024
    proxies: Proxies = field(default_factory=Proxies)
    rates: Rates = field(default_factory=Rates)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server; what a proxy passes on comes from this machine too."""
        return is_loopback(self.host) and is_loopback(host_of(self.external_url))


def host_of(url: str) -> str:
    """Empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration. The mappings are by name, in the order of the file.

    Attributes:
        file: as it was given.
        store_url: SQLAlchemy URL.
        rollbacks: service name -> its rollback target.
        rollbacks_per_hour: how many of all services together may go without a person's word.
        heartbeat: what is called while all is well; None: nothing.
        retention: seconds after the end of a watch in which everything about it is kept.
        warnings: what is allowed and yet probably not meant.
    """

    file: str
    server: Server
    store_url: SecretStr
    hooks: Mapping[str, Adapter]
    sources: Mapping[str, Adapter]
    ticket_systems: Mapping[str, Adapter]
    notifiers: Mapping[str, Adapter]
    rollbacks: Mapping[str, Adapter]
    services: Mapping[str, Service]
    rollbacks_per_hour: int = 3
    heartbeat: HeartbeatOptions | None = None
    retention: float = 30 * 86400.0
    warnings: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return f"Settings(file={self.file!r}, services={list(self.services)})"
