"""What the headers of an answer say of time: how long to wait, and how far the server's clock is off."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from watcher.errors import ExternalError, Fault
from watcher.kit import clock

_SURE = 2.0  # a `Date` is in whole seconds, and as old as its way
_OFF = 60.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header, given as seconds or as a date; None without one that can be read.

    A date is one of the server's own clock, which its `Date` header tells. Header names are lower case.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else None
    until, now = _date(text), _date(headers.get("date", ""))
    return None if until is None else max(until - (clock.now() if now is None else now), 0.0)


def clock_behind(headers: Mapping[str, str]) -> float:
    """Seconds by which the server's clock is behind ours, by its `Date` just received; negative: ahead; 0: unknown.

    What a cache kept is as old as its `Age`.
    """
    said, age = _date(headers.get("date", "")), headers.get("age", "0").strip()
    if said is None or not (age.isascii() and age.isdigit() and len(age) < 10):
        return 0.0
    return clock.now() - said - float(age)


def lag(behind: float) -> float:
    """Seconds that data lack which a server stamps by a clock `behind` ours; 0 while that cannot be told from nothing.

    Raises:
        ExternalError: the clock is so far off, either way, that nobody knows what came before the deploy.
    """
    if abs(behind) > _OFF:
        way = "behind" if behind > 0 else "ahead of"
        raise ExternalError(
            f"its clock is {abs(behind):.0f} s {way} ours, or ours is wrong", fault=Fault.CLOCK_OFF, permanent=False
        )
    return behind if behind > _SURE else 0.0


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
