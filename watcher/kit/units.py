"""Durations and shares as people write them: `1h30m`, `14d`, `3%`. A bare number is seconds, or a share of one."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

DURATION_WORDS = "a duration such as 90s, 5m, 1h30m or 14d"
SHARE_WORDS = "a share such as 3% or 0.03"

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?(%?)", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds of `90`, `90s`, `5m`, `1h30m` or `14d`; ValueError if it is none or does not end."""
    text = _text(value)
    if text is not None and _NUMBER.fullmatch(text):
        return _finite(float(text))
    found = _DURATION.fullmatch(text) if text is not None else None
    if found is None:
        raise ValueError(f"not a duration (expected {DURATION_WORDS})")
    seconds = sum(float(part) * size for part, size in zip(found.groups(), _SECONDS.values(), strict=True) if part)
    return _finite(seconds)


def parse_share(value: object) -> float:
    """The share that `3%` or `0.03` means; ValueError if it is none, or above one without a percent sign."""
    text = _text(value)
    found = _SHARE.fullmatch(text) if text is not None else None
    if found is None:
        raise ValueError(f"not a share (expected {SHARE_WORDS})")
    share = _finite(float(found[1])) / (100 if found[2] else 1)
    if share > 1 and not found[2]:
        # `3` for 3 % is the slip that would switch a signal off without a word.
        raise ValueError(f"a share above 1 needs a percent sign (expected {SHARE_WORDS})")
    return share


def write_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds` (to the millisecond): 5400 -> `1h30m`."""
    rest, text = round(seconds, 3), ""
    for unit, size in _SECONDS.items():
        count = rest if unit == "s" else rest // size
        rest -= count * size
        text += f"{count:g}{unit}" if count else ""
    return text or "0s"


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return value.strip() if isinstance(value, str) else format(value, "f" if isinstance(value, float) else "")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("too large (expected a finite number)")
    return value


def _schema(pattern: str, **numbers: Any) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "number", **numbers}, {"type": "string", "pattern": pattern}]})


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    _schema(r"^([0-9]+(\.[0-9]+)?|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]+)?s)?)$", minimum=0),
]
Share = Annotated[float, BeforeValidator(parse_share), _schema(r"^[0-9]+(\.[0-9]+)? ?%?$", minimum=0, maximum=1)]
