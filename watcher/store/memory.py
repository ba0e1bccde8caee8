"""What adapters remember between calls, and leases by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, select, update

from watcher.errors import LeaseLostError
from watcher.model.memory import Point
from watcher.store import codec
from watcher.store.database import Database, Tx, database_time, free_to_take
from watcher.store.schema import leases, memory_points, memory_values
from watcher.store.upsert import insert, upsert


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
        with self._database.write(alone=False) as tx:
            _check(tx)
            tx.execute(upsert(tx, memory_values, ("owner", "key")), [row])

    def append(self, points: Mapping[str, Iterable[Point]]) -> None:
        rows = [
            {"owner": self._owner, "stream": stream, "at": point.at, "key": point.key, "value": point.value}
            for stream, batch in points.items()
            for point in batch
        ]
        if rows:
            with self._database.write(alone=False) as tx:
                _check(tx)
                # In one order everywhere: two replicas that store the same never wait for each other in a circle.
                rows.sort(key=lambda row: (row["stream"], row["at"], row["key"]))
                tx.execute(upsert(tx, memory_points, ("owner", "stream", "at", "key")), rows)

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


@dataclass(frozen=True, slots=True)
class Held:
    """A named lease that is ours until it ends; `fence` proves it."""

    name: str
    owner: str
    fence: int


def hold(tx: Tx, name: str, owner: str, lease_seconds: float) -> Held | None:
    """Takes or renews the lease `name`; None while another owner holds it."""
    until = database_time() + lease_seconds
    mine = leases.c.owner == owner
    statement = insert(tx, leases).values(name=name, owner=owner, lease_until=until)
    taken = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "owner": owner,
            "lease_until": until,
            "fence": case((mine & (leases.c.lease_until > database_time()), leases.c.fence), else_=leases.c.fence + 1),
        },
        where=mine | free_to_take(leases.c.lease_until, lease_seconds),
    ).returning(leases.c.fence)
    fence = tx.execute(taken).scalar_one_or_none()
    return None if fence is None else Held(name, owner, fence)


def renew(tx: Tx, held: Held, lease_seconds: float) -> None:
    """Prolongs a named lease, if it is still ours."""
    tx.execute(update(leases).where(*_ours(held)).values(lease_until=database_time() + lease_seconds))


@contextmanager
def under(held: Held) -> Iterator[None]:
    """What the block writes into adapters' memories, in this thread, is written only while the lease is ours.

    The writes raise `LeaseLostError` from then on: a process that slept through its lease must not put an old sample
    among the newer ones of another.
    """
    token = _under.set(held)
    try:
        yield
    finally:
        _under.reset(token)


_under: ContextVar[Held | None] = ContextVar("under", default=None)


def _check(tx: Tx) -> None:
    held = _under.get()
    if held is None:
        return
    query = select(leases.c.fence).where(*_ours(held)).with_for_update(read=True)
    if tx.execute(query).one_or_none() is None:
        raise LeaseLostError(f"lease {held.name} is no longer ours")


def _ours(held: Held) -> tuple[Any, ...]:
    return (
        leases.c.name == held.name,
        leases.c.owner == held.owner,
        leases.c.fence == held.fence,
        leases.c.lease_until > database_time(),
    )


def let_go(tx: Tx, owner: str) -> None:
    """Ends every lease of `owner`, so that another takes over at once."""
    tx.execute(update(leases).where(leases.c.owner == owner).values(lease_until=0.0))
