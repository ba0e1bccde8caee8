"""What many watches at once cost: the true daemon, a real Prometheus with three days of one-minute history behind it.

`python -m benchmarks.capacity --watches 100 1000 5000 --seconds 180` prints a table, and draws it with --plot FILE.svg.
The services are those of one template; each has four signals and is looked at every 30 s. With --begin 100 only a
hundred watches are begun, and the others are given what those have learnt: the looks are the same, and start at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.daemon import Daemon
from support.prometheus_server import PrometheusServer

from benchmarks import copies
from watcher.kit.exposition import parse

_CONFIG = """
server: {listen: "${LISTEN}"}
store: {path: "${STORE}"}
hooks:
  ci: {kind: generic, token: t}
sources:
  prom: {kind: prometheus, url: "%(url)s", scrape_interval: 1m, timeout: 1m}
services:
  web:
    each: %(names)s
    window: 2h
    history: 3d
    depends_on: []
    step: %(step)ds
    signals:
      conversion: {source: prom, kind: ratio, harm: down, good: orders_total, total: sessions_total}
      errors: {source: prom, kind: ratio, harm: up, bad: errors_total, total: sessions_total}
      sessions: {source: prom, kind: count, harm: down, counter: sessions_total}
      queue: {source: prom, kind: gauge, harm: up, gauge: queue}
