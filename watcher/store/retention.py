"""What is dropped when it is old, in small pieces: nobody must wait long for the store meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, tuple_

from watcher.store.database import Tx
from watcher.store.orders import DRILL
from watcher.store.schema import (
    calibrations,
    deliveries,
    looks,
    memory_points,
    orders,
    points,
    provisional_calibrations,
    replaced_points,
    watches,
)

_RAW = (calibrations, provisional_calibrations, replaced_points, points)

Stream = tuple[str, str]  # owner, name


def ended_with_points(tx: Tx, before: float, after: tuple[float, str], limit: int) -> Sequence[tuple[float, str]]:
    """(end, id) of watches that ended before `before` and still have raw data, oldest first, from beyond `after`."""
    raw = or_(*(exists(select(table.c.watch_id).where(table.c.watch_id == watches.c.id)) for table in _RAW))
    place = tuple_(watches.c.ended_at, watches.c.id)
    query = (
        select(watches.c.ended_at, watches.c.id)
        .where(watches.c.ended_at < before, place > after, raw)
        .order_by(watches.c.ended_at, watches.c.id)
        .limit(limit)
    )
    return [(row.ended_at, row.id) for row in tx.execute(query)]


def drop_points(tx: Tx, watch_ids: Sequence[str]) -> int:
    """Drops the raw points of watches, and what went with them; returns how many points."""
    dropped = 0
    for table in _RAW:
        dropped = tx.execute(delete(table).where(table.c.watch_id.in_(watch_ids))).rowcount
    return dropped


def ended_after(tx: Tx, before: float, after: tuple[float, str], limit: int) -> Sequence[tuple[float, str]]:
    """(end, id) of watches that ended before `before`, oldest first, from beyond `after`."""
    query = (
        select(watches.c.ended_at, watches.c.id)
        .where(watches.c.ended_at < before, tuple_(watches.c.ended_at, watches.c.id) > after)
        .order_by(watches.c.ended_at, watches.c.id)
        .limit(limit)
    )
    return [(row.ended_at, row.id) for row in tx.execute(query)]


def drop_quiet_looks(tx: Tx, watch_ids: Sequence[str]) -> int:
    """Keeps of each watch the first look and the last, those that said another thing than the one before, and the one
    that decided; returns how many others there were.
    """
    order: dict[str, Any] = {"partition_by": looks.c.watch_id, "order_by": looks.c.at}
    said, before = looks.c.outcome + "|", func.lag(looks.c.outcome).over(**order) + "|"
    numbered = (
        select(
            looks.c.watch_id,
            looks.c.at,
            func.row_number().over(**order).label("number"),
            func.lead(looks.c.at).over(**order).label("following"),
            (func.coalesce(said, "") + looks.c.reason).label("said"),
            (func.coalesce(before, "") + func.lag(looks.c.reason).over(**order)).label("said_before"),
        )
        .where(looks.c.watch_id.in_(watch_ids))
        .subquery()
    )
    quiet = (
        select(numbered.c.watch_id, numbered.c.at)
        .join(watches, watches.c.id == numbered.c.watch_id)
        .where(
            numbered.c.number > 1,
            numbered.c.following.is_not(None),
            numbered.c.said == numbered.c.said_before,
            func.coalesce(watches.c.decided_at, 0.0) != numbered.c.at,
        )
    )
    return tx.execute(delete(looks).where(tuple_(looks.c.watch_id, looks.c.at).in_(quiet))).rowcount


def drop_drills(tx: Tx, before: float) -> int:
    """Drops drills that ended before `before`, but for the newest of each service; returns how many."""
    newer = orders.alias("newer")
    superseded = exists(
        select(newer.c.id).where(
            newer.c.kind == DRILL, newer.c.target == orders.c.target, newer.c.created_at > orders.c.created_at
        )
    )
    old = (orders.c.kind == DRILL) & orders.c.next_at.is_(None) & (orders.c.updated_at < before)
    return tx.execute(delete(orders).where(old, superseded)).rowcount


def stream_after(tx: Tx, after: Stream) -> Stream | None:
    """The next stream of remembered points, by owner and name; None after the last."""
    table = memory_points.c
    query = (
        select(table.owner, table.stream)
        .where(tuple_(table.owner, table.stream) > after)
        .order_by(table.owner, table.stream)
        .limit(1)
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else (row.owner, row.stream)


def forget(tx: Tx, stream: Stream, before: float, limit: int) -> int:
    """Drops up to about `limit` points of a stream that are older than `before`; returns how many."""
    table = memory_points.c
    mine = (table.owner == stream[0]) & (table.stream == stream[1])
    last = select(table.at).where(mine, table.at < before).order_by(table.at).limit(1).offset(limit)
    until = tx.execute(last).scalar_one_or_none()
    return tx.execute(delete(memory_points).where(mine, table.at < (before if until is None else until))).rowcount


def drop_deliveries(tx: Tx, before: float, limit: int) -> int:
    """Drops up to `limit` answers to messages that came before `before`; returns how many."""
    old = select(deliveries.c.key).where(deliveries.c.received_at < before).limit(limit)
    return tx.execute(delete(deliveries).where(deliveries.c.key.in_(old.scalar_subquery()))).rowcount
