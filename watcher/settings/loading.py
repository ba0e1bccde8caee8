"""From a file's name to settings: everything that is wrong is gathered before anything is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from watcher.model.service import Mode, Service
from watcher.settings import document, references, sections, shapes, words
from watcher.settings.report import Report
from watcher.settings.services import compile_services, inherited
from watcher.settings.types import Server, Settings

SECTIONS = ("server", "store", *sections.ADAPTER_SECTIONS, "heartbeat", "limits", "defaults", "services")


def load(path: str, environ: Mapping[str, str]) -> Settings:
    """The settings in the file `path`, with `${NAME}` taken from `environ`.

    Raises:
        ConfigError: every problem at once, in the order of the file.
    """
    file = document.read(path)
    report = Report(file, references.resolve(file, environ))
    top = _top(file.value, report)
    server = sections.server(top["server"], report)
    store = sections.store(top["store"], report)
    given = isinstance(file.value, dict) and "heartbeat" in file.value
    heartbeat = sections.heartbeat(top["heartbeat"], report, given=given)
    rollbacks_per_hour = sections.rollbacks_per_hour(top["limits"], report)
    known = sections.known(top, report)
    defaults = inherited(top["defaults"], report)
    rollbacks, services = compile_services(top["services"], defaults, known, report)
    report.finish()
    if server is None or store is None:
        raise AssertionError("a section without a value has a problem")
    _check_approvers(server, services, report)
    _check_told(services, report)
    return Settings(
        file=path,
        server=server,
        store_url=store[0],
        retention=store[1],
        **{section: MappingProxyType(known.adapters[section]) for section in sections.ADAPTER_SECTIONS},
        rollbacks=MappingProxyType(rollbacks),
        services=MappingProxyType({service.name: service for service in services}),
        rollbacks_per_hour=rollbacks_per_hour,
        heartbeat=heartbeat,
        warnings=report.warnings,
    )


def _check_approvers(server: Server, services: Iterable[Service], report: Report) -> None:
    """Mode `act` asks too: beyond a budget, in a freeze, after a restore. Without tokens this machine needs none."""
    asks = next((service.name for service in services if service.mode is not Mode.OBSERVE), None)
    scopes = server.proxies.user_scopes.union(*(token.scopes for token in server.tokens))
    free = server.loopback and not server.tokens
    if asks and not free and "approve" not in scopes:
        report.warn(("server", "tokens"), f"nobody can approve a rollback of {asks}: no token has the scope approve")


def _check_told(services: Iterable[Service], report: Report) -> None:
    """Whoever is to approve, or to go on where a rollback did not, has to hear of it."""
    able = (service for service in services if service.mode is not Mode.OBSERVE)
    silent = next((service.name for service in able if not service.notify), None)
    if silent:
        report.warn(("services", silent), "nobody is told when a rollback is wanted, made or fails: it has no `notify`")


def _top(value: object, report: Report) -> dict[str, dict[str, Any]]:
    """Every section as a mapping; one that is missing or wrong is empty."""
    expected = f"the sections {', '.join(SECTIONS)}"
    raw = report.mapping(value, (), expected)
    for name in raw:
        if name not in SECTIONS:
            report.add((name,), f"unknown section{words.nearest(name, SECTIONS)} (expected {shapes.one_of(SECTIONS)})")
    if isinstance(value, dict) and not raw.get("services", {}):
        wrong = "names no service" if raw.get("services") == {} else "is missing"
        report.add(("services",), f"{wrong} (expected at least one service)")
    present = {name: raw[name] for name in SECTIONS if name in raw}
    top = {name: dict(report.mapping(item, (name,), "a mapping of keys and values")) for name, item in present.items()}
    return {name: top.get(name, {}) for name in SECTIONS}
