"""Freezes: when nothing is rolled back without a person, on the clocks of a place, daylight saving included. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watcher.model.service import Freeze

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORDS = "18:00 (every day), fri 17:00 (every week) or 2026-12-20 18:00 (once)"

_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"
_DAILY = re.compile(_CLOCK, re.ASCII)
_WEEKLY = re.compile(rf"({'|'.join(DAYS)}) {_CLOCK}", re.ASCII | re.IGNORECASE)
_DATED = re.compile(rf"(2\d{{3}}-\d\d-\d\d)(?:[ T]{_CLOCK})?", re.ASCII)

# `None` or the day of the week, and the time of day; or the moment itself.
_Mark = tuple[int | None, time] | datetime


def zone_of(name: str) -> tzinfo:
    """The zone with this IANA name; ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # what is no name at all, or a folder of zones
        raise ValueError("no such time zone (expected a name such as Europe/Berlin or UTC)") from None


def check_time(text: str) -> None:
    """Raises ValueError if `text` is none of the three ways to write a time."""
    _mark(text)


def check(freeze: Freeze) -> None:
    """Raises ValueError if `start` and `end` are not two of a kind, or nothing lies between them."""
    start, end = _mark(freeze.start), _mark(freeze.end)
    if _kind(start) != _kind(end):
        raise ValueError("start and end are written differently (expected both with a date, a weekday, or neither)")
    if isinstance(start, datetime) and isinstance(end, datetime) and end < start:
        raise ValueError("ends before it starts (expected end after start)")
    if start == end:
        raise ValueError("start and end are the same (expected a time between them)")


def frozen_until(freezes: Iterable[Freeze], now: float) -> tuple[Freeze, float] | None:
    """The freeze at `now` that lasts longest, and when it ends (unix seconds); None outside of all."""
    found = [
        (freeze, end)
        for freeze in freezes
        for start, end in _spans(freeze, datetime.fromtimestamp(now, zone_of(freeze.zone)).date())
        if start <= now < end
    ]
    return max(found, key=lambda each: each[1], default=None)


def written(freeze: Freeze, at: float) -> str:
    """A moment on the clocks of the freeze: `Mon 23 Nov 09:00 (Europe/Berlin)`."""
    return f"{datetime.fromtimestamp(at, zone_of(freeze.zone)):%a %d %b %H:%M} ({freeze.zone})"


def _mark(text: str) -> _Mark:
    if found := _DAILY.fullmatch(text):
        return None, time(int(found[1]), int(found[2]))
    if found := _WEEKLY.fullmatch(text):
        return DAYS.index(found[1].lower()), time(int(found[2]), int(found[3]))
    if found := _DATED.fullmatch(text):
        try:
            day = date.fromisoformat(found[1])
        except ValueError:
            raise ValueError(f"{text} is no day of the calendar (expected {WORDS})") from None
        return datetime.combine(day, time(int(found[2] or 0), int(found[3] or 0)))
    raise ValueError(f"not a time (expected {WORDS})")


def _kind(mark: _Mark) -> str:
    if isinstance(mark, datetime):
        return "once"
    return "daily" if mark[0] is None else "weekly"


def _spans(freeze: Freeze, today: date) -> Iterator[tuple[float, float]]:
    """The spans of `freeze` that may hold a moment of `today`, as unix seconds."""
    start, end, zone = _mark(freeze.start), _mark(freeze.end), zone_of(freeze.zone)
    if isinstance(start, datetime) and isinstance(end, datetime):
        yield _instant(start, zone, last=False), _instant(end, zone, last=True)
    elif not isinstance(start, datetime) and not isinstance(end, datetime):
        for days in range(2 if start[0] is None else 9):  # the longest ago that one can have begun
            day = today - timedelta(days=days)
            if start[0] in (None, day.weekday()):
                until = datetime.combine(day, end[1]) + timedelta(days=_days_on(start, end))
                yield _instant(datetime.combine(day, start[1]), zone, last=False), _instant(until, zone, last=True)


def _days_on(start: tuple[int | None, time], end: tuple[int | None, time]) -> int:
    """How many days after its start a span ends."""
    if start[0] is None or end[0] is None:
        return int(end[1] <= start[1])
    days = (end[0] - start[0]) % 7
    return 7 if not days and end[1] <= start[1] else days


def _instant(local: datetime, zone: tzinfo, *, last: bool) -> float:
    """When clocks show `local`. What they show twice is the first or the `last` time; what they skip is the moment
    of the change: a freeze begins no later and ends no earlier than its words say.
    """
    moments = sorted(local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if _shown(moments[0], zone) == local:
        return moments[1] if last else moments[0]
    early, late = moments  # the clocks skip it somewhere between
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if _shown(middle, zone) < local else (early, middle)
    return late


def _shown(at: float, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)
