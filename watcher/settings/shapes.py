"""What a model wants at a place: read off the annotations of pydantic models, in words and as types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo

from watcher.kit.units import DURATION_WORDS, SHARE_WORDS, parse_duration, parse_share

_UNITS: dict[object, str] = {parse_duration: DURATION_WORDS, parse_share: SHARE_WORDS}

# How a value of each type is called, most telling first.
_TYPES: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "true or false"),
    ((int,), "a whole number"),
    ((float,), "a number"),
    ((Mapping, dict, BaseModel), "a mapping of keys and values"),
    ((str, SecretStr), "text"),
    ((Sequence, set, frozenset), "a list"),
)
_BY_JSON = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys and values",
}


def one_of(names: Iterable[object]) -> str:
    """`one of a, b, c`, or the one name there is."""
    listed = [str(name) for name in names]
    return f"one of {', '.join(listed)}" if len(listed) != 1 else listed[0]


def wanted(field: FieldInfo) -> str:
    """What a field wants, in words."""
    return _words(field.annotation, field.metadata)


def wanted_at(model: type[BaseModel], path: Sequence[str | int]) -> str | None:
    """What `model` wants at `path`, in words; None if it knows no such place."""
    found = _at(model, path)
    return None if found is None else _words(*found)


def keys_at(model: type[BaseModel], path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that `model` knows at `path`, sorted."""
    found = _at(model, path)
    members = _members(found[0]) if found else ()
    return tuple(sorted({key for member in members if _is_model(member) for key in member.model_fields}))


def secret_texts(model: type[BaseModel], raw: Any) -> Iterator[str]:
    """Every text in `raw` that stands where `model` wants a secret."""
    for name, field in model.model_fields.items() if isinstance(raw, dict) else ():
        value = raw.get(name)
        yield from _texts(value) if "SecretStr" in repr(field.annotation) else ()
        for inner in _inner_models(field.annotation):
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            for item in (value, *inside):
                yield from secret_texts(inner, item)


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    unit = next((unit for item in metadata if (unit := _UNITS.get(getattr(item, "func", type(item))))), None)
    schema = next((item.json_schema for item in metadata if isinstance(item, WithJsonSchema)), None)
    origin, arguments = get_origin(annotation), get_args(annotation)
    kind = origin or annotation
    if unit is not None or schema:
        return unit or _from_schema(schema or {})
    if origin is Annotated:
        return _words(arguments[0], arguments[1:])
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_words(part) for part in arguments if part is not NoneType))
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return one_of(arguments or (member.value for member in annotation))
    return next((words for types, words in _TYPES if isinstance(kind, type) and issubclass(kind, types)), "a value")


def _from_schema(schema: Mapping[str, Any]) -> str:
    parts = schema.get("anyOf", [schema])
    return " or ".join(dict.fromkeys(_BY_JSON.get(part.get("type"), "a value") for part in parts))


def _at(model: type[BaseModel], path: Sequence[str | int]) -> tuple[Any, Sequence[Any]] | None:
    """The annotation at `path`, and its metadata."""
    here: tuple[Any, Sequence[Any]] | None = (model, ())
    for part in path:
        here = next((there for member in _members(here[0]) if (there := _inside(member, part))), None) if here else None
    return here


def _inside(member: Any, part: str | int) -> tuple[Any, Sequence[Any]] | None:
    arguments = get_args(member)
    if _is_model(member):
        field = member.model_fields.get(part)
        return (field.annotation, field.metadata) if field else None
    kind = get_origin(member)
    if not (isinstance(kind, type) and arguments):
        return None
    if issubclass(kind, Mapping) and isinstance(part, str):
        return arguments[1], ()
    return (arguments[0], ()) if isinstance(part, int) and not issubclass(kind, Mapping) else None


def _members(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union; without the wrapping of `Annotated`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _members(arguments[0])
    elif origin in {Union, UnionType}:
        for part in arguments:
            yield from _members(part)
    else:
        yield annotation


def _inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if _is_model(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _inner_models(part)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
