"""The composition root: settings -> objects -> threads, and the way back in reverse order."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

from watcher import __version__, registry
from watcher.engine.act import Actor
from watcher.engine.awaiting import migrated
from watcher.engine.collect import Collector
from watcher.engine.gather import Gather
from watcher.engine.guard import Door, Guard, guarded
from watcher.engine.housekeeping import Housekeeper
from watcher.engine.lease import RENEW_SECONDS, Keeper
from watcher.engine.loop import Loop, Supervisor
from watcher.engine.observations import Observations
from watcher.engine.rehearsal_process import RehearsalProcess
from watcher.engine.rehearser import Rehearser, exposed
from watcher.engine.send import Sender
from watcher.engine.watch import Watcher
from watcher.errors import StoreUnavailableError
from watcher.intake.generic import parse_deploy
from watcher.kit import clock
from watcher.kit.http import Connection, HttpClient, Polled
from watcher.model.series import Window
from watcher.model.service import Service, Signal
from watcher.model.tickets import Ticket
from watcher.ports import Collects, Http, Intake, MetricSource, Notifier, RollbackTarget, Tools
from watcher.settings import Adapter, Settings
from watcher.store import memory, orders, watches
from watcher.store.database import Database
from watcher.telemetry import logs
from watcher.telemetry.health import Heartbeats
from watcher.telemetry.metrics import Metrics
from watcher.tickets.counting import CountedTickets
from watcher.web.context import Token, Web
from watcher.web.server import Server, create_app

_LOOKERS = 4  # looks at once: they mostly wait for sources
_STOP_SECONDS = 8.0  # for what is in flight; the process is gone within ten
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything that reaches outside, by name. `sources` holds the ticket systems too, as counts."""

    hooks: Mapping[str, Intake]
    sources: Mapping[str, MetricSource]
    rollbacks: Mapping[str, RollbackTarget]
    notifiers: Mapping[str, Notifier]


def build_adapters(settings: Settings, database: Database) -> Adapters:
    """Makes every configured adapter; nothing is called yet."""

    def door(section: str, name: str, connection: Connection) -> Http:
        most = connection.requests_per_minute if isinstance(connection, Polled) else None
        http = HttpClient(connection)
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


def signals_of(services: Mapping[str, Service], source: str) -> Sequence[Signal]:
    """Every signal that asks `source`."""
    return [signal for service in services.values() for signal in service.signals if signal.source == source]


