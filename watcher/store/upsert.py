"""Insert or replace by key, as both databases say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from watcher.store.database import Tx


def insert(tx: Tx, table: Table) -> Any:
    """An insert that knows `on_conflict_do_update`."""
    return (postgresql if tx.dialect.name == "postgresql" else sqlite).insert(table)


def upsert(tx: Tx, table: Table, keys: Sequence[str]) -> Any:
    """A statement to be given whole rows: one that has these `keys` already is replaced."""
    return upserting(table, *keys)(tx.dialect.name)


@cache
def upserting(table: Table, *keys: str) -> Callable[[str], Any]:
    """The same for a dialect's name."""
    return cache(lambda dialect: _upsert(dialect, table, keys))


def _upsert(dialect: str, table: Table, keys: Sequence[str]) -> Any:
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=others)
