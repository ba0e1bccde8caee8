"""Everything around one or several true daemons that must survive faults: a source, a rollback receiver, a sender.

The source answers for any service from its name alone: `bad-*` loses six tenths of its orders from its deploy on until
it is rolled back, any other goes on as before. So hundreds of deploys need no back-filled server.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from support.daemon import Daemon
from support.fault_server import Answer, FaultServer, Request

STEP = 1
WINDOW = 30
_SERVICES = 12
_KEPT = 0.4  # of the orders, by a bad deploy
_CONFIG = """
server: {{listen: "${{LISTEN}}"}}
store: {{url: "${{STORE_URL}}"}}
hooks:
  ci: {{kind: generic, token: t}}
sources:
  shop:
    kind: http_json
    url: "{url}/points"
    params: {{start: "{{start}}", end: "{{end}}"}}
    timeout: 60s
{sources}
notifiers:
  chat: {{kind: slack, url: "{url}/chat", min_severity: info}}
limits: {{rollbacks_per_hour: 1000}}
defaults:
  rollbacks_per_hour: 1000
  window: {window}s
  ticket_window: {window}s
  step: {step}s
  history: 30m
  mode: act
  recovery_window: 60s
  depends_on: []
  notify: [chat]
services:
{services}
"""
_SERVICE = """
  {name}:
    signals:
      # Chance must not look like harm in any of hundreds of good deploys; bad ones lose far more.
      orders: {{source: shop, kind: count, harm: down, min_effect: 20%, step: 1s, params: {{service: {name}}}}}
    rollback: {{kind: webhook, url: "{url}/rollback/{name}", timeout: 60s}}
"""


def names(each: int = _SERVICES) -> list[str]:
    return [f"{kind}-{number}" for kind in ("bad", "good") for number in range(each)]


@dataclass
class Surroundings:
    """What the daemons talk to. `hold` seconds pass before the source answers, `call` is told of every rollback."""

    server: FaultServer
    hold: float = 0.0
    deployed: dict[str, float] = field(default_factory=dict)
    restored: dict[str, float] = field(default_factory=dict)
    call: Callable[[Request], Answer | None] = lambda _request: None
    scraped_at: list[float] = field(default_factory=list)
    now: Callable[[], float] = time.time  # the clock of everything around the daemons
    lock: threading.Lock = field(default_factory=threading.Lock)

    def config(self, services: Sequence[str], sources: str = "", more: str = "") -> str:
        """A configuration; the environment gives LISTEN and STORE_URL."""
        said = "".join(_SERVICE.format(name=name, url=self.server.url) for name in services) + more
        return _CONFIG.format(url=self.server.url, step=STEP, window=WINDOW, services=said, sources=sources)

    def answer(self, request: Request) -> Answer:
        if request.path == "/points":
            return self._points(request)
        if request.path.startswith("/rollback/"):
            return self._rolled_back(request)
        if request.path == "/metrics":
            self.scraped_at.append(time.time())
            return Answer(200, {"content-type": "text/plain; version=0.0.4"}, b"# TYPE load gauge\nload 1\n")
        return Answer(200)

    def _points(self, request: Request) -> Answer:
        start, end = (float(request.query[name][0]) for name in ("start", "end"))
        name = request.query["service"][0]
        seconds = np.arange(start // STEP + 1, end // STEP + 1)
        drawn = np.random.default_rng(sum(name.encode())).poisson(400, 3600)
        values = drawn[(seconds % 3600).astype(int)].astype(float)
        began, ended = self.deployed.get(name), self.restored.get(name, np.inf)
        if name.startswith("bad") and began is not None:
            values[(seconds > began) & (seconds <= ended)] *= _KEPT
        points = [list(pair) for pair in zip((seconds * STEP).tolist(), values.tolist(), strict=True)]
        return Answer.of(points) if not self.hold else Answer(200, body=json.dumps(points).encode(), delay=self.hold)

    def _rolled_back(self, request: Request) -> Answer:
        told = self.call(request)
        with self.lock:
            self.restored.setdefault(request.path.rpartition("/")[2], self.now())
        return told or Answer(202)

    def scrapes(self) -> list[float]:
        """When `/metrics` was asked for, unix seconds."""
        return list(self.scraped_at)

    def rollbacks(self) -> dict[str, Counter[str]]:
        """Service -> idempotency key -> how often it came."""
        found: dict[str, Counter[str]] = {}
        for request in list(self.server.requests):
            if request.path.startswith("/rollback/"):
                keys = found.setdefault(request.path.rpartition("/")[2], Counter())
                keys[request.headers["idempotency-key"]] += 1
        return found

    def notes(self) -> Counter[str]:
        """Text of a note -> how often it came."""
        bodies = [json.loads(request.body) for request in list(self.server.requests) if request.path == "/chat"]
        return Counter(json.dumps(body, sort_keys=True) for body in bodies)


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    with FaultServer() as server:
        made = Surroundings(server)
        server.answer = made.answer
        yield made


@dataclass
class Sender:
    """A CD system that repeats a message until it is answered with 2xx, to whichever daemon answers.

    `accepted`: service -> (deploy id, watch id) of every message that was acknowledged.
    """

    around: Surroundings
    daemons: Sequence[Daemon]
    accepted: dict[str, tuple[str, str]] = field(default_factory=dict)
    turn: int = 0

    def deploy(self, service: str, ago: float = 0.0, seconds: float = 600.0) -> None:
        """Announces a deploy that finished `ago` seconds ago."""
        at = self.around.now() - ago
        self.around.deployed[service] = at
        body = {
            "id": f"deploy-of-{service}",
            "service": service,
            "environment": "production",
            "version": "v2",
            "previous_version": "v1",
            "started_at": at,
            "finished_at": at,
        }
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.turn += 1
            answer = _post(self.daemons[self.turn % len(self.daemons)].url, body)
            if answer is not None:
                self.accepted[service] = (answer["deploy_id"], answer["watch_ids"][0])
                return
            time.sleep(0.1)
        raise AssertionError(f"the deploy of {service} was never accepted")


def _post(url: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The answer, if it was 2xx."""
    headers = {"content-type": "application/json", "authorization": "Bearer t", "x-delivery-id": body["id"]}
    request = urllib.request.Request(f"{url}/hooks/ci", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 503:
                raise AssertionError(error.read().decode()) from error
        return None
    except OSError:
        return None
