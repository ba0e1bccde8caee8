"""The shop's counters and how they are written: as OpenMetrics text for a scrape, and with timestamps for the past.

Written by hand, as a shop in any language would: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from watcher.demo.traffic import BOUNDS, Counts, Tick

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_COUNTERS = {
    "shop_visitors": "People who came for the first time.",
    "shop_sessions": "Sessions begun.",
    "shop_orders": "Orders placed.",
    "shop_requests": "Requests answered.",
    "shop_errors": "Requests that failed.",
}
_LATENCY = "shop_request_duration_seconds"


def _no_requests() -> Counts:
    return np.zeros(len(BOUNDS) + 1, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Everything counted since the shop's first day. `requests`: by latency bucket, not cumulative over buckets."""

    visitors: int = 0
    sessions: int = 0
    orders: int = 0
    errors: int = 0
    requests: Counts = field(default_factory=_no_requests)
    seconds_spent: float = 0.0

    def plus(self, tick: Tick) -> Totals:
        return replace(
            self,
            visitors=self.visitors + tick.visitors,
            sessions=self.sessions + tick.sessions,
            orders=self.orders + tick.orders,
            errors=self.errors + tick.errors,
            requests=self.requests + tick.requests,
            seconds_spent=self.seconds_spent + tick.seconds_spent,
        )


def scrape(totals: Totals, version: str) -> str:
    """What `/metrics` answers now."""
    lines = [line for name in _COUNTERS for line in (*_head(name, "counter", _COUNTERS[name]), _counter(name, totals))]
    lines += [*_head(_LATENCY, "histogram", "Time to answer a request."), *_histogram(totals)]
    lines += [*_head("shop_version", "info", "The version that serves."), f'shop_version_info{{version="{version}"}} 1']
    return "\n".join((*lines, "# EOF\n"))


def history(samples: Iterable[tuple[float, Totals]]) -> Iterator[str]:
    """Lines of an OpenMetrics file: `samples` are (unix seconds, counters then), ascending.

    The format wants every point of one metric before the next metric begins.
    """
    points = [(f" {at:.3f}", totals) for at, totals in samples]
    for name, help_text in _COUNTERS.items():
        yield from _head(name, "counter", help_text)
        yield from (_counter(name, totals) + at for at, totals in points)
    yield from _head(_LATENCY, "histogram", "Time to answer a request.")
    yield from (line + at for at, totals in points for line in _histogram(totals))
    yield "# EOF"


def _head(name: str, kind: str, help_text: str) -> tuple[str, str]:
    return f"# TYPE {name} {kind}", f"# HELP {name} {help_text}"


def _counter(name: str, totals: Totals) -> str:
    return f"{name}_total {np.sum(getattr(totals, name.removeprefix('shop_')))}"


def _histogram(totals: Totals) -> list[str]:
    up_to = np.cumsum(totals.requests)
    bounds = (*(f"{bound}" for bound in BOUNDS), "+Inf")
    return [
        *(f'{_LATENCY}_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, up_to, strict=True)),
        f"{_LATENCY}_count {up_to[-1]}",
        f"{_LATENCY}_sum {totals.seconds_spent:.3f}",
    ]
