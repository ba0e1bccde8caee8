"""What adapters remember between calls, and leases by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from watcher.model.memory import Point
from watcher.store import codec
from watcher.store.database import Database, Tx, database_time
from watcher.store.schema import leases, memory_points, memory_values


class StoreMemory:
    """The `Memory` port of one adapter instance; `owner` keeps it apart from the others'."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    def get(self, key: str) -> Any:
        query = select(memory_values.c.value).where(memory_values.c.owner == self._owner, memory_values.c.key == key)
        with self._database.read() as tx:
            text = tx.execute(query).scalar_one_or_none()
        return None if text is None else json.loads(text)

    def put(self, key: str, value: Any) -> None:
        row = {"owner": self._owner, "key": key, "value": codec.compact(value)}
        with self._database.write() as tx:
            tx.execute(_upsert(tx, memory_values, ("owner", "key"), "value"), [row])

    def append(self, points: Mapping[str, Iterable[Point]]) -> None:
        rows = [
            {"owner": self._owner, "stream": stream, "at": point.at, "key": point.key, "value": point.value}
            for stream, batch in points.items()
            for point in batch
        ]
        if rows:
            with self._database.write() as tx:
                tx.execute(_upsert(tx, memory_points, ("owner", "stream", "at", "key"), "value"), rows)

    def range(self, stream: str, start: float, end: float) -> Sequence[Point]:
        table = memory_points.c
        query = (
            select(table.at, table.value, table.key)
            .where(table.owner == self._owner, table.stream == stream, table.at > start, table.at <= end)
            .order_by(table.at, table.key)
        )
        with self._database.read() as tx:
            return [Point(at, value, key) for at, value, key in tx.execute(query)]

    def streams(self, prefix: str = "") -> Sequence[str]:
        table = memory_points.c
        query = (
            select(table.stream)
            .distinct()
            .where(table.owner == self._owner, table.stream.startswith(prefix, autoescape=True))
        )
        with self._database.read() as tx:
            return sorted(tx.execute(query).scalars())


def forget_before(tx: Tx, at: float) -> int:
    """Drops remembered points older than `at`; returns how many."""
    return tx.execute(delete(memory_points).where(memory_points.c.at < at)).rowcount


def hold(tx: Tx, name: str, owner: str, lease_seconds: float) -> bool:
    """Takes or renews the lease `name`; False while another owner holds it."""
    until = database_time() + lease_seconds
    mine = (leases.c.owner == owner) | (leases.c.lease_until < database_time())
    changed = tx.execute(
        update(leases)
        .where(leases.c.name == name, mine)
        .values(owner=owner, lease_until=until, fence=leases.c.fence + 1)
    )
    if changed.rowcount:
        return True
    if tx.execute(select(leases.c.name).where(leases.c.name == name)).one_or_none() is not None:
        return False
    tx.execute(insert(leases).values(name=name, owner=owner, lease_until=until))
    return True


def let_go(tx: Tx, owner: str) -> None:
    """Ends every lease of `owner`, so that another takes over at once."""
    tx.execute(update(leases).where(leases.c.owner == owner).values(lease_until=0.0))


def _upsert(tx: Tx, table: Any, keys: Sequence[str], column: str) -> Any:
    statement = (postgresql if tx.dialect.name == "postgresql" else sqlite).insert(table)
    return statement.on_conflict_do_update(index_elements=list(keys), set_={column: statement.excluded[column]})
