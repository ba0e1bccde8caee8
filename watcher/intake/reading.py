"""Reads what a pipeline sent, strictly: whatever the bytes are, the only error is `MalformedError` naming the field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from watcher.errors import MalformedError
from watcher.kit import clock
from watcher.kit.outside import is_clean

PAST, FUTURE = 7 * 86400.0, 86400.0  # seconds: how far from now what a message tells of may lie
LIMIT = 256  # characters of a name, a version or an id
_LATEST = 253402300799.0  # the end of the year 9999: later times have no calendar date
_TEXT = f"text of 1 to {LIMIT} printable characters without white space around it"
_TIME = "a time: unix seconds, or ISO 8601 with its zone"


def json_object(body: bytes) -> dict[str, Any]:
    """`body` as a JSON object (RFC 8259) in UTF-8; a key twice or a NaN is refused rather than guessed at."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise MalformedError("", f"a JSON object in UTF-8, which byte {error.start + 1} is not") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedError("", f"a JSON object in UTF-8; what came is none at {where}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        raise MalformedError("", "a JSON object in UTF-8, without endless numbers or nesting") from None
    if not isinstance(value, dict):
        raise MalformedError("", "a JSON object in UTF-8")
    return value


def shown(key: str) -> str:
    """A key from outside as it may stand in an error: ASCII, short, in quotes where it is blank at an end."""
    text = ascii(key)[1:-1][:64]
    return text if is_clean(text, 64) else f'"{text}"'


def member(fields: Mapping[str, Any], key: str, path: str = "") -> dict[str, Any]:
    """The object under `key`; `path` leads to `fields` and ends in a dot."""
    value = fields.get(key)
    if not isinstance(value, dict):
        raise MalformedError(path + key, "an object")
    return value


def text(fields: Mapping[str, Any], key: str, path: str = "") -> str:
    """The text under `key`, which must be there."""
    value = fields.get(key)
    if not isinstance(value, str) or not is_clean(value, LIMIT):
        raise MalformedError(path + key, _TEXT)
    return value


def optional_text(fields: Mapping[str, Any], key: str, path: str = "") -> str | None:
    """The text under `key`; None if it is missing, null or empty: templates fill what they do not know with nothing."""
    return None if fields.get(key) in (None, "") else text(fields, key, path)


def time(fields: Mapping[str, Any], key: str, path: str = "") -> float:
    """The time under `key` in unix seconds, which must be there."""
    value = fields.get(key)
    try:
        if isinstance(value, str):
            moment = clock.parse_iso(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = float(value)
        else:
            moment = math.nan
    except (ValueError, OverflowError):
        moment = math.nan
    if not 0 <= moment <= _LATEST:
        raise MalformedError(path + key, _TIME)
    return moment


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The header's text; None if it is missing or empty."""
    value = headers.get(name, "").strip()
    if value and not is_clean(value, LIMIT):
        raise MalformedError(name, _TEXT)
    return value or None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedError(shown(key), "to stand in its object once")
            seen.add(key)
    return value


def _no_constant(name: str) -> Any:
    raise MalformedError("", f"a JSON object in UTF-8; JSON has no {name}")
