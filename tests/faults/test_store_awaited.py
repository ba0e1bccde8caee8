"""A daemon that starts before its database: it waits, says so, and then takes up its work."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.daemon import Daemon
from support.postgresql_server import PostgresqlServer

_CONFIG = """
server: {listen: "${LISTEN}"}
store: {url: "${STORE_URL}"}
hooks:
  ci: {kind: generic, token: t}
sources:
  shop: {kind: openmetrics, url: "http://127.0.0.1:9/metrics"}
services:
  checkout:
    signals:
      conversion: {source: shop, kind: ratio, harm: down, good: orders_total, total: sessions_total}
"""


@pytest.mark.postgresql
def test_a_database_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    with PostgresqlServer() as server:
        url = server.url
        server.stop()
        daemon = Daemon(tmp_path / "watcher", _CONFIG, {"STORE_URL": url})
        with daemon.stopping():
            daemon.start(wait=False)
            daemon.wait_for(lambda: daemon.events("store_awaited"))
            assert (daemon.status("/readyz"), daemon.status("/healthz")) == (503, 200)
            deploy = {"service": "checkout", "environment": "production", "version": "v2"}
            status, answer = daemon.post("/hooks/ci", deploy, token="t")
            assert (status, answer["error"]) == (503, "the store is unavailable")
            server.start()
            daemon.wait_for(daemon.ready)
            assert daemon.post("/hooks/ci", deploy, token="t")[0] == 202
            assert len(daemon.events("store_awaited")) == 1
            assert daemon.stop() == 0


@pytest.mark.postgresql
def test_a_daemon_that_waits_can_be_stopped(tmp_path: Path) -> None:
    with PostgresqlServer() as server:
        url = server.url
    daemon = Daemon(tmp_path / "watcher", _CONFIG, {"STORE_URL": url})
    daemon.start(wait=False)
    daemon.wait_for(lambda: daemon.events("store_awaited"))
    assert daemon.stop() == 0
