"""What a person decides about a watch: approve or refuse its rollback, or stop watching."""

from __future__ import annotations

from dataclasses import replace

from watcher.errors import ConflictError, NotFoundError
from watcher.model.order import RollbackState
from watcher.model.watch import Watch, WatchState
from watcher.store import orders, watches
from watcher.store.database import Database, Tx


def decide(database: Database, watch_id: str, *, approve: bool, by: str, reason: str, now: float) -> Watch:
    """Approves or refuses the rollback that waits for it; saying the same again changes nothing.

    Raises:
        NotFoundError: there is no such watch.
        ConflictError: no rollback waits for a decision.
    """
    wanted = RollbackState.APPROVED if approve else RollbackState.REFUSED
    with database.write() as tx:
        watch = _existing(tx, watch_id)
        order = orders.rollback_of(tx, watch.id)
        if order is None:
            raise ConflictError("this watch has no rollback to decide on")
        if order.state is wanted:
            return watch
        if order.state is not RollbackState.PLANNED or order.expires_at is None:
            raise ConflictError(f"the rollback is {order.state.value}, it no longer waits for a decision")
        moment = database.clock.read(tx, now)
        if order.expires_at <= moment.surely:
            raise ConflictError("the time to decide is over: the rollback has expired")
        text = f"{'approved' if approve else 'refused'} by {by}: {reason}"
        orders.change(
            tx,
            replace(
                order,
                state=wanted,
                updated_at=moment.at,
                next_at=moment.at,
                expires_at=None,
                decided_by=by,
                detail=text[:500],
            ),
        )
        watches.log(tx, watch.id, now, f"rollback_{wanted.value}", text)
        if approve:
            watches.change(tx, replace(watch, state=WatchState.RECOVERING))
        return _existing(tx, watch_id)


def stop(database: Database, watch_id: str, *, by: str, reason: str, now: float) -> Watch:
    """Ends a watch by a person's word; a rollback that still waits is refused.

    Raises:
        NotFoundError: there is no such watch.
        ConflictError: it has ended already.
    """
    with database.write() as tx:
        watch = _existing(tx, watch_id)
        if watch.ended:
            raise ConflictError(f"the watch is {watch.state.value} already")
        order = orders.rollback_of(tx, watch.id)
        if order is not None and order.state in (RollbackState.PLANNED, RollbackState.APPROVED):
            text = f"the watch was stopped by {by}: {reason}"
            at = database.clock.read(tx, now).at
            orders.change(
                tx,
                replace(order, state=RollbackState.REFUSED, updated_at=at, next_at=at, decided_by=by, detail=text),
            )
            watches.log(tx, watch.id, now, "rollback_refused", text)
        watches.change(tx, replace(watch, state=WatchState.STOPPED, ended_at=now, next_look_at=None))
        watches.log(tx, watch.id, now, "stopped", f"by {by}: {reason}")
        return _existing(tx, watch_id)


def _existing(tx: Tx, watch_id: str) -> Watch:
    watch = watches.get(tx, watch_id)
    if watch is None:
        raise NotFoundError(f"there is no watch {watch_id}")
    return watch
