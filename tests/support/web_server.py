"""The true web room on a free port of loopback, and a small client that shows statuses as they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr
from support.seeded_store import SERVICES, Seeded

from watcher.engine.bands import Bands
from watcher.intake.generic import Generic, GenericOptions, parse_deploy
from watcher.intake.github import GitHub, GitHubOptions
from watcher.ports import Tools
from watcher.store.database import Database
from watcher.store.memory import StoreMemory
from watcher.web.cookies import FORM
from watcher.web.limits import Rates
from watcher.web.server import Server, Token, Web, create_app

FORM_SECRET = "form-secret-of-a-browser"
HOOK_TOKEN = "hook-token-of-the-pipeline-0123456789"
READ = Token("reader", SecretStr("read-secret-0123456789"), frozenset({"read"}))
DEPLOY = Token("pipeline", SecretStr("deploy-secret-0123456789"), frozenset({"deploy"}))
APPROVE = Token("mara", SecretStr("approve-secret-0123456789"), frozenset({"read", "approve"}))
TOKENS = (READ, DEPLOY, APPROVE)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(slots=True)
class Running:
    """A server that runs, and what it told of its requests."""

    url: str
    server: Server
    observed: list[tuple[str, str, int]] = field(default_factory=list)
    counted: list[tuple[str, str]] = field(default_factory=list)

    def saw(self, route: str, method: str, status: int) -> bool:
        """Whether such a request was observed, which is a moment after its answer."""
        until = time.monotonic() + 60
        while (route, method, status) not in self.observed and time.monotonic() < until:
            time.sleep(0.02)
        return (route, method, status) in self.observed

    def ask(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        body: bytes | None = None,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("content-type", "application/json")
        if token is not None:
            sent["authorization"] = f"Bearer {token.secret.get_secret_value()}"
        connection = HTTPConnection("127.0.0.1", urlsplit(self.url).port or 0, timeout=120)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def form(self, path: str, *, headers: Mapping[str, str] | None = None, cookie: str = "", **fields: str) -> Reply:
        """Sends a form of the page, as the browser does for which it was made."""
        cookies = "; ".join(filter(None, [f"{FORM}={FORM_SECRET}", f"__Host-{FORM}={FORM_SECRET}", cookie]))
        sent = {"content-type": "application/x-www-form-urlencoded", "cookie": cookies} | dict(headers or {})
        return self.ask("POST", path, body=urlencode({"form": FORM_SECRET} | fields).encode(), headers=sent)

    def get(self, path: str, **more: Any) -> Reply:
        return self.ask("GET", path, **more)

    def post(self, path: str, json_body: Any = None, **more: Any) -> Reply:
        return self.ask("POST", path, json_body=json_body, **more)


def web_of(database: Database, now: Callable[[], float], **changes: Any) -> Web:
    """A context for tests: a generic and a GitHub hook, the seeded services, loopback, no tokens."""
    tools = Tools(http=lambda _options: None, memory=StoreMemory(database, "tests"), now=now)  # type: ignore[arg-type, return-value]  # hooks make no requests
    web = Web(
        database=database,
        services=SERVICES,
        hooks={
            "pipeline": Generic("pipeline", GenericOptions.model_validate({"token": HOOK_TOKEN}), tools),
            "acme-github": GitHub("acme-github", GitHubOptions.model_validate({"secret": "s3cret-of-github"}), tools),
        },
        parse_deploy=parse_deploy,
        tokens=(),
        loopback=True,
        external_url="http://watcher.example",
        max_body=64 * 1024,
        now=now,
        health=dict,
        metrics=lambda accept: (f"accept {accept}\n".encode(), "text/plain; version=0.0.4"),
        samples=lambda _watch, _signal: (),
        banded=Bands(),
        rates=Rates(requests=10_000_000, failures=10_000_000),  # tests of limits set their own
    )
    return replace(web, **changes)


@contextmanager
def serving(web: Web) -> Iterator[Running]:
    server = Server()
    running = Running("", server)
    web = replace(
        web,
        observe=lambda route, method, status, _seconds: running.observed.append((route, method, status)),
        count=lambda hook, outcome: running.counted.append((hook, outcome)),
    )
    server.start(create_app(web), "127.0.0.1", 0)
    running.url = f"http://127.0.0.1:{server.port}"
    try:
        yield running
    finally:
        server.stop(5.0)


@contextmanager
def serving_seeded(seeded: Seeded, **changes: Any) -> Iterator[Running]:
    """A server over a seeded store whose clock stands still."""
    settings = {"now": lambda: seeded.now, "samples": seeded.samples} | changes
    with serving(replace(web_of(seeded.database, lambda: seeded.now), **settings)) as running:
        yield running
