"""Everything that the web room needs, handed to it by the composition root: no module here holds state of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from pydantic import SecretStr

from watcher.engine.plan import Matcher
from watcher.model.deploy import Parsed
from watcher.model.service import Service
from watcher.model.tickets import Ticket
from watcher.model.watch import Watch
from watcher.ports import Intake
from watcher.store.database import Database, Tx
from watcher.store.looks import Chart
from watcher.web.clients import Proxies
from watcher.web.limits import Rates

# What `Web.banded` is.
Banded = Callable[[Tx, Watch, str, Chart], Chart]


@dataclass(frozen=True, slots=True)
class Token:
    """A configured API token; `scopes` are of `read`, `deploy`, `approve`."""

    name: str
    secret: SecretStr
    scopes: frozenset[str]


def _unobserved(_route: str, _method: str, _status: int, _seconds: float) -> None:
    return


def _unwarned(_hook: str) -> None:
    return


def _uncounted(_hook: str, _outcome: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Web:
    """What the web room needs.

    Attributes:
        services: configured services by name.
        hooks: hook name -> its intake adapter.
        parse_deploy: understands `POST /api/v1/deploys` (headers, body, received_at) or raises `MalformedError`: the
            generic hook's own reader, handed in because this room knows no adapter.
        loopback: whether the server is bound to loopback: reading then needs no token, and where no token is configured
            at all neither does anything else.
        external_url: where people reach this server, for links.
        max_body: largest request body, bytes.
        proxies: reverse proxies that are believed.
        rates: what one client may do in a minute.
        now: reads the clock, unix seconds.
        health: loop name -> seconds since its last beat, beyond its limit; empty when all loops live.
        metrics: `Accept` header -> (exposition, content type).
        samples: (watch id, signal name) -> recent tickets, redacted.
        banded: fills in the band of a signal's chart (transaction, watch, signal name, chart) that is not stored yet.
        observe: told of every answered request: route template, method, status, seconds.
        count: told of every deploy message: hook, and what became of it (a `Received.outcome`, or `unauthenticated`,
            `malformed`, `unavailable`).
        clock_ahead: told of every deploy message, by its hook, whose sender's clock is too far ahead of ours.
        matcher: finds the services of a deploy.
    """

    database: Database
    services: Mapping[str, Service]
    hooks: Mapping[str, Intake]
    parse_deploy: Callable[[Mapping[str, str], bytes, float], Parsed]
    tokens: tuple[Token, ...]
    loopback: bool
    external_url: str
    max_body: int
    now: Callable[[], float]
    health: Callable[[], Mapping[str, float]]
    metrics: Callable[[str], tuple[bytes, str]]
    samples: Callable[[str, str], Sequence[Ticket]]
    banded: Banded
    proxies: Proxies = field(default_factory=Proxies)
    rates: Rates = field(default_factory=Rates)
    observe: Callable[[str, str, int, float], None] = _unobserved
    count: Callable[[str, str], None] = _uncounted
    clock_ahead: Callable[[str], None] = _unwarned
    matcher: Matcher = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matcher", Matcher(self.services.values()))


def web_of(request: Request) -> Web:
    """The application's context."""
    web: Web = request.app.state.web
    return web


async def _context(request: Request) -> Web:
    """Asynchronous only so that no thread is needed for it."""
    return web_of(request)


Context = Annotated[Web, Depends(_context)]
