"""Orders claimed by lease to be carried out: rollbacks apart from notes, so that none of them waits for a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import ColumnElement, Float, Row, bindparam, literal_column, or_, select, update

from watcher.model.order import RollbackState
from watcher.store.database import Tx, database_time, free_to_take
from watcher.store.orders import DRILL, NOTE, ROLLBACK, NoteState, Order, to_order
from watcher.store.prepared import Prepared
from watcher.store.schema import orders, spelled
from watcher.store.unknown import readable


def _taking(due_at: ColumnElement[float | None], *wanted: ColumnElement[bool]) -> Prepared:
    lease = bindparam("lease", type_=Float)
    free = (
        select(orders.c.id)
        .where(due_at <= bindparam("the_time"), free_to_take(orders.c.lease_until, lease), *wanted)
        .order_by(due_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    return Prepared(
        update(orders)
        .where(orders.c.id.in_(free.scalar_subquery()))
        .values(owner=bindparam("the_owner"), lease_until=database_time() + lease, fence=orders.c.fence + 1)
        .returning(orders)
    )


# In these states a rollback may be due. The few of them are found by kind and state, however many notes are due: a sum
# is looked up in no index of times.
_LIVE = (RollbackState.PLANNED, RollbackState.APPROVED, RollbackState.ATTEMPTED, RollbackState.REFUSED)
_TAKE_ROLLBACKS = _taking(
    orders.c.next_at + literal_column("0.0", Float),
    orders.c.kind.in_([spelled(ROLLBACK), spelled(DRILL)]),
    orders.c.state.in_([spelled(state.value) for state in _LIVE]),
    or_(
        orders.c.state != spelled(RollbackState.PLANNED.value),
        orders.c.expires_at.is_(None),
        orders.c.expires_at <= bindparam("the_end", type_=Float),
    ),
)
_TAKE_NOTES = _taking(orders.c.next_at, orders.c.kind == spelled(NOTE), orders.c.target == bindparam("the_target"))


def claim_rollbacks(
    tx: Tx, now: float, owner: str, limit: int, lease_seconds: float, *, expired: float | None = None
) -> Sequence[Order]:
    """Takes up to `limit` rollbacks and drills that are due at `now` and that nobody holds, rollbacks first.

    `expired`: which of those that wait for a person are due, by their ends; `now`, unless it is given.
    """
    asked = {"the_time": now, "the_owner": owner, "most": limit, "lease": lease_seconds}
    found = _taken(tx, _TAKE_ROLLBACKS, asked | {"the_end": now if expired is None else expired})
    return sorted(found, key=lambda order: (order.kind != ROLLBACK, order.created_at))


def claim_notes(tx: Tx, now: float, owner: str, limit: int, lease_seconds: float, notifier: str) -> Sequence[Order]:
    """Takes up to `limit` notes to `notifier` that are due at `now` and that nobody holds, oldest first."""
    asked = {"the_time": now, "the_owner": owner, "most": limit, "lease": lease_seconds}
    return sorted(_taken(tx, _TAKE_NOTES, asked | {"the_target": notifier}), key=lambda order: order.created_at)


def _taken(tx: Tx, statement: Prepared, asked: Mapping[str, Any]) -> Sequence[Order]:
    """What was taken; what a newer version alone understands is left to it."""
    left: list[str] = []
    found: list[Order] = []
    while not found and (rows := statement.rows(tx, **asked)):
        found = readable(tx, rows, _claimed)
        left += {row.id for row in rows} - {order.id for order in found}
    if left:
        tx.execute(update(orders).where(orders.c.id.in_(left)).values(lease_until=0.0))
    return found


def _claimed(row: Row[Any]) -> Order:
    """`ValueError` if it has a word of a newer version, who alone may go on with it."""
    order = to_order(row)
    if order.state.value != row.state or (row.held and order.held is None):
        raise ValueError(f"state {row.state}, held {row.held}")
    return order


def waited_for(tx: Tx) -> AbstractSet[str]:
    """Names of the notifiers to which notes are still to be sent."""
    unsent = orders.c.kind == spelled(NOTE), orders.c.state.in_([NoteState.PENDING.value, NoteState.RENEWING.value])
    return frozenset(tx.execute(select(orders.c.target).where(*unsent).distinct()).scalars())
