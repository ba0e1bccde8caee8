"""The composition root: settings -> objects -> threads, and the way back in reverse order."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Event

from watcher import __version__, reloading
from watcher.adapters import Adapters, build_adapters, samples, signals_of
from watcher.engine import heartbeat
from watcher.engine.act import Actor
from watcher.engine.awaiting import migrated
from watcher.engine.bands import Bands
from watcher.engine.calibrating import Calibrator
from watcher.engine.collect import Collector
from watcher.engine.exposing import expose_store
from watcher.engine.gather import Gather
from watcher.engine.guard import Guard, guarded
from watcher.engine.heartbeat import Heartbeat
from watcher.engine.housekeeping import Housekeeper
from watcher.engine.lease import RENEW_SECONDS, Keeper
from watcher.engine.loop import Loop, Supervisor
from watcher.engine.observations import Observations
from watcher.engine.rehearsal_process import RehearsalProcess
from watcher.engine.rehearser import Rehearser
from watcher.engine.rhythm import Rhythm
from watcher.engine.send import Sender
from watcher.engine.watch import Watcher
from watcher.errors import StoreUnavailableError
from watcher.intake.generic import parse_deploy
from watcher.kit import clock
from watcher.kit.http import HttpClient
from watcher.model.service import Service
from watcher.ports import Collects, MetricSource
from watcher.settings import HeartbeatOptions, Settings
from watcher.store import watches
from watcher.store.database import Database
from watcher.telemetry import logs
from watcher.telemetry.health import Heartbeats
from watcher.telemetry.metrics import Metrics
from watcher.web.context import Token, Web
from watcher.web.server import Server, create_app

_LOOKERS = 3  # batches of looks at once: they mostly wait for sources
_BEGINNERS = 2  # of first looks, which read and learn a whole history
# Rollbacks at once: a program may take an hour over one, and no other may wait for it. By themselves no more than three
# an hour go unless a budget says more; a thread that waits costs nothing, and all but the first ask rarely.
_ACTORS, _ACT_POLL = 8, 1.0
_POLL = 0.5  # seconds: what falls due meanwhile is asked for together
_LATE = 2.0  # seconds that a look may be late for that, if its watch is looked at so rarely that they do not matter
_STOP_SECONDS = 5.0  # for what is in flight; with the server's three the process is gone within ten
_RELOAD_SECONDS = 3.0  # for what is in flight; what takes longer ends beside the new loops


class App:
    """The daemon. `start` returns once it serves; `stop` ends it in reverse order and may be called twice."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = logs.logger("app")
        self.metrics = Metrics(__version__)
        self.heartbeats = Heartbeats(clock.monotonic, lambda loop: self.metrics.heartbeat.labels(loop).set(clock.now()))
        # In containers every process may be number 1 of a host with the same name.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.supervisor = self._supervisor()
        self.wake = Event()  # the daemon is to end
        self._calibrator = Calibrator(self._calibrator_died)
        self._teardown = ExitStack()
        self._running = ExitStack()  # what a reload replaces
        self._stop_seconds = _STOP_SECONDS
        self._reload: Callable[[Settings], None] | None = None
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
        database.on_unknown = lambda row, why: self.log.warning("written_by_a_newer_version", row=row, why=why)
        self._teardown.callback(database.close)
        adapters = build_adapters(self.settings, database, self.heartbeats.progress)
        keeper = Keeper(database, self.owner, self.heartbeats.beat)
        expose_store(self.metrics, database, lambda: self.settings.services)
        server = Server()
        server.start(create_app(self._web(database, adapters)), self.settings.server.host, self.settings.server.port)
        self.server = server
        self._teardown.callback(server.stop, 3.0)
        if not migrated(database, self.wake, self.log):
            return
        self._teardown.callback(self._let_go, keeper)
        self._teardown.callback(self._calibrator.stop)
        self._teardown.callback(lambda: self._running.close())  # noqa: PLW0108 -- the stack is another after a reload
        self._begin(self._loops(database, adapters, keeper))
        self._reload = lambda fresh: self._replace(fresh, database, adapters, keeper)
        self._reloaded()
        self.log.info(
            "started",
            version=__version__,
            listen=f"{self.settings.server.host}:{server.port}",
            services=sorted(self.settings.services),
        )

    def stop(self) -> None:
        self._teardown.close()
        self.log.info("stopped")

    def reload(self) -> bool:
        """Takes over the configuration file as it is now, whole or not at all; whether it did."""
        if self._reload is None:
            raise RuntimeError("not started")
        try:
            self._reload(reloading.read(self.settings, os.environ))
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with the new one, the old one goes on
            self.metrics.reload_successful.set(0)
            self.log.error("config_reload_failed", problems=reloading.problems(error))  # noqa: TRY400 -- it may hold secrets
            return False
        self._reloaded()
        return True

    def _reloaded(self) -> None:
        self.metrics.reload_successful.set(1)
        self.metrics.reload_time.set(clock.now())

    def _replace(self, fresh: Settings, database: Database, old: Adapters, keeper: Keeper) -> None:
        """Everything that the configuration makes, made anew; the store, the server and the leases stay."""
        with database.read() as tx:
            needed = reloading.needed(watches.open_policies(tx))
        adapters = reloading.merged(old, build_adapters(fresh, database, self.heartbeats.progress), needed)
        before = (self.settings, self.supervisor, self._running)
        self.settings, self.supervisor, self._running = fresh, self._supervisor(), ExitStack()
        try:
            web, loops = self._web(database, adapters), self._loops(database, adapters, keeper)
        except BaseException:
            self.settings, self.supervisor, self._running = before
            raise
        if self.server is not None:
            self.server.use(web)
        self._stop_seconds = _RELOAD_SECONDS
        before[2].close()
        self._stop_seconds = _STOP_SECONDS
        silent = before[1].names - {loop.name for loop in loops}
        for name in silent:
            self.heartbeats.forget(name)
        self.metrics.forget(
            sources=old.sources.keys() - adapters.sources.keys(),
            services=before[0].services.keys() - fresh.services.keys() - needed.services,
            loops=silent,
        )
        if not self.wake.is_set():
            self._begin(loops)
        self._reload = lambda next_one: self._replace(next_one, database, adapters, keeper)
        for problem in fresh.warnings:
            self.log.warning("config_warning", problem=str(problem))
        self.log.info("config_reloaded", **reloading.changes(before[0], fresh))

    def _supervisor(self) -> Supervisor:
        return Supervisor(self.heartbeats, self.metrics, logs.logger("loop"))

    def _begin(self, loops: Sequence[Loop]) -> None:
        self.supervisor.start(loops)
        self._running.callback(self._stop_loops, self.supervisor)

    def _stop_loops(self, supervisor: Supervisor) -> None:
        late = supervisor.stop(self._stop_seconds)
        if late:
            self.log.warning("stopped_in_flight", loops=late)

    def _let_go(self, keeper: Keeper) -> None:
        try:
            keeper.let_go()
        except StoreUnavailableError as error:
            self.log.warning("store_unavailable", error=str(error))

    def _loops(self, database: Database, adapters: Adapters, keeper: Keeper) -> list[Loop]:
        url = self.settings.server.external_url
        with database.read() as tx:  # running watches keep their signals, whatever the file says now
            policies = [*self.settings.services.values(), *watches.open_policies(tx)]
        guards = {name: Guard(name, self.metrics, logs.logger("source")) for name in adapters.sources}
        freezes = {name: service.freeze for name, service in self.settings.services.items()}
        watcher = Watcher(
            database,
            Gather(database, guarded(adapters.sources, guards), Observations(self.metrics, self.log), self._calibrator),
            keeper,
            self.metrics,
            url,
            logs.logger("watch"),
            self.settings.rollbacks_per_hour,
            freezes,
            Rhythm(_POLL, _LATE),
            self.heartbeats.progress,
        )
        sender = Sender(database, adapters.notifiers, keeper, self.metrics, logs.logger("notify"))
        actor = Actor(database, adapters.rollbacks, keeper, self.metrics, url, logs.logger("act"), freezes)
        longest = max((service.history for service in self.settings.services.values()), default=0.0)
        stopping = self.supervisor.stopping.is_set
        housekeeper = Housekeeper(
            database, self.settings.retention, longest, self.owner, logs.logger("housekeeping"), stopping
        )
        rehearser = Rehearser(
            database,
            list(self.settings.services),
            lambda service: RehearsalProcess(service, self.settings.file),
            self.owner,
            logs.logger("rehearse"),
        )
        self._running.callback(rehearser.stop)
        looking, beginning = partial(watcher.step, first=False), partial(watcher.step, first=True)
        loops = [Loop(f"look-{number}", lambda now: looking(now, stopping), _POLL) for number in range(_LOOKERS)]
        loops += [Loop(f"begin-{number}", lambda now: beginning(now, stopping), _POLL) for number in range(_BEGINNERS)]
        loops += [Loop(f"act-{number}", actor.step, _ACT_POLL if number else _POLL / 2) for number in range(_ACTORS)]
        loops += [Loop(f"tell-{name}", partial(sender.step, name), _POLL) for name in adapters.notifiers]
        loops += [
            self._collecting(policies, keeper, name, source, guards[name])
            for name, source in _collecting(adapters.sources)
        ]
        loops += [
            Loop("keep-leases", keeper.step, RENEW_SECONDS),
            Loop("housekeeping", housekeeper.step, 60.0),
            Loop("tell", sender.step_unknown, 10.0),
            Loop("rehearse", rehearser.step, 5.0),
        ]
        if self.settings.heartbeat is not None:
            loops.append(self._beating(self.settings.heartbeat, database, keeper, guards))
        return loops

    def _calibrator_died(self, status: int) -> None:
        self.metrics.calibrator_deaths.inc()
        self.log.error("calibrator_died", status=status)

    def _beating(
        self, options: HeartbeatOptions, database: Database, keeper: Keeper, guards: Mapping[str, Guard]
    ) -> Loop:
        checks = heartbeat.checks(self.heartbeats.dead, database, keeper, guards, options.blind_after)
        url, log = options.url.get_secret_value(), logs.logger("heartbeat")
        heart = Heartbeat(HttpClient(options), url, options.interval, checks, self.metrics, log)
        return Loop("heartbeat", heart.step, 1.0)

    def _collecting(
        self, policies: Sequence[Service], keeper: Keeper, name: str, source: Collects, guard: Guard
    ) -> Loop:
        collector = Collector(keeper, name, source, signals_of(policies, name), guard, logs.logger("collect"))
        return Loop(f"collect-{name}", collector.step, min(source.interval / 10, 1.0))

    def _web(self, database: Database, adapters: Adapters) -> Web:
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
            proxies=server.proxies,
            rates=server.rates,
            now=clock.now,
            health=self.heartbeats.dead,
            metrics=self.metrics.exposition,
            samples=partial(samples, database, adapters),
            banded=Bands(),
            observe=self._observe_request,
            count=self._count_deploy,
            clock_ahead=lambda hook: self.metrics.clock_ahead.labels(hook).inc(),
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
