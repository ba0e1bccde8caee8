"""What the watcher costs: start-up, memory, a webhook, judging, lists (`make bench`). Every figure is measured now."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.daemon import Daemon

from benchmarks.lists import help_seconds, lists
from benchmarks.speed import engine

_CONFIG = """
server: {listen: "${LISTEN}"}
store: {path: "${STORE}"}
hooks:
  ci: {kind: generic, token: t}
sources:
  shop: {kind: openmetrics, url: "http://127.0.0.1:9/metrics"}
services:
  checkout:
    signals:
      conversion: {source: shop, kind: ratio, harm: down, good: orders_total, total: sessions_total}
"""
_WEBHOOKS = 500
_STARTS = 3


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed watcher is compiled
    rows = [*_daemon(), *help_seconds(), *engine(), *lists()]
    width = max(len(name) for name, _, _ in rows)
    print(f"{'':{width}}  {'measured':>12}  aim")
    for name, value, aim in rows:
        print(f"{name:{width}}  {value:>12}  {aim}")


def _daemon() -> list[tuple[str, str, str]]:
    starts, memory, webhooks = [], 0.0, []
    for _ in range(_STARTS):
        with tempfile.TemporaryDirectory() as directory:
            daemon = Daemon(Path(directory), _CONFIG)
            began = time.perf_counter()
            daemon.start()
            starts.append(time.perf_counter() - began)
            time.sleep(2)
            memory = psutil.Process(daemon.pid).memory_info().rss / 1e6
            webhooks = _webhooks(daemon)
            daemon.stop()
    cuts = statistics.quantiles(webhooks, n=100)
    return [
        (f"start until ready, median of {_STARTS} (s)", f"{statistics.median(starts):.2f}", "2"),
        ("resident memory, idle (MB)", f"{memory:.0f}", "150"),
        (f"webhook accepted durably, median of {_WEBHOOKS} (ms)", f"{cuts[49] * 1000:.1f}", ""),
        ("webhook accepted durably, p99 (ms)", f"{cuts[98] * 1000:.1f}", "50"),
    ]


def _webhooks(daemon: Daemon) -> list[float]:
    taken = []
    for number in range(_WEBHOOKS):
        body = {"service": "checkout", "environment": "production", "version": f"v{number}", "id": str(number)}
        began = time.perf_counter()
        status, _ = daemon.post("/hooks/ci", body, token="t")
        taken.append(time.perf_counter() - began)
        assert status == 202, status
    return taken


if __name__ == "__main__":
    main()
