"""The one place that reads the clock and waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Event


def now() -> float:
    """Wall-clock time, unix seconds."""
    return time.time()


def monotonic() -> float:
    """Seconds that never go back; for limits and durations only."""
    return time.monotonic()


def wait(stop: Event, seconds: float) -> bool:
    """Waits up to `seconds` or until `stop` is set; whether it is set."""
    return stop.wait(max(seconds, 0.0))


def iso(at: float) -> str:
    """Unix seconds as UTC, to the second: `2026-11-22T03:04:05Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> float:
    """An ISO 8601 time with zone as unix seconds; ValueError without a zone or if it is no time."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone, for example 2026-11-22T03:04:05Z")
    return moment.timestamp()
