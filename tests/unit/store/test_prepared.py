"""Statements run at the driver: on either database as SQLAlchemy would, and with its errors."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from watcher.errors import StoreUnavailableError
from watcher.store.database import Database
from watcher.store.prepared import Prepared
from watcher.store.schema import deliveries, memory_values
from watcher.store.upsert import upserting

ADD = Prepared(insert(memory_values))
PUT = Prepared(upserting(memory_values, "owner", "key"))
ASKED = select(memory_values).where(memory_values.c.owner == bindparam("whose"), memory_values.c.value != "%s ?")
READ = Prepared(ASKED.order_by(memory_values.c.key).limit(2), locks=memory_values)


def _row(key: str, value: str) -> dict[str, str]:
    return {"owner": "a", "key": key, "value": value}


def test_rows_are_written_read_and_replaced(database: Database) -> None:
    with database.write() as tx:
        ADD.write_all(tx, [_row("1", "x"), _row("2", "%s ?"), _row("3", "z"), _row("4", "z")])
        ADD.write_all(tx, [])
        assert PUT.write(tx, _row("1", "'y")) == 1
    for alone in (True, False):
        with database.write(alone=alone) as tx:
            assert [(row.key, row.value) for row in READ.rows(tx, whose="a")] == [("1", "'y"), ("3", "z")]
            assert READ.first(tx, whose="nobody") is None


def test_what_contradicts_is_told_and_undone(database: Database) -> None:
    with database.write() as tx:
        ADD.write(tx, _row("1", "x"))
    with pytest.raises(IntegrityError) as told, database.write() as tx:  # noqa: PT012  # the first write is to be undone
        ADD.write(tx, _row("2", "x"))
        ADD.write(tx, _row("1", "a secret of a customer"))
    assert "secret" not in str(told.value)
    with database.read() as tx:
        assert [row.key for row in READ.rows(tx, whose="a")] == ["1"]


def test_a_database_that_fails_is_a_store_that_is_unavailable(database: Database) -> None:
    with pytest.raises(StoreUnavailableError), database.write() as tx:  # noqa: PT012  # nor is this to last
        deliveries.drop(tx)
        Prepared(select(deliveries)).rows(tx)
    with database.write() as tx:
        assert Prepared(select(deliveries)).rows(tx) == []
