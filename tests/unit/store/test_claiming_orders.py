"""Which orders are taken, and in what order: no rollback stands behind notes, and neither costs the other anything."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import text
from support.made import NOW, deploy, watch
from support.orders import a_note, an_order

from watcher.model.order import RollbackState
from watcher.store import deploys, order_claims, orders, watches
from watcher.store.database import Database, Tx
from watcher.store.orders import NoteState, Order

LEASE = 30.0


def seed(database: Database, notes: int, notifier: str = "slack") -> None:
    """Notes that have been due for long, and a rollback that has just fallen due."""
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, watch())
        for number in range(notes):
            note = a_note(id=f"n-{number}", alert="w-1")
            at = NOW - 1000 + number / 1000
            orders.add(tx, Order(f"o-{number}", "w-1", notifier, note, NoteState.PENDING, at, at, at))
        add_rollback(tx)


def add_rollback(tx: Tx, **changes: object) -> None:
    payload = an_order(rollback_id="r-1", watch_id="w-1")
    values: dict[str, object] = {"state": RollbackState.PLANNED, "next_at": NOW} | changes
    orders.add(tx, Order("r-1", "w-1", "checkout", payload, created_at=NOW, updated_at=NOW, **values))  # type: ignore[arg-type]  # fields of Order


def rollbacks(database: Database, now: float = NOW, **more: float) -> Sequence[str]:
    with database.write(alone=False) as tx:
        return [order.id for order in order_claims.claim_rollbacks(tx, now, "a", 5, LEASE, **more)]


def test_a_rollback_does_not_stand_behind_notes_nor_are_notes_taken_for_one(database: Database) -> None:
    seed(database, 200)
    assert rollbacks(database) == ["r-1"]
    with database.write(alone=False) as tx:
        assert [order.id for order in order_claims.claim_notes(tx, NOW, "a", 2, LEASE, "slack")] == ["o-0", "o-1"]
        assert not order_claims.claim_notes(tx, NOW, "a", 2, LEASE, "pager")
        assert order_claims.waited_for(tx) == {"slack"}


@pytest.mark.parametrize(
    ("state", "expires_at", "expired", "taken"),
    [
        (RollbackState.PLANNED, NOW, NOW - 1, False),  # by a clock that all share its end has not come
        (RollbackState.PLANNED, NOW, NOW, True),
        (RollbackState.PLANNED, None, NOW - 1, True),
        (RollbackState.REFUSED, NOW + 900, NOW, True),  # the watch was stopped while it waited
        (RollbackState.EXPIRED, None, NOW, False),
    ],
)
def test_an_approval_runs_out_by_its_own_clock(
    database: Database, state: RollbackState, expires_at: float | None, expired: float, taken: bool
) -> None:
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, watch())
        add_rollback(tx, state=state, expires_at=expires_at)
    assert rollbacks(database, expired=expired) == (["r-1"] if taken else [])


def test_however_many_notes_are_due_a_rollback_is_found_by_an_index(database: Database) -> None:
    seed(database, 2000)
    with database.write() as tx:
        if tx.dialect.name == "postgresql":  # which does so by itself; SQLite only when it is told to, and nobody does
            tx.execute(text("analyze"))
    asked = {"the_time": NOW, "the_owner": "a", "most": 1, "lease": LEASE, "the_end": NOW}
    with database.write(alone=False) as tx:
        compiled = order_claims._TAKE_ROLLBACKS._for(tx, asked)
        cursor = tx.connection.cursor()
        sqlite = tx.dialect.name == "sqlite"
        explain = "explain query plan " if sqlite else "explain "
        cursor.execute(explain + compiled.text, compiled.bound(asked))
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
        cursor.close()
    assert "ix_orders_kind_state" in plan, plan
    assert "Seq Scan" not in plan, plan
