"""A store that was brought back from a backup: what happened since is not known, so what was open then acts no more."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Text, and_, func, insert, literal, or_, select, update

from watcher.model.order import RollbackState
from watcher.store import origin
from watcher.store.database import Database, Tx, database_time
from watcher.store.orders import ROLLBACK
from watcher.store.schema import events, orders, watches
from watcher.store.watch_rows import OPEN

_RESTORED = "restored"
_TEXT = (
    "The store was restored from a backup. What happened since it was made is not known here, a newer deploy perhaps: "
    "this watch rolls nothing back without a person."
)
_DOUBT = "the store was restored from a backup; whether it was carried out since is not known"


@dataclass(frozen=True, slots=True)
class Settled:
    """`watches`: that were open; `doubtful`: rollbacks of which it is not known whether they were made since."""

    watches: int
    doubtful: int


def settle(tx: Tx) -> Settled:
    """Marks what was open when the backup was made; doing it twice does no harm.

    A rollback that was about to be made may have been made: it is `attempted`, and of a restored watch the target is
    only asked what became of one.
    """
    is_open = watches.c.state.in_(OPEN)
    number: int = tx.execute(select(func.count()).select_from(watches).where(is_open)).scalar_one()
    lines = select(watches.c.id, database_time(), literal(_RESTORED, Text), literal(_TEXT, Text)).where(is_open)
    tx.execute(insert(events).from_select(["watch_id", "at", "event", "text"], lines))
    due = and_(orders.c.state == RollbackState.PLANNED.value, orders.c.expires_at.is_(None))
    under_way = orders.c.state.in_([RollbackState.APPROVED.value, RollbackState.ATTEMPTED.value])
    doubtful = tx.execute(
        update(orders)
        .where(orders.c.kind == ROLLBACK, or_(due, under_way))
        .values(state=RollbackState.ATTEMPTED.value, detail=_DOUBT, lease_until=0.0, fence=orders.c.fence + 1)
    ).rowcount
    return Settled(number, doubtful)


def settle_if_moved(database: Database) -> Settled | None:
    """Settles a store that other tools have brought back, if that shows and nobody has done it; None if not.

    Raises:
        StoreUnavailableError: it does not answer.
    """
    with database.read() as tx:
        if origin.known(tx):
            return None
    with database.write() as tx:  # of replicas that start together one finds out
        return settle(tx) if origin.moved(tx) else None


def restored_at(tx: Tx, watch_id: str) -> float | None:
    """When a store was last brought back that had this watch open, unix seconds; None if that never was."""
    query = select(func.max(events.c.at)).where(events.c.watch_id == watch_id, events.c.event == _RESTORED)
    at: float | None = tx.execute(query).scalar_one()
    return at
