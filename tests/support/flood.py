"""Deploys at a high rate into the true daemon on SQLite, which is killed at the end: what was acknowledged is there."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from support.daemon import Daemon
from support.load import Load

RATE = 300.0  # deploys a second
_SERVICES = 300
_CONFIG = """
server: {{listen: "${{LISTEN}}", requests_per_minute: 1000000}}
store: {{path: "${{STORE}}"}}
hooks:
  ci: {{kind: generic, token: t}}
sources:
  shop: {{kind: openmetrics, url: "http://127.0.0.1:9/metrics", interval: 10m}}
services:
{services}
"""
_SERVICE = """
  service-{number}:
    signals:
      conversion: {{source: shop, kind: ratio, harm: down, good: orders_total, total: sessions_total}}
"""


@dataclass(frozen=True, slots=True)
class Flooded:
    """`p50`, `p99` in seconds, from when a message was due; `lost`: acknowledged deploys that are not in the store."""

    sent: int
    acknowledged: int
    lost: int
    p50: float
    p99: float
    refused: list[str]

    def __str__(self) -> str:
        return (
            f"{self.sent} deploys sent at {RATE:.0f} a second, {self.acknowledged} acknowledged, "
            f"{self.lost} lost after kill -9; accept p50 {self.p50 * 1000:.1f} ms, p99 {self.p99 * 1000:.1f} ms"
        )


def flood(directory: Path, seconds: float) -> Flooded:
    services = "".join(_SERVICE.format(number=number) for number in range(_SERVICES))
    daemon = Daemon(directory, _CONFIG.format(services=services))
    with daemon:
        load = Load(daemon.port, RATE, _SERVICES)
        killer = threading.Timer(seconds, daemon.kill)
        killer.start()
        load.run(seconds + 5)
        killer.join()
        time.sleep(0.2)
        daemon.start()  # the write-ahead log is recovered by whoever opens the store next
        with sqlite3.connect(daemon.store) as store:
            kept = {row[0] for row in store.execute("select id from deploys")}
            watched = {row[0] for row in store.execute("select deploy_id from watches")}
        store.close()
        lost = [deploy for deploy in load.acknowledged if deploy not in kept or deploy not in watched]
        cuts = statistics.quantiles(load.latencies, n=100)
        return Flooded(load.sent, len(load.acknowledged), len(lost), cuts[49], cuts[98], load.refused)
