"""Addresses of services as a configuration gives them, and how to speak of a service without its secrets."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, SecretStr

from watcher.kit import clock
from watcher.kit.expressions import TimeUnit
from watcher.kit.http import Connection
from watcher.kit.outside import is_web_url, one_line

_SHORTEST = 3  # a secret of one letter would tear every text apart


def _web(text: str) -> str:
    if not is_web_url(text):
        raise ValueError("not an address (expected http:// or https://, a host, and no password in it)")
    return text


def _base(text: str) -> str:
    return _web(text).rstrip("/")


WebUrl = Annotated[str, AfterValidator(_web)]
BaseUrl = Annotated[str, AfterValidator(_base)]  # paths are appended to it


def placeholders(start: float, end: float, step: float, unit: TimeUnit) -> Callable[[str], str]:
    """A function that fills `{start}`, `{end}` and `{step}` into a text; `step` is always in seconds."""

    def written(at: float) -> str:
        return clock.iso(at) if unit == "iso" else f"{at * (1000 if unit == 'ms' else 1):.0f}"

    values = {"{start}": written(start), "{end}": written(end), "{step}": f"{step:g}"}

    def fill(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    return fill


def quoted_answer(text: Any, connection: Connection, limit: int = 200) -> str:
    """What a service said, on one line, at most `limit` characters, without any secret of its own connection."""
    line = one_line(str(text), 4 * limit)
    for secret in sorted(set(_secrets(connection)), key=len, reverse=True):
        line = line.replace(secret, "***")
    return one_line(line, limit)


def _secrets(connection: Connection) -> Iterator[str]:
    for secret in _values(connection):
        if len(secret) >= _SHORTEST:
            yield secret
            yield base64.b64encode(f"{connection.username or ''}:{secret}".encode()).decode()


def _values(model: Any) -> Iterator[str]:
    if isinstance(model, SecretStr):
        yield model.get_secret_value()
    elif isinstance(model, BaseModel):
        for name in type(model).model_fields:
            yield from _values(getattr(model, name))
    elif isinstance(model, dict):
        for value in model.values():
            yield from _values(value)
