"""Frozen data of this room to bytes and back, bit for bit: a JSON header and raw arrays, compressed. No pickle."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import zlib
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

MAGIC = b"WCAL"


def encode(value: Any, header: Mapping[str, str]) -> bytes:
    """Deterministic: the same data give the same bytes."""
    arrays: list[bytes] = []
    body = _pack(value, arrays)
    text = json.dumps({"header": dict(header), "body": body}, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + zlib.compress(len(text).to_bytes(8, "big") + text + b"".join(arrays), 6)


def decode(
    data: bytes, shape: Any, admit: Callable[[Mapping[str, str]], None] = lambda _: None
) -> tuple[Any, dict[str, str]]:
    """What `encode` was given, as an instance of `shape` (a dataclass), and its header.

    Args:
        data: what `encode` made.
        shape: `object` for the bare data.
        admit: is shown the header first, and raises if what follows it must not be read.

    Raises:
        ValueError: these bytes are no such record.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("not a calibration")
    try:
        raw = zlib.decompress(data[len(MAGIC) :])
        size = int.from_bytes(raw[:8], "big")
        document = json.loads(raw[8 : 8 + size])
        header = dict(document["header"])
        admit(header)
        return _unpack(document["body"], shape, raw[8 + size :]), header
    except (zlib.error, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a calibration: {error}") from None


def _pack(value: Any, arrays: list[bytes]) -> Any:  # noqa: PLR0911 - one branch a type
    if isinstance(value, np.ndarray):
        at = sum(map(len, arrays))
        arrays.append(np.ascontiguousarray(value).tobytes())
        return [at, value.dtype.str, list(value.shape)]
    if dataclasses.is_dataclass(value):
        return {field.name: _pack(getattr(value, field.name), arrays) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _pack(each, arrays) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_pack(each, arrays) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


@functools.cache
def _hints(shape: type) -> Mapping[str, Any]:
    """Types of a dataclass's fields; finding them out costs more than all else here."""
    return get_type_hints(shape)


def _unpack(value: Any, shape: Any, buffer: bytes) -> Any:  # noqa: PLR0911 - one branch a type
    origin, inner = get_origin(shape), get_args(shape)
    if origin in {Union, types.UnionType}:
        if value is None:
            return None
        return _unpack(value, next(each for each in inner if each is not type(None)), buffer)
    if shape is np.ndarray or origin is np.ndarray:
        at, dtype, size = value
        count = int(np.prod(size))
        return np.frombuffer(buffer, dtype=np.dtype(dtype), count=count, offset=at).reshape(size)
    if dataclasses.is_dataclass(shape) and isinstance(shape, type):
        hints = _hints(shape)
        return shape(**{field.name: _unpack(value[field.name], hints[field.name], buffer) for field in _init(shape)})
    if origin is tuple:
        each = inner[0] if len(inner) == 2 and inner[1] is Ellipsis else None
        return tuple(_unpack(item, each or inner[place], buffer) for place, item in enumerate(value))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _unpack(item, inner[1], buffer) for key, item in value.items()}
    if isinstance(shape, type) and issubclass(shape, Enum):
        return shape(value)
    return value


def _init(shape: Any) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(shape) if field.init)
