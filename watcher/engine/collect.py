"""Lets a source that keeps its own history take its samples, in one process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watcher.engine.guard import Guard
from watcher.engine.lease import RENEW_SECONDS, Keeper
from watcher.errors import ExternalError, LeaseLostError
from watcher.model.service import Signal
from watcher.ports import Collects
from watcher.store.memory import Held


class Collector:
    """Takes the samples of one source; `signals` are all that ask it anything."""

    def __init__(
        self,
        keeper: Keeper,
        name: str,
        source: Collects,
        signals: Sequence[Signal],
        guard: Guard,
        log: Any,
    ) -> None:
        self._keeper = keeper
        self._name = name
        self._source = source
        self._signals = signals
        self._guard = guard
        self._log = log
        self._due = 0.0
        self._asked = 0.0
        self._failing = False

    def step(self, now: float) -> bool:
        """Takes one sample if it is time and no other process does; whether it did."""
        due = now >= self._due or self._due - now > self._source.interval  # a clock set back must not stop us
        if not due and abs(now - self._asked) < RENEW_SECONDS:
            return False
        self._asked = now
        held = self._keeper.hold(f"collect:{self._name}")
        if held is None or not due:
            return False
        missed = self._due and now - self._due > self._source.interval
        self._due = now + self._source.interval if missed or not self._due else self._due + self._source.interval
        self._collect(held, now)
        return True

    def _collect(self, held: Held, now: float) -> None:
        try:
            with self._keeper.keeping(held):
                self._guard.ask(lambda: self._source.collect(now, self._signals))
        except LeaseLostError:
            self._log.info("collect_lease_lost", source=self._name)
        except ExternalError as error:
            if not self._failing:
                self._log.warning("source_failing", source=self._name, error=str(error), fault=error.fault.value)
            self._failing = True
        else:
            if self._failing:
                self._log.info("source_recovered", source=self._name)
            self._failing = False