class App:
    """The daemon. `start` returns once it serves; `stop` ends it in reverse order and may be called twice."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = logs.logger("app")
        self.metrics = Metrics(__version__)
        self.heartbeats = Heartbeats(clock.monotonic, lambda loop: self.metrics.heartbeat.labels(loop).set(clock.now()))
        # In containers every process may be number 1 of a host with the same name.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.wake = Event()  # the daemon is to end
        self.supervisor = Supervisor(self.heartbeats, self.metrics, logs.logger("loop"))
        self._teardown = ExitStack()
        self.server: Server | None = None

    @property
    def port(self) -> int:
        """The port really bound."""
        if self.server is None:
            raise RuntimeError("not started")
        return self.server.port

    @property
    def alive(self) -> bool:
        """Whether every thread that must run does."""
        return not self.supervisor.died.is_set() and self.server is not None and self.server.alive

    def start(self) -> None:
        """Binds the port, migrates the store once it is there, then starts the loops; returns early if `wake` is set.

        Raises:
            StoreUnavailableError: the store can never be used as it is.
            WatcherError: the port cannot be bound.
        """
        for problem in self.settings.warnings:
            self.log.warning("config_warning", problem=str(problem))
        database = Database(self.settings.store_url.get_secret_value())
        self._teardown.callback(database.close)
        adapters = build_adapters(self.settings, database)
        keeper = Keeper(database, self.owner)
        self._expose_store(database)
        server = Server()
        server.start(create_app(self._web(database, adapters)), self.settings.server.host, self.settings.server.port)
        self.server = server
        self._teardown.callback(server.stop, 3.0)
        if not migrated(database, self.wake, self.log):
            return
        self._teardown.callback(self._let_go, keeper)
        self.supervisor.start(self._loops(database, adapters, keeper))
        self._teardown.callback(self._stop_loops)
        self.log.info(
            "started",
            version=__version__,
            listen=f"{self.settings.server.host}:{server.port}",
            services=sorted(self.settings.services),
        )

    def stop(self) -> None:
        self._teardown.close()
        self.log.info("stopped")

    def _stop_loops(self) -> None:
        late = self.supervisor.stop(_STOP_SECONDS - 3.0)
        if late:
            self.log.warning("stopped_in_flight", loops=late)

    def _let_go(self, keeper: Keeper) -> None:
        try:
            keeper.let_go()
        except StoreUnavailableError as error:
            self.log.warning("store_unavailable", error=str(error))

    def _expose_store(self, database: Database) -> None:
        def counted(query: Callable[[Any], Any]) -> Callable[[], Any]:
            def ask() -> Any:
                try:
                    with database.read() as tx:
                        return query(tx)
                except StoreUnavailableError:
                    return {}  # a scrape must not fail because the store does: absent series say so

            return ask

        self.metrics.watch_store(counted(watches.count_by_state), counted(orders.count), counted(exposed))

    def _loops(self, database: Database, adapters: Adapters, keeper: Keeper) -> list[Loop]:
        url = self.settings.server.external_url
        guards = {name: Guard(name, self.metrics, logs.logger("source")) for name in adapters.sources}
        watcher = Watcher(
            database,
            Gather(database, guarded(adapters.sources, guards), Observations(self.metrics, self.log)),
            keeper,
            self.metrics,
            url,
            logs.logger("watch"),
            self.settings.rollbacks_per_hour,
        )
        sender = Sender(database, adapters.notifiers, self.metrics, logs.logger("notify"))
        actor = Actor(database, adapters.rollbacks, sender, keeper, self.metrics, url, logs.logger("act"))
        longest = max((service.history for service in self.settings.services.values()), default=0.0)
        stopping = self.supervisor.stopping.is_set
        housekeeper = Housekeeper(database, longest, self.owner, logs.logger("housekeeping"), stopping)
        rehearser = Rehearser(
            database,
            list(self.settings.services),
            lambda service: RehearsalProcess(service, self.settings.file),
            self.owner,
            logs.logger("rehearse"),
        )
        self._teardown.callback(rehearser.stop)
        loops = [Loop(f"look-{number}", lambda now: watcher.step(now, stopping), 0.25) for number in range(_LOOKERS)]
        loops += [Loop(f"act-{number}", actor.step, 0.25) for number in range(2)]
        loops += [
            self._collecting(keeper, name, source, guards[name]) for name, source in _collecting(adapters.sources)
        ]
        loops += [
            Loop("keep-leases", keeper.step, RENEW_SECONDS),
            Loop("housekeeping", housekeeper.step, 60.0),
            Loop("rehearse", rehearser.step, 5.0),
        ]
        return loops

    def _collecting(self, keeper: Keeper, name: str, source: Collects, guard: Guard) -> Loop:
        collector = Collector(
            keeper,
            name,
            source,
            signals_of(self.settings.services, name),
            guard,
            logs.logger("collect"),
        )
        return Loop(f"collect-{name}", collector.step, min(source.interval / 10, 1.0))

    def _web(self, database: Database, adapters: Adapters) -> Web:
        def samples(watch_id: str, signal_name: str) -> Sequence[Ticket]:
            with database.read() as tx:
                watch = watches.get(tx, watch_id)
            if watch is None:
                return ()
            asked = next((s for s in watch.policy.signals if s.name == signal_name and s.is_tickets), None)
            source = adapters.sources.get(asked.source) if asked else None
            if asked is None or not isinstance(source, CountedTickets):
                return ()
            found: Sequence[Ticket] = source.samples(
                asked, Window(watch.started_at, watch.ticket_until, asked.step), _SAMPLES
            )
            return found

        server = self.settings.server
        return Web(
            database=database,
            services=self.settings.services,
            hooks=adapters.hooks,
            parse_deploy=parse_deploy,
            tokens=tuple(Token(token.name, token.token, token.scopes) for token in server.tokens),
            loopback=server.loopback,
            external_url=server.external_url,
            max_body=server.max_body,
            now=clock.now,
            health=self.heartbeats.dead,
            metrics=self.metrics.exposition,
            samples=samples,
            observe=self._observe_request,
            count=self._count_deploy,
        )

    def _observe_request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.metrics.http_requests.labels(route, method, str(status)).inc()
        self.metrics.http_duration.labels(route).observe(seconds)

    def _count_deploy(self, hook: str, outcome: str) -> None:
        self.metrics.deploys_received.labels(hook, outcome).inc()
        if outcome == "unwatched":
            self.metrics.unwatched_deploys.labels(hook).inc()


def _collecting(sources: Mapping[str, MetricSource]) -> list[tuple[str, Collects]]:
    return [(name, source) for name, source in sources.items() if isinstance(source, Collects)]


def run(settings: Settings) -> int:
    """Runs the daemon until a signal or the death of a loop; the exit status."""
    app = App(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: app.wake.set())
    try:
        app.start()
        while not app.wake.is_set() and app.alive:
            clock.wait(app.wake, 0.5)
        return 0 if app.wake.is_set() else 1
    finally:
        app.stop()
