"""What pydantic found, in our own words: what is wrong, and what was expected there."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from watcher.kit.units import DURATION_WORDS, SHARE_WORDS, write_duration
from watcher.settings.shapes import one_of

# Errors whose text an adapter wrote.
FOREIGN = frozenset({"value_error", "assertion_error"})

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


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean "window"?` if one of `known` is near, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def explain(error: Mapping[str, Any], wanted: str | None, given: str | None, scrub: Callable[[str], str]) -> str:
    """One sentence for one error of pydantic.

    Args:
        error: an entry of `ValidationError.errors()`.
        wanted: what the place wants, in words, if that is known.
        given: the value as it may be shown; None if it must not be.
        scrub: takes secrets out of words that are not ours.
    """
    kind, context = error["type"], error.get("ctx", {})
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
    if kind == "string_pattern_mismatch":
        return f"has another form (expected text that matches {context['pattern']})"
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
    if isinstance(value, bool | int | float) and expected.startswith("text"):
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
    unit = "characters" if (wanted or "").startswith("text") else "entries"
    if bound == 1 and relation == "at least":
        return f"is empty (expected {'text' if unit == 'characters' else 'at least one entry'})"
    return f"{wrong} (expected {relation} {bound} {unit})"


def _choice(expected: str, given: str | None) -> str:
    known = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    wrong = "not known" if given is None else f'"{given}" is not known{nearest(given, known)}'
    return f"{wrong} (expected {one_of(known)})"
