"""`watcher check-config --live` as a process against a real Prometheus that scrapes a real endpoint."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.fault_server import Answer, FaultServer
from support.prometheus_server import PrometheusServer

from watcher.cli.main import cli

CONFIG = """
sources:
  prom: {{kind: prometheus, url: "{url}", timeout: 60s}}
services:
  checkout:
    window: 1m
    signals:
      conversion: {{source: prom, kind: ratio, harm: down, step: 2s, good: orders_total, total: sessions_total}}
      queue: {{source: prom, kind: gauge, harm: up, step: 2s, gauge: queue_length, aggregate: sum}}
      short: {{source: prom, kind: gauge, harm: up, step: 2s, query: "sum(max_over_time(queue_length[1500ms]))"}}
{more}
"""


def scraped(_request: object) -> Answer:
    sessions = int(time.time() * 100)
    lines = [f"orders_total {sessions // 4}", f"sessions_total {sessions}"]
    lines += [f'queue_length{{shard="{shard}"}} {shard}' for shard in (1, 2, 3)]
    return Answer(200, {"content-type": "text/plain; version=0.0.4"}, "\n".join([*lines, ""]).encode())


def configured(folder: Path, url: str, more: str = "") -> list[str]:
    (folder / "watcher.yaml").write_text(CONFIG.format(url=url, more=more))
    return ["check-config", "--live", str(folder / "watcher.yaml")]


def process(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watcher", *configured(folder, url)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def check(folder: Path, url: str, more: str = "") -> Result:
    return CliRunner().invoke(cli, configured(folder, url, more))


@pytest.mark.prometheus
def test_live_against_a_real_prometheus(tmp_path: Path) -> None:
    with FaultServer() as shop:
        shop.answer = scraped
        with PrometheusServer(tmp_path / "prometheus", [shop.url.removeprefix("http://")]) as prometheus:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                seen = prometheus.query("count_over_time(sessions_total[1m])")
                if seen and float(seen[0]["value"][1]) >= 6:
                    break
                time.sleep(0.2)
            for _ in range(5):  # a stall may cost the sample that the shortest window needs
                good = process(tmp_path, prometheus.url)
                if good.returncode == 0:
                    break
            bad = check(
                tmp_path,
                prometheus.url,
                "      misnamed: {source: prom, kind: count, harm: up, counter: order_total}\n"
                "      several: {source: prom, kind: gauge, harm: up, step: 2s, gauge: queue_length}",
            )
        gone = check(tmp_path, prometheus.url)
    assert good.returncode == 0, good.stdout + good.stderr
    assert re.search(r"checkout\.conversion \(prom\): 0\.2[45]\d*, \ds old, 1 series, a point every 1s\n", good.stdout)
    assert re.search(r"checkout\.queue \(prom\): 6, \ds old, 3 series, a point every 1s\n", good.stdout)
    assert re.search(r"checkout\.short \(prom\): 6, .*\n  warning: .*under two scrape intervals", good.stdout)
    assert bad.exit_code == 1
    assert (
        "checkout.misnamed (prom): FAILED: the query gives no value\n  warning: no series matches order_total"
        in bad.stdout
    )
    assert (
        "checkout.several (prom): FAILED: the query gives no value\n  warning: the query matches 3 series" in bad.stdout
    )
    assert gone.exit_code == 1
    assert gone.stdout.count("FAILED: 127.0.0.1: connection refused") == 3
    assert not list(tmp_path.glob("*.db*"))
