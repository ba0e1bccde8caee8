"""Lets a source that keeps its own history take its samples, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from watcher.engine.lease import LEASE_SECONDS
from watcher.errors import ExternalError
from watcher.model.service import Signal
from watcher.ports import Collects
from watcher.store import memory
from watcher.store.database import Database


class Collector:
    """Takes the samples of one source; `signals` are all that ask it anything."""

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collects,
        signals: Sequence[Signal],
        owner: str,
        on_error: Callable[[str, ExternalError], None],
        log: Any,
    ) -> None:
        self._database = database
        self._name = name
        self._source = source
        self._signals = signals
        self._owner = owner
        self._on_error = on_error
        self._log = log
        self._due = 0.0
        self._failing = False

    def step(self, now: float) -> bool:
        """Takes one sample if it is time; whether it was."""
        if now < self._due and self._due - now <= self._source.interval:  # a clock set back must not stop us
            return False
        missed = self._due and now - self._due > self._source.interval
        self._due = now + self._source.interval if missed or not self._due else self._due + self._source.interval
        with self._database.write() as tx:
            if not memory.hold(tx, f"collect:{self._name}", self._owner, max(LEASE_SECONDS, 2 * self._source.interval)):
                return False
        try:
            self._source.collect(now, self._signals)
        except ExternalError as error:
            self._on_error(self._name, error)
            if not self._failing:
                self._log.warning("source_failing", source=self._name, error=str(error), fault=error.fault.value)
            self._failing = True
        else:
            if self._failing:
                self._log.info("source_recovered", source=self._name)
            self._failing = False
        return True
