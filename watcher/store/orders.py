"""The outbox: rollbacks and notes, written with the decision that wants them; `order_claims` gives them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from watcher.errors import ConflictError, LeaseLostError
from watcher.model.order import Hold, Note, RollbackOrder, RollbackState
from watcher.store import codec
from watcher.store.database import Tx, database_time, locked
from watcher.store.prepared import Prepared
from watcher.store.schema import orders, spelled
from watcher.store.unknown import readable, word

ROLLBACK, DRILL, NOTE = "rollback", "drill", "note"
OPEN_ROLLBACKS = (
    RollbackState.PLANNED,
    RollbackState.APPROVED,
    RollbackState.ATTEMPTED,
    RollbackState.ACCEPTED,
    RollbackState.UNKNOWN,
)

_ROLLBACKS = select(orders).where(orders.c.kind == spelled(ROLLBACK))
_BY_ID = _ROLLBACKS.where(orders.c.id == bindparam("the_id"))
_OF_WATCH = Prepared(_ROLLBACKS.where(orders.c.watch_id == bindparam("the_watch")), locks=orders)
_OPEN = Prepared(
    _ROLLBACKS.where(
        orders.c.target == bindparam("the_target"),
        orders.c.state.in_([spelled(state.value) for state in OPEN_ROLLBACKS]),
    ).order_by(orders.c.created_at.desc()),
    locks=orders,
)


class NoteState(StrEnum):
    """Where a note stands."""

    PENDING = "pending"
    SENT = "sent"
    RENEWING = "renewing"  # sent, and sent again until its alert is resolved
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Order:
    """A row of the outbox.

    Attributes:
        watch_id: empty for a drill.
        target: the service whose rollback target is called, or the notifier's name.
        payload: a `RollbackOrder` or a `Note`.
        next_at: when it is due; None if it waits for a person or is finished.
        expires_at: when it is too late.
        held: why a rollback waits for a person although its service's mode is `act`.
    """

    id: str
    watch_id: str
    target: str
    payload: RollbackOrder | Note
    state: RollbackState | NoteState
    created_at: float
    updated_at: float
    next_at: float | None
    expires_at: float | None = None
    attempts: int = 0
    detail: str = ""
    reference: str = ""
    decided_by: str | None = None
    held: Hold | None = None
    fence: int = 0

    @property
    def kind(self) -> str:
        if isinstance(self.payload, RollbackOrder):
            return DRILL if self.payload.dry_run else ROLLBACK
        return NOTE


def add(tx: Tx, order: Order) -> None:
    """Writes a new order.

    Raises:
        ConflictError: this watch has its rollback already.
    """
    try:
        tx.execute(
            insert(orders).values(
                id=order.id,
                kind=order.kind,
                watch_id=order.watch_id or None,
                target=order.target,
                payload=codec.dump(order.payload),
                created_at=order.created_at,
                **_progress(order),
            )
        )
    except IntegrityError as error:
        raise ConflictError(f"watch {order.watch_id} has its rollback already") from error


def save(tx: Tx, order: Order, *, keep_lease: bool = False) -> None:
    """Writes how a claimed order stands.

    Raises:
        LeaseLostError: someone else holds it by now; nothing was written.
    """
    values = _progress(order) if keep_lease else _progress(order) | {"lease_until": 0.0}
    changed = tx.execute(update(orders).where(*_ours(order)).values(values))
    if not changed.rowcount:
        raise LeaseLostError(f"order {order.id} is no longer ours")


def check_held(tx: Tx, order: Order) -> None:
    """To be asked just before something is done outside that cannot be taken back.

    Raises:
        LeaseLostError: someone else holds the claimed order by now.
    """
    query = select(orders.c.id).where(*_ours(order))
    if tx.execute(query).one_or_none() is None:
        raise LeaseLostError(f"order {order.id} is no longer ours")


def renew(tx: Tx, owner: str, ids: Iterable[str], lease_seconds: float) -> None:
    """Prolongs the leases that `owner` still holds; a row that is being written waits for the next time."""
    held = (
        select(orders.c.id)
        .where(orders.c.id.in_(list(ids)), orders.c.owner == owner, orders.c.lease_until > database_time())
        .with_for_update(skip_locked=True, key_share=True)
    )
    tx.execute(
        update(orders)
        .where(orders.c.id.in_(held.scalar_subquery()))
        .values(lease_until=database_time() + lease_seconds)
    )


def change(tx: Tx, order: Order) -> None:
    """Writes an order whoever holds it (a person decided, the pipeline answered); whoever held it loses its fence."""
    tx.execute(
        update(orders)
        .where(orders.c.id == order.id)
        .values(_progress(order) | {"fence": orders.c.fence + 1, "lease_until": 0.0})
    )


def rollback_of(tx: Tx, watch_id: str) -> Order | None:
    row = _OF_WATCH.first(tx, the_watch=watch_id)
    return None if row is None else to_order(row)


def open_rollbacks(tx: Tx, service: str) -> Sequence[Order]:
    """Rollbacks of a service that are decided and not yet finished, newest first."""
    return [to_order(row) for row in _OPEN.rows(tx, the_target=service)]


def spent(tx: Tx, since: float) -> Mapping[str, int]:
    """Service -> rollbacks decided after `since` that were made or are about to be; those that wait do not count.

    To be asked in a transaction that is alone, so that two replicas cannot both take the last one of a budget.
    """
    query = (
        select(orders.c.target, func.count().label("number"))
        .where(
            orders.c.kind == spelled(ROLLBACK),
            orders.c.created_at > since,
            orders.c.expires_at.is_(None),
            orders.c.state.not_in([RollbackState.REFUSED.value, RollbackState.EXPIRED.value]),
        )
        .group_by(orders.c.target)
    )
    return {row.target: row.number for row in tx.execute(query)}


def rollback(tx: Tx, rollback_id: str) -> Order | None:
    row = tx.execute(locked(tx, _BY_ID, orders), {"the_id": rollback_id}).one_or_none()
    return None if row is None else to_order(row)


def drill(tx: Tx, drill_id: str) -> Order | None:
    row = tx.execute(select(orders).where(orders.c.id == drill_id, orders.c.kind == DRILL)).one_or_none()
    return None if row is None else to_order(row)


def drills(tx: Tx, service: str, limit: int = 10) -> Sequence[Order]:
    """The newest drills of a service, newest first."""
    query = select(orders).where(orders.c.kind == DRILL, orders.c.target == service)
    return [to_order(row) for row in tx.execute(query.order_by(orders.c.created_at.desc()).limit(limit))]


def notes_of(tx: Tx, watch_id: str) -> Sequence[Order]:
    query = select(orders).where(orders.c.watch_id == watch_id, orders.c.kind == NOTE).order_by(orders.c.created_at)
    return readable(tx, tx.execute(query), to_order)


def count(tx: Tx) -> Mapping[tuple[str, str], int]:
    """Number of orders by (kind, state)."""
    query = select(orders.c.kind, orders.c.state, func.count()).group_by(orders.c.kind, orders.c.state)
    return {(kind, state): number for kind, state, number in tx.execute(query)}


def _ours(order: Order) -> tuple[Any, ...]:
    return orders.c.id == order.id, orders.c.fence == order.fence, orders.c.lease_until > database_time()


def _progress(order: Order) -> dict[str, Any]:
    return {
        "state": order.state.value,
        "updated_at": order.updated_at,
        "next_at": order.next_at,
        "expires_at": order.expires_at,
        "attempts": order.attempts,
        "detail": order.detail,
        "reference": order.reference,
        "decided_by": order.decided_by,
        "held": order.held.value if order.held else None,
    }


def to_order(row: Row[Any]) -> Order:
    is_rollback = row.kind != NOTE
    return Order(
        id=row.id,
        watch_id=row.watch_id or "",
        target=row.target,
        payload=codec.load(RollbackOrder, row.payload) if is_rollback else codec.load(Note, row.payload),
        state=word(RollbackState, row.state, RollbackState.UNKNOWN) if is_rollback else NoteState(row.state),
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_at=row.next_at,
        expires_at=row.expires_at,
        attempts=row.attempts,
        detail=row.detail,
        reference=row.reference,
        decided_by=row.decided_by,
        held=Hold(row.held) if row.held in list(Hold) else None,
        fence=row.fence,
    )
