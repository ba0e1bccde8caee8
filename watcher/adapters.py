"""Settings -> adapters: everything that reaches outside, made once for the daemon and for the commands alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from watcher import registry
from watcher.engine.guard import Door
from watcher.kit import clock
from watcher.kit.http import Connection, HttpClient, Polled
from watcher.model.series import Window
from watcher.model.service import Service, Signal
from watcher.model.tickets import Ticket
from watcher.ports import Http, Intake, MetricSource, Notifier, RollbackTarget, Tools
from watcher.settings import Adapter, Settings
from watcher.store import memory, watches
from watcher.store.database import Database
from watcher.tickets.counting import CountedTickets

_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything that reaches outside, by name. `sources` holds the ticket systems too, as counts."""

    hooks: Mapping[str, Intake]
    sources: Mapping[str, MetricSource]
    rollbacks: Mapping[str, RollbackTarget]
    notifiers: Mapping[str, Notifier]


def build_adapters(settings: Settings, database: Database, exchanged: Callable[[], None] = lambda: None) -> Adapters:
    """Makes every configured adapter; nothing is called yet. `exchanged` is told whenever an HTTP exchange ends."""

    def door(section: str, name: str, connection: Connection) -> Http:
        most = connection.requests_per_minute if isinstance(connection, Polled) else None
        http = HttpClient(connection, lambda *_: exchanged())
        return http if most is None else Door(http, database, f"{section}:{name}", most)

    def make(section: str, adapter: Adapter) -> Any:
        tools = Tools(
            http=partial(door, section, adapter.name),
            memory=memory.StoreMemory(database, f"{section}:{adapter.name}"),
            now=clock.now,
        )
        return registry.adapter(section, adapter.kind)(adapter.name, adapter.options, tools)

    def all_of(section: str, adapters: Mapping[str, Adapter]) -> dict[str, Any]:
        return {name: make(section, adapter) for name, adapter in adapters.items()}

    counted = {
        name: CountedTickets(system, memory.StoreMemory(database, f"ticket_counts:{name}"))
        for name, system in all_of("ticket_systems", settings.ticket_systems).items()
    }
    return Adapters(
        hooks=all_of("hooks", settings.hooks),
        sources=all_of("sources", settings.sources) | counted,
        rollbacks=all_of("rollback", settings.rollbacks),
        notifiers=all_of("notifiers", settings.notifiers),
    )


def signals_of(services: Iterable[Service], source: str) -> Sequence[Signal]:
    """Every signal that asks `source`, once."""
    found: list[Signal] = []
    for signal in (signal for service in services for signal in service.signals if signal.source == source):
        if signal not in found:
            found.append(signal)
    return found


def samples(database: Database, adapters: Adapters, watch_id: str, signal_name: str) -> Sequence[Ticket]:
    """Recent tickets of a watch's ticket signal, redacted; none if there is no such watch, signal or system."""
    with database.read() as tx:
        watch = watches.get(tx, watch_id)
    if watch is None:
        return ()
    asked = next((signal for signal in watch.policy.signals if signal.name == signal_name and signal.is_tickets), None)
    source = adapters.sources.get(asked.source) if asked else None
    if asked is None or not isinstance(source, CountedTickets):
        return ()
    found: Sequence[Ticket] = source.samples(asked, Window(watch.started_at, watch.ticket_until, asked.step), _SAMPLES)
    return found
