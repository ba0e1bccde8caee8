"""The outside heartbeat of the true daemon: it arrives, and one that hangs holds nothing up, a stop least of all."""

from __future__ import annotations

from pathlib import Path

from support.daemon import Daemon
from support.fault_server import Answer, FaultServer
from support.stopwatch import Stopwatch

CONFIG = """
server: {listen: "${LISTEN}"}
store: {path: "${STORE}"}
heartbeat: {url: "RECEIVER/ping/a-secret-path", interval: 5s, timeout: 2m}
hooks:
  ci: {kind: generic, token: a-token-of-the-hook}
sources:
  shop: {kind: openmetrics, url: "RECEIVER/metrics", interval: 1s}
services:
  checkout:
    step: 1s
    history: 2h
    signals:
      orders: {source: shop, kind: count, harm: down, step: 1s, counter: orders_total}
"""


def test_it_arrives_and_what_hangs_holds_nothing_up(tmp_path: Path) -> None:
    with FaultServer() as receiver:
        receiver.answer = lambda request: Answer(
            200, body=b"orders_total 1\n", delay=600 if request.path.startswith("/ping") and pings() > 1 else 0
        )

        def pings() -> int:
            return sum(request.path.startswith("/ping") for request in receiver.requests)

        with Daemon(tmp_path, CONFIG.replace("RECEIVER", receiver.url)) as daemon:
            daemon.wait_for(lambda: pings() > 1)
            body = {"service": "checkout", "environment": "production", "version": "v2"}
            status, answer = daemon.post("/hooks/ci", body, token="a-token-of-the-hook")
            assert status == 202
            path = f"/api/v1/watches/{answer['watch_ids'][0]}"
            daemon.wait_for(lambda: daemon.get(path)["last_look_at"])
            assert daemon.status("/healthz") == 200
            assert 'watcher_heartbeats_total{outcome="sent"} 1.0' in daemon.text("/metrics")
            with Stopwatch() as stopwatch:
                assert daemon.stop() == 0
            assert stopwatch.seconds < 10
            assert "a-secret-path" not in daemon.log.read_text()