"""
_PAST, _AHEAD = 3 * 86400, 7200  # the history goes on into the future, so that nothing needs to be scraped meanwhile
_SHORT = 3600  # before now, for watches that begin with a copy
_STEP = 60
_SENDERS = 4
_PATIENCE = 3600.0
_STEP_OF_LOOKS = 30.0
_SCRAPED = 10.0  # seconds between two scrapes: that of thousands of services costs the daemon half a second
_SETTLED, _AT_MOST = 15.0, 300.0  # seconds in which no more looks are made than fall due; how long that is waited for


@dataclass(frozen=True, slots=True)
class Load:
    """Watches, and what it took to begin them."""

    watches: int
    first: int  # of these, that read and learned their own history; the others got a copy
    seconds: float  # from the first deploy to the last first look
    cpu: float  # seconds of the daemon's and its calibrating process's, a watch
    idle: float  # bytes of memory before


@dataclass(frozen=True, slots=True)
class Row:
    """What one load took. CPU in seconds, memory in bytes, lags in seconds."""

    load: Load
    lag_median: float
    lag_p99: float
    cpu: float  # of the daemon's, a look
    prometheus_cpu: float  # a look
    queries: float  # a look
    memory: float  # a watch
    share: float  # of one core


def main() -> None:
    arguments = _arguments()
    rows = []
    for watches in arguments.watches:
        with tempfile.TemporaryDirectory() as directory:
            rows.append(_measured(Path(directory), watches, arguments))
        print(_table(rows), flush=True)
    if arguments.plot:
        arguments.plot.write_text(_plot(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watches", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--seconds", type=float, default=180.0, help="how long looks are measured, once all have begun")
    parser.add_argument("--begin", type=int, help="how many watches learn their own history; default: all")
    parser.add_argument("--plot", type=Path, help="where to draw how cost grows, as SVG")
    return parser.parse_args()


def _measured(directory: Path, watches: int, arguments: argparse.Namespace) -> Row:
    names = [f"s{number:05d}" for number in range(watches)]
    first = min(arguments.begin or watches, watches)
    with PrometheusServer(directory / "prometheus", interval="1h") as prometheus:
        prometheus.backfill(history(names, time.time(), first))
        config = _CONFIG % {"url": prometheus.url, "names": json.dumps(names), "step": _STEP_OF_LOOKS}
        with Daemon(directory / "watcher", config) as daemon:
            idle = _memory(daemon)
            begun = _begin(daemon, names[:first])
            if first < watches:
                daemon.stop()
                copies.copy(daemon.config, daemon.store, names[:first], names[first:])
                daemon.start()
                idle = _memory(daemon)
            return _looked_at(daemon, prometheus, arguments.seconds, Load(watches, first, *begun, idle))


def _begin(daemon: Daemon, names: Sequence[str]) -> tuple[float, float]:
    """Seconds until all of them were looked at, and what that took of processor time, a watch."""
    process = psutil.Process(daemon.pid)
    cpu, began = _cpu(process), time.monotonic()
    with ThreadPoolExecutor(_SENDERS) as senders:
        list(senders.map(lambda name: _deploy(daemon, name), names))
    deadline = time.monotonic() + _PATIENCE
    while _begun(daemon) < len(names):
        assert time.monotonic() < deadline, "not all have begun"
        time.sleep(_SCRAPED)
    return time.monotonic() - began, (_cpu(process) - cpu + _learning(process)) / len(names)


def _looked_at(daemon: Daemon, prometheus: PrometheusServer, seconds: float, load: Load) -> Row:
    process, server = psutil.Process(daemon.pid), _process_of(prometheus)
    now = time.time()
    while _not_looked_at(daemon.store, now):  # what a restart forgot is read from the store again
        time.sleep(_SCRAPED)
    _settle(daemon, load.watches)
    before, cpu, server_cpu, queries = _lags(daemon), _cpu(process), _cpu(server), _queries(prometheus)
    began = time.monotonic()
    time.sleep(seconds)
    after = _lags(daemon)
    looks = after[math.inf] - before[math.inf]
    spent = _cpu(process) - cpu
    lags = {bound: after[bound] - before[bound] for bound in after}
    return Row(
        load,
        lag_median=_quantile(lags, 0.5),
        lag_p99=_quantile(lags, 0.99),
        cpu=spent / looks,
        prometheus_cpu=(_cpu(server) - server_cpu) / looks,
        queries=(_queries(prometheus) - queries) / looks,
        memory=(_memory(daemon) - load.idle) / load.watches,
        share=spent / (time.monotonic() - began),
    )


def _not_looked_at(store: Path, since: float) -> int:
    """How many watches no look was made at since then."""
    query = "select count(*) from watches where coalesce(last_look_at, 0) < ? and next_look_at is not null"
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        found: int = connection.execute(query, (since,)).fetchone()[0]
    return found


def _settle(daemon: Daemon, watches: int) -> None:
    """Waits until what had to wait for a start is caught up: no more looks are made than fall due, and none is late by
    more than the step between them. Goes on with what cannot be.
    """
    deadline = time.monotonic() + _AT_MOST
    due, made, late = watches * _SETTLED / _STEP_OF_LOOKS, math.inf, math.inf
    while (made > 1.1 * due or late > _STEP_OF_LOOKS) and time.monotonic() < deadline:
        before = _lags(daemon)
        time.sleep(_SETTLED)
        after = _lags(daemon)
        made = after[math.inf] - before[math.inf]
        late = _quantile({bound: after[bound] - before[bound] for bound in after}, 0.9)


def history(names: Sequence[str], now: float, whole: int | None = None) -> Iterator[str]:
    """OpenMetrics of four metrics a service, one sample a minute; only the first `whole` services have a long past."""
    times = np.arange(now // _STEP * _STEP - _PAST, now + _AHEAD, _STEP)
    stamps = [f" {at:.0f}\n" for at in times]
    day = 1 + 0.4 * np.sin(times / 86400 * 2 * np.pi)
    short = int(np.searchsorted(times, now - _SHORT))
    begins = [0 if whole is None or number < whole else short for number in range(len(names))]
    shares = (("orders", 0.05), ("errors", 0.01), ("sessions", 1.0))
    for metric, share in shares:
        yield f"# TYPE {metric} counter\n"
        for number, (name, begin) in enumerate(zip(names, begins, strict=True)):
            counts = np.random.default_rng((number, int(share * 100))).poisson(300 * share * day[begin:])
            yield _series(f'{metric}_total{{service="{name}"}} ', np.cumsum(counts), stamps[begin:])
    yield "# TYPE queue gauge\n"
    for number, (name, begin) in enumerate(zip(names, begins, strict=True)):
        levels = np.random.default_rng(number).poisson(40, len(times) - begin)
        yield _series(f'queue{{service="{name}"}} ', levels, stamps[begin:])


def _series(head: str, values: np.ndarray, stamps: Sequence[str]) -> str:
    return "".join([f"{head}{value}{stamp}" for value, stamp in zip(values.tolist(), stamps, strict=True)])


def _deploy(daemon: Daemon, name: str) -> None:
    body = {"service": name, "environment": "production", "version": "v2", "previous_version": "v1", "id": name}
    for _ in range(100):
        status, _ = daemon.post("/hooks/ci", body, token="t")
        if status == 202:
            return
        assert status == 429, status
        time.sleep(1)
    raise AssertionError("never accepted")


def _begun(daemon: Daemon) -> float:
    """Watches that have been looked at."""
    samples = parse(daemon.text("/metrics"), {"watcher_watches"}.__contains__, openmetrics=False).samples
    return sum(sample.value for sample in samples if sample.labels["state"] != "scheduled")


def _memory(daemon: Daemon) -> float:
    return float(psutil.Process(daemon.pid).memory_info().rss)


def _lags(daemon: Daemon) -> dict[float, float]:
    name = "watcher_look_lag_seconds_bucket"
    samples = parse(daemon.text("/metrics"), {name}.__contains__, openmetrics=False).samples
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == name}


def _quantile(buckets: dict[float, float], share: float) -> float:
    """As `histogram_quantile` does."""
    wanted, low, below = share * buckets[math.inf], 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / max(count - below, 1)
        low, below = bound, count
    return low


def _queries(prometheus: PrometheusServer) -> float:
    with urllib.request.urlopen(f"{prometheus.url}/metrics", timeout=10) as answer:
        name = "prometheus_http_requests_total"
        samples = parse(answer.read().decode(), {name}.__contains__, openmetrics=False).samples
    return sum(sample.value for sample in samples if sample.labels["handler"].startswith("/api/v1/query"))


def _process_of(prometheus: PrometheusServer) -> psutil.Process:
    return psutil.Process(prometheus.pid)


def _cpu(process: psutil.Process) -> float:
    """Of the process itself; rehearsals are others, which take what is left of the machine."""
    return sum(process.cpu_times()[:2])


def _learning(process: psutil.Process) -> float:
    """Of the daemon's calibrating process."""
    spent = 0.0
    for child in process.children():
        with contextlib.suppress(psutil.Error):  # a rehearsal that has just ended
            spent += _cpu(child) if "watcher.engine.calibrating" in child.cmdline() else 0.0
    return spent


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("watches", lambda row: f"{row.load.watches:,}"),
    ("begun", lambda row: f"{row.load.first:,} in {row.load.seconds:.0f} s"),
    ("CPU to begin one", lambda row: f"{row.load.cpu * 1000:.0f} ms"),
    ("look lag, median", lambda row: f"{row.lag_median:.1f} s"),
    ("look lag, p99", lambda row: f"{row.lag_p99:.1f} s"),
    ("CPU a look", lambda row: f"{row.cpu * 1000:.1f} ms"),
    ("of one core", lambda row: f"{row.share:.0%}"),
    ("CPU of Prometheus a look", lambda row: f"{row.prometheus_cpu * 1000:.1f} ms"),
    ("queries a look", lambda row: f"{row.queries:.3f}"),
    ("memory a watch", lambda row: f"{row.memory / 1000:.0f} kB"),
)


