"""Orders of the schema before drills: all of them are there afterwards, and still one rollback a watch."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from support.made import NOW, service
from support.orders import an_order

from watcher.errors import ConflictError
from watcher.model.order import RollbackState
from watcher.store import codec, migrating, orders, watches
from watcher.store.database import Database
from watcher.store.orders import Order


def before_drills(path: Path) -> Database:
    """A store of the schema 0003 with a watch and its rollback."""
    database = Database(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrating.__file__).parent / "migrations"))
    with database.write() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0003")
    policy = json.loads(codec.dump(service()))
    since = {
        "rollbacks_per_hour",
        "freeze",
        "blind_after",
        "depends_on",
        "warm_up",
        "zone",
    }  # what policies of then did not have
    rows = {
        "deploys": {
            "id": "d-1",
            "identity": "i",
            "hook": "ci",
            "phase": "finished",
            "environment": "production",
            "version": "v2",
            "received_at": NOW,
            "started_at": NOW,
            "services": "[]",
            "attributes": "{}",
            "links": "{}",
        },
        "watches": {
            "id": "w-1",
            "deploy_id": "d-1",
            "service": "checkout",
            "environment": "production",
            "version": "v2",
            "policy": json.dumps({key: part for key, part in policy.items() if key not in since}),
            "state": "recovering",
            "started_at": NOW,
            "finished_at": NOW,
            "until": NOW,
            "ticket_until": NOW,
            "created_at": NOW,
            "reason": "level_shift",
            "sentence": "",
            "score": 3.0,
            "blind_seconds": 0.0,
        },
        "orders": {
            "id": "r-1",
            "kind": "rollback",
            "watch_id": "w-1",
            "target": "checkout",
            "state": "accepted",
            "payload": codec.dump(an_order(rollback_id="r-1", watch_id="w-1")),
            "created_at": NOW,
            "updated_at": NOW,
            "attempts": 2,
        },
    }
    with database.write() as tx:
        for table, row in rows.items():
            columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            tx.execute(text(f"insert into {table} ({columns}) values ({values})"), row)
    return database


def test_orders_survive_and_keep_their_rules(tmp_path: Path) -> None:
    with closing(before_drills(tmp_path / "watcher.db")) as database:
        database.migrate()
        with database.read() as tx:
            kept = orders.rollback_of(tx, "w-1")
            bad = watches.get(tx, "w-1")
        assert kept is not None
        assert (kept.state, kept.attempts, kept.held) == (RollbackState.ACCEPTED, 2, None)
        assert bad is not None
        assert bad.rollback_state is RollbackState.ACCEPTED
        assert bad.policy == service()
        with pytest.raises(ConflictError, match="w-1 has its rollback already"), database.write() as tx:
            orders.add(tx, _order("r-2", "w-1", dry_run=False))
        with database.write() as tx:
            orders.add(tx, _order("drill-1", "", dry_run=True))
            orders.add(tx, _order("drill-2", "", dry_run=True))
            assert {drill.id for drill in orders.drills(tx, "checkout")} == {"drill-1", "drill-2"}
            assert orders.spent(tx, NOW - 1) == {"checkout": 1}


def _order(order_id: str, watch_id: str, *, dry_run: bool) -> Order:
    payload = an_order(rollback_id=order_id, watch_id=watch_id, dry_run=dry_run)
    return Order(order_id, watch_id, "checkout", payload, RollbackState.PLANNED, NOW, NOW, NOW)
