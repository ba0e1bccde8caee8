"""The true daemon, a real Prometheus with a real past, a real rollback receiver: everything that runs, in one place.

The deploys of a scene lie a few minutes back, so that the daemon catches their looks up at once, and the shops go on
live, so that they can be seen to recover.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.daemon import Daemon
from support.fault_server import Answer, FaultServer, Request
from support.prometheus_server import PrometheusServer
from support.real_shop import STEP, LiveShops, Shop, history

WINDOW = 300
_CONFIG = """
server: {{listen: "${{LISTEN}}"}}
store: {{path: "${{STORE}}"}}
hooks:
  ci: {{kind: generic, token: "${{HOOK_TOKEN}}"}}
sources:
  prom: {{kind: prometheus, url: "{prometheus}", scrape_interval: {step}s, timeout: 60s}}
notifiers:
  chat: {{kind: slack, url: "{receiver}/chat", min_severity: info}}
defaults:
  window: {window}s
  ticket_window: {window}s
  step: {step}s
  history: 5h
  mode: act
  recovery_window: 5m
  notify: [chat]
{extra}
services:
{services}
"""
_SERVICE = """
  {name}:
    signals:
      conversion:
        source: prom
        kind: ratio
        harm: down
        step: {step}s
        min_effect: 3%
        good: orders_total
        total: sessions_total
        labels: {{service: {name}}}
{signals}
    rollback: {{kind: webhook, url: "{receiver}/rollback/{name}", secret: "a secret that nobody may see"}}
"""


@dataclass
class Scene:
    """Everything that is running."""

    daemon: Daemon
    prometheus: PrometheusServer
    receiver: FaultServer
    shops: LiveShops
    deployed_at: float

    def announce(self, service: str, version: str = "v2", **more: Any) -> tuple[int, dict[str, Any]]:
        body = {
            "service": service,
            "environment": "production",
            "version": version,
            "previous_version": "v1",
            "started_at": self.deployed_at,
            "finished_at": self.deployed_at,
        }
        return self.daemon.post("/hooks/ci", body | more, token="hook-token")

    def watch(self, watch_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.daemon.get(f"/api/v1/watches/{watch_id}")
        return found

    def decided(self, watch_id: str, seconds: float = 120.0) -> dict[str, Any]:
        self.daemon.wait_for(lambda: self.watch(watch_id)["outcome"], seconds)
        return self.watch(watch_id)

    def rollbacks(self, service: str) -> list[Request]:
        return [request for request in self.receiver.requests if request.path == f"/rollback/{service}"]


@contextmanager
def make_scene(
    directory: Path, shops: list[Shop], deployed_at: float, *, extra: str = "", signals: str = ""
) -> Iterator[Scene]:
    """`extra` is more configuration; `signals` more signals of every service, at their indentation."""
    live = LiveShops(shops)
    now = time.time()
    with (
        FaultServer() as receiver,
        PrometheusServer(directory / "prometheus", [live.address], f"{STEP}s") as prometheus,
    ):
        receiver.answer = lambda _request: Answer(202)
        prometheus.backfill(history(shops, now, live.address))
        live.start()
        services = "".join(
            _SERVICE.format(name=shop.name, step=STEP, receiver=receiver.url, signals=signals) for shop in shops
        )
        config = _CONFIG.format(
            prometheus=prometheus.url, receiver=receiver.url, step=STEP, window=WINDOW, services=services, extra=extra
        )
        daemon = Daemon(directory / "watcher", config, {"HOOK_TOKEN": "hook-token"})
        with daemon:
            yield Scene(daemon, prometheus, receiver, live, deployed_at)
        live.close()