def _table(rows: Sequence[Row]) -> str:
    lines = [" | ".join(name for name, _ in _COLUMNS), " | ".join("---" for _ in _COLUMNS)]
    lines += [" | ".join(write(row) for _, write in _COLUMNS) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _plot(rows: Sequence[Row]) -> str:
    """CPU a look and the lag's p99 over the number of watches, both axes logarithmic."""
    series = (
        ("CPU a look, ms", "#1f6feb", [row.cpu * 1000 for row in rows]),
        ("look lag p99, s", "#cf222e", [row.lag_p99 for row in rows]),
        ("queries in 100 looks", "#1a7f37", [row.queries * 100 for row in rows]),
    )
    width, height, left, bottom = 640, 360, 60, 40
    xs = [math.log10(row.load.watches) for row in rows]
    values = [max(value, 0.01) for _, _, line in series for value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    span = max(max(xs) - min(xs), 1e-9)

    def place(x: float, value: float) -> str:
        across = left + (x - min(xs)) / span * (width - left - 160)
        up = (math.log10(max(value, 0.01)) - low) / max(high - low, 1) * (height - 2 * bottom)
        return f"{across:.0f},{height - bottom - up:.0f}"

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            'font-size="12">'
        )
    ]
    parts.append('<rect width="100%" height="100%" fill="#fff"/>')
    for power in range(low, high + 1):
        y = place(min(xs), 10.0**power).split(",")[1]
        parts.append(f'<line x1="{left}" x2="{width - 160}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{10.0**power:g}</text>')
    for x, row in zip(xs, rows, strict=True):
        parts.append(
            f'<text x="{place(x, 1).split(",")[0]}" y="{height - 12}" text-anchor="middle">{row.load.watches:,}</text>'
        )
    for number, (name, colour, line) in enumerate(series):
        points = " ".join(place(x, value) for x, value in zip(xs, line, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{width - 150}" y="{bottom + 20 * number}" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{(left + width - 160) / 2:.0f}" y="{height}" text-anchor="middle">watches</text></svg>')
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
