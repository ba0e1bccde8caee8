"""Carries out a drill: a dry-run order that goes the way of a rollback, and counts as none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watcher.engine import calls
from watcher.model.order import RollbackOrder, RollbackState
from watcher.ports import RollbackTarget
from watcher.store import orders
from watcher.store.database import Database
from watcher.store.orders import Order
from watcher.telemetry.metrics import Metrics

_ATTEMPTS = 3  # whoever drills is watching


class Driller:
    """The same states, the same intent before the call and the same call as for a rollback; but no watch, no note."""

    def __init__(self, database: Database, targets: Mapping[str, RollbackTarget], metrics: Metrics, log: Any) -> None:
        self._database = database
        self._targets = targets
        self._metrics = metrics
        self._log = log

    def carry_out(self, order: Order, payload: RollbackOrder, now: float) -> None:
        """Makes the call of a claimed drill and writes what came of it."""
        target = self._targets.get(order.target)
        if target is None:
            detail = "the service has no rollback target any more"
            self._conclude(order, calls.Result(RollbackState.FAILED, detail), now)
            return
        intent = replace(order, state=RollbackState.ATTEMPTED, attempts=order.attempts + 1, updated_at=now)
        with self._database.write() as tx:
            orders.save(tx, intent, keep_lease=True)
        self._log.info("drill_attempted", service=order.target, drill=order.id, attempt=intent.attempts)
        with self._database.read() as tx:
            orders.check_held(tx, intent)
        out = order.state is RollbackState.ATTEMPTED
        self._conclude(intent, calls.call(payload, target, intent.attempts, _ATTEMPTS, out=out), now)

    def _conclude(self, order: Order, result: calls.Result, now: float) -> None:
        next_at = None if result.wait is None else now + result.wait
        detail, reference = result.detail, result.reference
        stands = replace(order, state=result.state, next_at=next_at, detail=detail, reference=reference, updated_at=now)
        with self._database.write() as tx:
            orders.save(tx, stands)
        if next_at is None:
            self._metrics.drills.labels(order.target, result.state.value).inc()
        self._log.info("drill", service=order.target, drill=order.id, state=result.state.value, detail=detail)
