"""Makes many services of one that is written once: all that differs is the name, and what the name is put into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from watcher import registry
from watcher.model.service import Service, Signal
from watcher.settings.document import Path
from watcher.settings.report import Report
from watcher.settings.sections import Known
from watcher.settings.service_options import ServiceOptions

SERVICE = "$service"  # in a template: the name of each of its services


def expanded(path: Path, service: Service, own: ServiceOptions, known: Known, report: Report) -> list[Service]:
    """The services that `service` stands for: itself, unless it is a template."""
    if own.each is None:
        if own.label is not None:
            report.add((*path, "label"), "goes with each (expected no such key)")
        return [service]
    _check(path, own, report)
    kinds = {signal.name: known.kinds["sources"].get(signal.source) for signal in service.signals}
    label = own.label or "service"
    return [_one(service, own, name, label, kinds) for name in dict.fromkeys(own.each)]


def _check(path: Path, own: ServiceOptions, report: Report) -> None:
    names = own.each or ()
    for index, name in enumerate(names):
        if report.name((*path, "each", name)) and name in names[:index]:
            report.add((*path, "each", index), "the name stands twice (expected it once)")
    if own.match is not None and not any(SERVICE in pattern for pattern in own.match.values()):
        report.add((*path, "match"), f"matches the same deploys for every service (expected {SERVICE} in a pattern)")


def _one(service: Service, own: ServiceOptions, name: str, label: str, kinds: Mapping[str, str | None]) -> Service:
    return replace(
        service,
        name=name,
        match={attribute: pattern.replace(SERVICE, name) for attribute, pattern in own.match.items()}
        if own.match
        else {"service": name},
        signals=tuple(_asked(signal, name, label, kinds[signal.name]) for signal in service.signals),
        rollback=name if service.rollback is not None else None,
    )


def _asked(signal: Signal, name: str, label: str, kind: str | None) -> Signal:
    """The signal of the service `name`; a source that can tell services apart by a label is told which one it is."""
    query = _filled(signal.query, name)
    if kind is not None and "member" in registry.adapter("sources", kind).Query.model_fields:
        query = {"member": {"label": label, "value": name}} | query
    return replace(signal, query=query)


def _filled(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return value.replace(SERVICE, name)
    if isinstance(value, Mapping):
        return {key: _filled(item, name) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_filled(item, name) for item in value]
    return value
