"""What an adapter remembers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One remembered point. Within a stream, `(at, key)` is unique: appending it again replaces its value."""

    at: float
    value: float
    key: str = ""
