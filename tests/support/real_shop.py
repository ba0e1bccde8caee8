"""Shops with a real past: the requests of a real load balancer become sessions, a share of them orders.

The past is written as OpenMetrics for back-filling; the same counters continue live behind an HTTP endpoint.
"""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import numpy as np

STEP = 5  # seconds between samples: the real five-minute counts are replayed sixty times as fast
CONVERSION = 0.12
_SESSIONS_PER_REQUEST = 20
_SERIES = Path(__file__).parent.parent / "data" / "nab" / "elb_request_count_8c0756.csv"


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on (unix seconds) conversion is `factor` times what it was."""

    at: float
    factor: float


def real_counts() -> np.ndarray[Any, np.dtype[np.float64]]:
    """The real series, shape (4032,)."""
    with _SERIES.open() as file:
        return np.array([float(row["value"]) for row in csv.DictReader(file)])


@dataclass
class Shop:
    """One service's counters: `history` yields the past up to `now`, `tick` continues."""

    name: str
    changes: tuple[Change, ...] = ()
    sessions: float = 0.0
    orders: float = 0.0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(sum(self.name.encode()))

    def factor(self, at: float) -> float:
        applied = [change.factor for change in self.changes if change.at < at]
        return applied[-1] if applied else 1.0

    def add(self, at: float, requests: float) -> None:
        """One bucket, which ended at `at`."""
        sessions = int(requests) * _SESSIONS_PER_REQUEST
        self.sessions += sessions
        self.orders += int(self.rng.binomial(sessions, CONVERSION * self.factor(at)))

    def lines(self, instance: str) -> list[str]:
        labels = f'{{service="{self.name}"' + (f',job="shop",instance="{instance}"' if instance else "") + "}"
        return [f"sessions_total{labels} {self.sessions:.0f}", f"orders_total{labels} {self.orders:.0f}"]


def history(shops: list[Shop], now: float, instance: str) -> Iterator[str]:
    """OpenMetrics lines of all shops, ending on the last whole step before `now`; family by family."""
    counts = real_counts()
    end = int(now // STEP) * STEP
    families: dict[str, list[str]] = {"sessions": [], "orders": []}
    for shop in shops:
        for index, requests in enumerate(counts):
            at = end - (len(counts) - 1 - index) * STEP
            shop.add(at, requests)
            for family, line in zip(families, shop.lines(instance), strict=True):
                families[family].append(f"{line} {at}")
    for family, lines in families.items():
        yield f"# TYPE {family} counter"
        yield from lines


class LiveShops:
    """Serves `/metrics` and keeps the counters going, in real time."""

    def __init__(self, shops: list[Shop]) -> None:
        self._shops: Mapping[str, Shop] = {shop.name: shop for shop in shops}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = owner._exposition().encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self._tick, daemon=True),
        ]

    def start(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def change(self, name: str, factor: float) -> None:
        """From now on, the shop converts `factor` times as well as it once did."""
        with self._lock:
            shop = self._shops[name]
            shop.changes = (*shop.changes, Change(time.time(), factor))

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def _tick(self) -> None:
        counts = real_counts()
        index = 0
        while not self._stop.wait(1.0):
            with self._lock:
                for shop in self._shops.values():
                    shop.add(time.time(), counts[index % len(counts)] / STEP)
            index += 1

    def _exposition(self) -> str:
        with self._lock:
            lines = [line for shop in self._shops.values() for line in shop.lines("")]
        types = [f"# TYPE {name}_total counter" for name in ("sessions", "orders")]
        return "\n".join([*types, *lines]) + "\n"
