"""What pydantic found, in our own words: what is wrong, and what was expected there."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo

from watcher.settings.units import (
    DURATION_WORDS,
    SHARE_WORDS,
    parse_duration,
    parse_share,
    write_duration,
)

_UNITS: dict[object, str] = {parse_duration: DURATION_WORDS, parse_share: SHARE_WORDS}

# Errors whose text an adapter wrote.
FOREIGN = frozenset({"value_error", "assertion_error"})

# How a value of each kind is called, most telling first.
_KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "true or false"),
    ((int,), "a whole number"),
    ((float,), "a number"),
    ((Mapping, dict, BaseModel), "a mapping of keys and values"),
    ((tuple, list, set, frozenset), "a list"),
    ((str, SecretStr), "text"),
)
_BY_TYPE = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "dict": "a mapping of keys and values",
    "mapping": "a mapping of keys and values",
    "model": "a mapping of keys and values",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "string": "text",
    "url": "a URL such as https://host/path",
}
_BY_JSON = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys and values",
}
_BOUNDS = {
    "greater_than": ("too small", "more than", "gt"),
    "greater_than_equal": ("too small", "at least", "ge"),
    "less_than": ("too large", "less than", "lt"),
    "less_than_equal": ("too large", "at most", "le"),
}
_LENGTHS = {
    "string_too_short": "too short",
    "string_too_long": "too long",
    "too_short": "too short",
    "too_long": "too long",
}
_GIVEN: tuple[tuple[tuple[type, ...], str], ...] = (
    ((str,), "text"),
    ((bool,), "true or false"),
    ((int, float), "a number"),
    ((list, tuple), "a list"),
    ((dict,), "a mapping"),
)


def one_of(names: Iterable[object]) -> str:
    """`one of a, b, c`, or the one name there is."""
    listed = [str(name) for name in names]
    return f"one of {', '.join(listed)}" if len(listed) != 1 else listed[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean "window"?` if one of `known` is near, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def expectation(field: FieldInfo) -> str:
    """What a field wants, in words."""
    return _expectation(field.annotation, field.metadata)


def _expectation(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    unit = next((words for item in metadata if (words := _UNITS.get(getattr(item, "func", type(item))))), None)
    schema = next((item.json_schema for item in metadata if isinstance(item, WithJsonSchema)), None)
    origin, arguments = get_origin(annotation), get_args(annotation)
    kind = origin or annotation
    if unit is not None or schema:
        return unit or _from_schema(schema or {})
    if origin is Annotated:
        return _expectation(arguments[0], arguments[1:])
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_expectation(part) for part in arguments if part is not NoneType))
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return one_of(arguments or (member.value for member in annotation))
    return next((words for types, words in _KINDS if isinstance(kind, type) and issubclass(kind, types)), "a value")


def _from_schema(schema: Mapping[str, Any]) -> str:
    parts = schema.get("anyOf", [schema])
    return " or ".join(dict.fromkeys(_BY_JSON.get(part.get("type"), "a value") for part in parts))


def explain(error: Mapping[str, Any], field: FieldInfo | None, given: str | None, scrub: Callable[[str], str]) -> str:
    """One sentence for one error of pydantic.

    Args:
        error: an entry of `ValidationError.errors()`.
        field: the field that the error is about, if that is known.
        given: the value as it may be shown; None if it must not be.
        scrub: takes secrets out of words that are not ours.
    """
    kind, context = error["type"], error.get("ctx", {})
    wanted = expectation(field) if field else None
    if kind in {"enum", "literal_error"}:
        return _choice(context["expected"], given)
    if kind in _BOUNDS or kind in _LENGTHS:
        return _bound(kind, context, wanted) if kind in _BOUNDS else _length(kind, context, wanted)
    stem, _, ending = kind.rpartition("_")
    expected = wanted or _BY_TYPE.get(stem, "another value")
    if kind in FOREIGN:
        return _foreign(scrub(str(context.get("error", ""))), expected)
    if ending in {"type", "parsing", "float"}:
        return wrong_type(error.get("input"), expected)
    wrong = "is missing" if kind == "missing" else scrub(str(error["msg"]))
    return f"{wrong} (expected {expected})"


def _foreign(text: str, expected: str) -> str:
    """An adapter's own words, in the form of ours as far as they allow."""
    if text.startswith("expected "):
        return f"not valid ({text})"
    return text or f"not valid (expected {expected})"


def wrong_type(value: object, expected: str) -> str:
    """Says what stands there instead of `expected`."""
    if value is None:
        return f"is empty (expected {expected})"
    given = next((words for types, words in _GIVEN if isinstance(value, types)), "something else")
    if isinstance(value, bool | int | float) and expected == "text":
        return f"YAML reads this as {given} (expected text: put it in quotes)"
    return f"is {given} (expected {expected})"


def _bound(kind: str, context: Mapping[str, Any], wanted: str | None) -> str:
    wrong, relation, key = _BOUNDS[kind]
    bound = context[key]
    text = f"{bound:g}" if isinstance(bound, float) else str(bound)
    if wanted == DURATION_WORDS:
        text = write_duration(bound)
    elif wanted == SHARE_WORDS:
        text = f"{bound * 100:g}%"
    return f"{wrong} (expected {relation} {text})"


def _length(kind: str, context: Mapping[str, Any], wanted: str | None) -> str:
    wrong, relation, bound = _LENGTHS[kind], "at least", context.get("min_length")
    if bound is None:
        relation, bound = "at most", context["max_length"]
    unit = "characters" if wanted == "text" else "entries"
    if bound == 1 and relation == "at least":
        return f"is empty (expected {wanted or 'something'})"
    return f"{wrong} (expected {relation} {bound} {unit})"


def _choice(expected: str, given: str | None) -> str:
    known = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    wrong = "not known" if given is None else f'"{given}" is not known{nearest(given, known)}'
    return f"{wrong} (expected {one_of(known)})"
