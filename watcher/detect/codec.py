"""Frozen data of this room to bytes and back, bit for bit: a JSON header and raw arrays, compressed. No pickle."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
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
        return _reader(shape)(document["body"], raw[8 + size :]), header
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


_Read = Callable[[Any, bytes], Any]


@functools.cache
def _reader(shape: Any) -> _Read:  # noqa: PLR0911 - one branch a type
    """What makes an instance of `shape` of its packed value and the arrays' bytes; types are looked at only once."""
    origin, inner = get_origin(shape), get_args(shape)
    if origin in {Union, types.UnionType}:
        present = _reader(next(each for each in inner if each is not type(None)))
        return lambda value, buffer: None if value is None else present(value, buffer)
    if shape is np.ndarray or origin is np.ndarray:
        return _array
    if dataclasses.is_dataclass(shape) and isinstance(shape, type):
        hints = get_type_hints(shape)
        fields = [(field.name, _reader(hints[field.name])) for field in dataclasses.fields(shape) if field.init]
        return lambda value, buffer: shape(**{name: read(value[name], buffer) for name, read in fields})
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        each = _reader(inner[0])
        return lambda value, buffer: tuple([each(item, buffer) for item in value])
    if origin is tuple:
        places = [_reader(each) for each in inner]
        return lambda value, buffer: tuple([read(item, buffer) for read, item in zip(places, value, strict=True)])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item_of = _reader(inner[1])
        return lambda value, buffer: {key: item_of(item, buffer) for key, item in value.items()}
    if isinstance(shape, type) and issubclass(shape, Enum):
        return lambda value, _: shape(value)
    return lambda value, _: value


def _array(value: Any, buffer: bytes) -> Any:
    at, dtype, size = value
    return np.frombuffer(buffer, dtype=dtype, count=math.prod(size), offset=at).reshape(size)
