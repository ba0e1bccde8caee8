"""What the watcher costs: start-up, idle memory, a webhook, a look (`make bench`). Every figure is measured now."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.daemon import Daemon

from watcher import detect
from watcher.model.series import Series
from watcher.model.service import Harm, Kind, Signal
from watcher.model.watch import WatchPlan

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
_LOOKS = 60
_DAYS = 14
_STARTS = 3


def main() -> None:
    rows = [*_daemon(), *_engine()]
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


def _engine() -> list[tuple[str, str, str]]:
    """One ratio signal, one-minute steps, two weeks of history, a watch of one hour."""
    rng = np.random.default_rng(1)
    times = np.arange(1, _DAYS * 1440 + _LOOKS + 1) * 60.0
    totals = rng.poisson(300 * (1 + 0.4 * np.sin(times / 86400 * 2 * np.pi))).astype(np.float64)
    values = rng.binomial(totals.astype(np.int64), 0.05).astype(np.float64)
    started_at = float(times[-_LOOKS - 1])
    series = Series(times, values, 60.0, float(times[-1]), totals=totals)
    signal = Signal("conversion", Kind.RATIO, Harm.DOWN, "shop", 60.0)
    until = started_at + _LOOKS * 60
    plan = WatchPlan((signal,), started_at, until, until, 0.01)
    history = {"conversion": series.between(0.0, started_at)}
    detect.calibrate(plan, history)  # the imports are not part of the cost
    began = time.perf_counter()
    calibration = detect.calibrate(plan, history)
    calibrated = time.perf_counter() - began
    recent = {"conversion": series.between(calibration.recent_from, until)}
    previous, looks = None, []
    for number in range(1, _LOOKS + 1):
        began = time.perf_counter()
        previous = detect.look(calibration, recent, started_at + number * 60, previous)
        looks.append(time.perf_counter() - began)
    return [
        (f"calibration of one signal, {_DAYS} days of minutes (ms)", f"{calibrated * 1000:.1f}", ""),
        (f"decision of one look, one signal, median of {_LOOKS} (ms)", f"{statistics.median(looks) * 1000:.2f}", "0.5"),
        ("calibration as stored (kB)", f"{len(calibration.to_bytes()) / 1000:.1f}", ""),
    ]


if __name__ == "__main__":
    main()
