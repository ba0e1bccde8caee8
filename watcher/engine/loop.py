"""Supervised threads: a loop survives what one step throws, and a loop that ends takes the daemon down loudly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from watcher.errors import StoreUnavailableError
from watcher.kit import clock
from watcher.telemetry.health import Heartbeats
from watcher.telemetry.metrics import Metrics

_BACKOFF = 2.0
_LIMIT = 300.0  # seconds without a beat after which a loop counts as dead


@dataclass(frozen=True, slots=True)
class Loop:
    """`step(now)` does one small piece of work and says whether there was any; without any, `idle` seconds pass."""

    name: str
    step: Callable[[float], bool]
    idle: float


class Supervisor:
    """Runs loops, each in its thread, until told to stop or until one dies."""

    def __init__(self, heartbeats: Heartbeats, metrics: Metrics, log: Any) -> None:
        self.stopping = Event()
        self.died = Event()  # a loop ended that should not have: the process must not go on
        self._heartbeats = heartbeats
        self._metrics = metrics
        self._log = log
        self._threads: list[Thread] = []

    @property
    def names(self) -> frozenset[str]:
        """Of the loops that were started."""
        return frozenset(thread.name for thread in self._threads)

    def start(self, loops: Sequence[Loop]) -> None:
        for loop in loops:
            self._heartbeats.expect(loop.name, _LIMIT)
            thread = Thread(target=self._run, args=(loop,), name=loop.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> list[str]:
        """Lets every loop finish its step; the names of those that did not within `seconds`."""
        self.stopping.set()
        deadline = clock.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - clock.monotonic(), 0.0))
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _run(self, loop: Loop) -> None:
        failing = False
        try:
            while not self.stopping.is_set():
                pause = loop.idle
                try:
                    if loop.step(clock.now()):
                        pause = 0.0
                    if failing:
                        self._log.info("loop_recovered", loop=loop.name)
                    failing = False
                except StoreUnavailableError as error:
                    if not failing:
                        self._log.warning("store_unavailable", loop=loop.name, error=str(error))
                    failing, pause = True, _BACKOFF
                except Exception:  # noqa: BLE001  # one bad step must not stop the others
                    self._log.exception("loop_error", loop=loop.name)
                    self._metrics.loop_errors.labels(loop.name).inc()
                    failing, pause = True, _BACKOFF
                self._heartbeats.beat(loop.name)
                if pause:
                    clock.wait(self.stopping, pause)
        except BaseException:
            self._log.exception("loop_died", loop=loop.name)
            self._heartbeats.kill(loop.name)
            self.died.set()
            raise
