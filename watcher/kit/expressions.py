"""JMESPath: how a configuration says where in somebody's JSON a thing stands (https://jmespath.org/specification.html)."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator

from watcher.errors import ExternalError, Fault
from watcher.kit import clock

_AROUND = re.compile(r"^(?:invalid|bad) jmespath expression: |(?:, for expression)?:$", re.IGNORECASE)


def _checked(text: str) -> str:
    try:
        jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        # The library repeats itself before, and the expression after.
        reason = _AROUND.sub("", str(error).partition("\n")[0]) or "too deep"
        raise ValueError(f"not a JMESPath expression: {reason}") from None
    return text


Expression = Annotated[str, AfterValidator(_checked)]
TimeUnit = Literal["s", "ms", "iso"]
_LATEST = 32503680000.0  # the year 3000: a time beyond it is in another unit


def find(expression: str, document: Any) -> Any:
    """What `expression` finds in `document`; None if nothing. `ExternalError` if a function meets the wrong type."""
    try:
        return jmespath.search(expression, document)
    except (JMESPathError, RecursionError, TypeError, ValueError) as error:
        raise malformed(f"`{expression}` does not fit the answer ({type(error).__name__})") from None


def malformed(message: str) -> ExternalError:
    """An answer that was understood as JSON, and is not shaped as it should be."""
    return ExternalError(message, fault=Fault.MALFORMED, permanent=False)


def number(value: Any, place: str, *, coerce: bool = False) -> float:
    """A JSON number, NaN for null; a text only where `coerce` is set. `ExternalError` (malformed) for anything else."""
    if value is None:
        return math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _float(value, place)
    if coerce and isinstance(value, str):
        return _float(value, place)
    hint = " (`coerce: true` accepts numbers written as text)" if isinstance(value, str) else ""
    raise malformed(f"{place}: expected a number, found {kind(value)}{hint}")


def moment(value: Any, unit: TimeUnit, place: str, *, coerce: bool = False) -> float:
    """Unix seconds; `ExternalError` (malformed) for what is no time."""
    if unit == "iso":
        try:
            return clock.parse_iso(value)
        except (ValueError, TypeError, OverflowError):
            raise malformed(f"{place}: expected a time such as 2026-11-22T03:04:05Z, found {kind(value)}") from None
    seconds = number(value, place, coerce=coerce) / (1000 if unit == "ms" else 1)
    if not 0 <= seconds < _LATEST:
        raise malformed(f"{place}: expected a time in unix {unit}, found {kind(value)} that is none")
    return seconds


def _float(value: float | str, place: str) -> float:
    try:
        return float("" if isinstance(value, str) and "_" in value else value)  # 1_000 is a number to Python only
    except (ValueError, OverflowError):
        raise malformed(f"{place}: expected a number, found a text that is none") from None


def identifier(value: Any, place: str) -> str:
    """A text or a whole number that names something; `ExternalError` (malformed) for anything else."""
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    raise malformed(f"{place}: expected an id, found {kind(value)}")


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "nothing"
    names = {bool: "true or false", str: "text", list: "a list", dict: "an object", int: "a number", float: "a number"}
    return names.get(type(value), "something else")
