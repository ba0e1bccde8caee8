"""The reference of every option as Markdown tables, made of the models that check the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from watcher import registry
from watcher.kit.http import Connection
from watcher.kit.units import DURATION_WORDS, SHARE_WORDS, write_duration
from watcher.settings import shapes
from watcher.settings.options import (
    HeartbeatOptions,
    LimitsOptions,
    ProxyOptions,
    ServerOptions,
    StoreOptions,
    TokenOptions,
)
from watcher.settings.sections import ADAPTER_SECTIONS
from watcher.settings.service_options import FreezeOptions, PolicyOptions, ServiceOptions, SignalOptions

_SHORT = {DURATION_WORDS: "duration", SHARE_WORDS: "share"}


def markdown() -> str:
    """A heading and a table for every model, in the order of the file; it knows every kind that is installed."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _table("`server`", ServerOptions)
    yield from _table("`server.tokens[]`", TokenOptions)
    yield from _table("`server.proxy`", ProxyOptions)
    yield from _table("`store`", StoreOptions)
    yield from _adapter("`heartbeat`", HeartbeatOptions)
    yield from _table("`limits`", LimitsOptions)
    yield from _table("`defaults`, and every service", PolicyOptions)
    yield from _table("`freeze[]`", FreezeOptions)
    own = ServiceOptions.model_fields.keys() - PolicyOptions.model_fields.keys()
    yield from _table("`services.<name>`, beside the above", ServiceOptions, own)
    yield from _table("`services.<name>.signals.<name>`", SignalOptions)
    yield from _table("Adapters that speak HTTP", Connection)
    for section in (*ADAPTER_SECTIONS, "rollback"):
        for kind in registry.kinds(section):
            adapter = registry.adapter(section, kind)
            yield from _adapter(f"`{section}`, kind `{kind}`", adapter.Options)
            if section == "sources":
                yield from _table(f"Signals of a `{kind}` source", adapter.Query)
            elif section == "ticket_systems":
                yield from _table(f"`query` of signals of a `{kind}` ticket system", adapter.Query)


def _adapter(title: str, model: type[BaseModel]) -> Iterator[str]:
    shared = Connection.model_fields.keys() if issubclass(model, Connection) else frozenset()
    own = [name for name, field in model.model_fields.items() if _is_own(name, field, shared)]
    yield from _table(title, model, own)
    if shared:
        yield from ["And the options of every adapter that speaks HTTP.", ""]


def _is_own(name: str, field: FieldInfo, shared: Iterable[str]) -> bool:
    """Whether it is the adapter's own, or another default for what all have."""
    if name not in shared:
        return True
    usual = Connection.model_fields[name]
    return (field.description, field.default) != (usual.description, usual.default)


def _table(title: str, model: type[BaseModel], only: Iterable[str] | None = None) -> Iterator[str]:
    names = model.model_fields if only is None else only
    rows = [(name, field) for name, field in model.model_fields.items() if name in names]
    yield from [f"### {title}", ""]
    if model.__doc__ and model is not PolicyOptions:
        yield from [" ".join(model.__doc__.split()), ""]
    if not rows:
        yield from ["No options of its own.", ""]
        return
    yield from ["| Option | Value | Default | Meaning |", "| --- | --- | --- | --- |"]
    for name, field in rows:
        wanted = shapes.wanted(field)
        cells = (f"`{name}`", _SHORT.get(wanted, wanted), _default(field, wanted), field.description or "")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _default(field: FieldInfo, wanted: str) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or (isinstance(value, tuple | dict | list | frozenset) and not value):
        return ""
    return f"`{_written(value, wanted)}`"


def _written(value: Any, wanted: str) -> str:
    if wanted == DURATION_WORDS:
        return write_duration(value)
    if wanted == SHARE_WORDS:
        return f"{value * 100:g}%"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | frozenset):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
