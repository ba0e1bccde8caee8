"""The JSON schema of the configuration, for editors: made of the same models that check it.

It is a little wider than the loader: what depends on another part of the file (a name that must exist, a window that
must be the longer one) only the loader can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from watcher import registry
from watcher.kit.http import Connection
from watcher.settings.options import HeartbeatOptions, LimitsOptions, ServerOptions, StoreOptions
from watcher.settings.report import NAME
from watcher.settings.sections import ADAPTER_SECTIONS
from watcher.settings.service_options import PolicyOptions, ServiceOptions, SignalOptions

_Schema = dict[str, Any]

# Any scalar may be brought in from outside.
_BROUGHT_IN: _Schema = {"type": "string", "pattern": r"\$\{.+\}|^file:"}
_REFERENCE: _Schema = {"$ref": "#/$defs/reference"}
_NAMES: _Schema = {"pattern": f"^{NAME.pattern}$"}
_SCALARS = frozenset({"integer", "number", "boolean"})
_LIMITS = frozenset({"pattern", "minLength", "maxLength", "enum", "const"})
_ABOUT = ("description", "default", "deprecated")


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12; it knows every kind of adapter that is installed."""
    catalogue = _Catalogue()
    properties: _Schema = {
        "server": catalogue.of(ServerOptions),
        "store": catalogue.of(StoreOptions),
        **{section: _named(catalogue.adapters(section)) for section in ADAPTER_SECTIONS},
        "heartbeat": catalogue.of(HeartbeatOptions),
        "limits": catalogue.of(LimitsOptions),
        "defaults": catalogue.of(PolicyOptions),
        "services": _named(_service(catalogue)) | {"minProperties": 1},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of deploy-watch",
        "type": "object",
        "additionalProperties": False,
        "required": ["services"],
        "properties": properties,
        "$defs": dict(sorted(catalogue.definitions.items())),
    }


class _Catalogue:
    """The definitions so far: one a model, under a name that does not move when modules do."""

    def __init__(self) -> None:
        self.definitions: _Schema = {"reference": _BROUGHT_IN}

    def of(self, model: type[BaseModel], name: str = "", **more: Any) -> _Schema:
        """A reference to `model`; `more` are properties that stand before its own and are required."""
        name = name or model.__name__.removesuffix("Options").lower()
        if name not in self.definitions:
            self.definitions[name] = {}  # its place, should it contain itself
            self.definitions[name] = self._made(model, name, more)
        return {"$ref": f"#/$defs/{name}"}

    def adapters(self, section: str) -> _Schema:
        kinds = registry.kinds(section)
        made = [
            self.of(registry.adapter(section, kind).Options, f"{section}.{kind}", kind={"const": kind})
            for kind in kinds
        ]
        return {"oneOf": made} if len(made) > 1 else made[0]

    def inline(self, model: type[BaseModel], name: str) -> _Schema:
        """The definition itself, to be mixed with another."""
        self.of(model, name)
        schema: _Schema = self.definitions.pop(name)
        return schema

    def _shared(self, properties: _Schema) -> _Schema:
        """With references to what every adapter that speaks HTTP has."""
        self.of(Connection)
        usual = self.definitions["connection"]["properties"]
        return {
            key: {"$ref": f"#/$defs/connection/properties/{key}"} if usual.get(key) == item else item
            for key, item in properties.items()
        }

    def _made(self, model: type[BaseModel], name: str, more: Mapping[str, Any]) -> _Schema:
        whole = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, item in whole.pop("$defs", {}).items():
            self.definitions[f"{name}.{inner}"] = _tidy(item)
        schema: _Schema = _tidy(whole)
        if issubclass(model, Connection) and model is not Connection:
            schema["properties"] = self._shared(schema["properties"])
        schema["properties"] = {**more, **schema.get("properties", {})}
        if required := [*more, *schema.get("required", [])]:
            schema["required"] = required
        return schema


def _named(item: _Schema) -> _Schema:
    return {"type": "object", "propertyNames": _NAMES, "additionalProperties": item}


def _service(catalogue: _Catalogue) -> _Schema:
    reference = catalogue.of(ServiceOptions)
    properties = catalogue.definitions["service"]["properties"]
    properties["signals"] |= _named({"anyOf": _signals(catalogue)})
    properties["rollback"] = {"description": properties["rollback"]["description"], **catalogue.adapters("rollback")}
    return reference


def _signals(catalogue: _Catalogue) -> list[_Schema]:
    """One way to write a signal a kind of source; ticket systems share theirs but for `query`."""
    catalogue.of(SignalOptions)
    own = catalogue.definitions["signal"]
    made = []
    for kind in registry.kinds("sources"):
        query = catalogue.inline(registry.adapter("sources", kind).Query, f"query.{kind}")
        made.append(_signal(own, "source", query, f"signal.{kind}", catalogue))
    queries = [
        catalogue.of(registry.adapter("ticket_systems", kind).Query, f"ticket_query.{kind}")
        for kind in registry.kinds("ticket_systems")
    ]
    tickets: _Schema = {"properties": {"query": {"anyOf": queries}}}
    return [*made, _signal(own, "tickets", tickets, "signal.tickets", catalogue)]


def _signal(own: _Schema, asks: str, query: _Schema, name: str, catalogue: _Catalogue) -> _Schema:
    other = {"source": "tickets", "tickets": "source"}[asks]
    properties = {key: {"$ref": f"#/$defs/signal/properties/{key}"} for key in own["properties"] if key != other}
    control: _Schema = {"properties": {"role": {"const": "control"}}, "required": ["role"]}
    catalogue.definitions[name] = {
        "type": "object",
        "description": own["description"],
        "additionalProperties": False,
        "properties": properties | query.get("properties", {}),
        "required": [asks, *(["kind"] if asks == "source" else []), *query.get("required", [])],
        "anyOf": [{"required": ["harm"]}, control],
    }
    return {"$ref": f"#/$defs/{name}"}


def _tidy(schema: Any, *, named: bool = False) -> Any:
    """Without pydantic's titles, and with references allowed wherever a scalar is narrower than any text.

    `named`: whether the keys of `schema` are names of properties.
    """
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {
        key: item
        if key in {"default", "const", "enum", "required"} and not named
        else _tidy(item, named=key in _BY_NAME)
        for key, item in schema.items()
        if named or key not in {"title", "writeOnly", "format"}
    }
    return inner if named else _referable(inner)


_BY_NAME = frozenset({"properties", "$defs", "patternProperties"})


def _referable(schema: _Schema) -> _Schema:
    options = schema.get("anyOf", [])
    if schema.get("type") in _SCALARS or ("type" in schema and schema["type"] == "string" and _LIMITS & schema.keys()):
        about = {key: schema.pop(key) for key in _ABOUT if key in schema}
        return {"anyOf": [schema, _REFERENCE], **about}
    if any(_REFERENCE in option.get("anyOf", []) for option in options):
        flat = [part for option in options for part in option.get("anyOf", [option]) if part != _REFERENCE]
        return {**schema, "anyOf": [*flat, _REFERENCE]}
    return schema
