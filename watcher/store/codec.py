"""Model <-> JSON text, by the model's own types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


_adapters: dict[Any, TypeAdapter[Any]] = {}  # made once a type: making one costs milliseconds


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def dump(value: Any) -> str:
    """A model instance as JSON."""
    return _adapter(type(value)).dump_json(value).decode()


def load(kind: type[T], text: str) -> T:
    """The model instance that `dump` wrote."""
    result: T = _adapter(kind).validate_json(text)
    return result


def compact(value: Any) -> str:
    """Plain JSON, keys sorted."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def mapping(text: str) -> Mapping[str, str]:
    return json.loads(text)  # type: ignore[no-any-return]  # written by `compact`
