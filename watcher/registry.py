"""Every kind of adapter on one screen: five literal tables, kind -> "module:Class", loaded on first use.

An outside package adds a kind by an entry point in the group named beside the table.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

INTAKE = MappingProxyType(
    {
        "generic": "watcher.intake.generic:Generic",
        "github": "watcher.intake.github:GitHub",
    }
)
SOURCES = MappingProxyType(
    {
        "prometheus": "watcher.sources.prometheus:Prometheus",
        "openmetrics": "watcher.sources.openmetrics:OpenMetrics",
        "http_json": "watcher.sources.http_json:HttpJson",
    }
)
TICKETS = MappingProxyType(
    {
        "request_tracker": "watcher.tickets.request_tracker:RequestTracker",
        "zendesk": "watcher.tickets.zendesk:Zendesk",
        "http_json": "watcher.tickets.http_json:HttpJson",
    }
)
ROLLBACK = MappingProxyType(
    {
        "webhook": "watcher.rollback.webhook:Webhook",
        "command": "watcher.rollback.command:Command",
    }
)
NOTIFY = MappingProxyType(
    {
        "log": "watcher.notify.log:Log",
        "slack": "watcher.notify.slack:Slack",
        "alertmanager": "watcher.notify.alertmanager:Alertmanager",
    }
)

# Configuration section -> (table, entry point group).
TABLES = MappingProxyType(
    {
        "hooks": (INTAKE, "deploy_watch.intake"),
        "sources": (SOURCES, "deploy_watch.sources"),
        "ticket_systems": (TICKETS, "deploy_watch.tickets"),
        "rollback": (ROLLBACK, "deploy_watch.rollback"),
        "notifiers": (NOTIFY, "deploy_watch.notify"),
    }
)


def kinds(section: str) -> tuple[str, ...]:
    """Every kind that `section` knows, sorted."""
    table, group = TABLES[section]
    return tuple(sorted({*table, *(point.name for point in entry_points(group=group))}))


def adapter(section: str, kind: str) -> Any:
    """The adapter class of `kind`; KeyError if there is none. It has `Options`, and `Query` where signals ask it."""
    table, group = TABLES[section]
    if kind in table:
        module, _, name = table[kind].partition(":")
        return getattr(import_module(module), name)
    for point in entry_points(group=group, name=kind):
        return point.load()
    raise KeyError(kind)
