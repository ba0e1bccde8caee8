"""Watches claimed for a look: a lease in the database's time, and a fence that every write must still hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, bindparam, select, true, update

from watcher.errors import LeaseLostError
from watcher.model.watch import Watch, WatchState
from watcher.store.database import Tx, database_time, free_to_take
from watcher.store.prepared import Prepared
from watcher.store.schema import spelled, watches
from watcher.store.unknown import readable
from watcher.store.watch_rows import OPEN, SELECT, progress, to_claimed


def _taking(wanted: ColumnElement[bool]) -> Prepared:
    lease = bindparam("lease", type_=Float)
    free = (
        select(watches.c.id)
        .where(watches.c.next_look_at <= bindparam("the_time"), wanted, free_to_take(watches.c.lease_until, lease))
        .order_by(watches.c.next_look_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    return Prepared(
        update(watches)
        .where(watches.c.id.in_(free.scalar_subquery()))
        .values(owner=bindparam("the_owner"), lease_until=database_time() + lease, fence=watches.c.fence + 1)
        .returning(watches.c.id, watches.c.fence)
    )


_NEW = watches.c.state == spelled(WatchState.SCHEDULED.value)
_TAKE = {None: _taking(true()), True: _taking(_NEW), False: _taking(~_NEW)}
_OURS = update(watches).where(
    watches.c.id == bindparam("the_id"),
    watches.c.fence == bindparam("the_fence"),
    watches.c.lease_until > database_time(),
    watches.c.state.in_(OPEN),
)
_SAVE = Prepared(_OURS)
_SAVE_AND_RELEASE = Prepared(_OURS.values(lease_until=0.0))


@dataclass(frozen=True, slots=True)
class Claim:
    """A watch that is ours until its lease ends; `fence` proves it at every write."""

    watch: Watch
    fence: int


def take_due(
    tx: Tx, now: float, owner: str, limit: int, lease_seconds: float, *, first: bool | None = None
) -> Sequence[Claim]:
    """Takes up to `limit` watches that are due at `now` and that nobody holds.

    `first`: only those that were never looked at, or only those that were. What a newer version alone understands is
    left to it.
    """
    asked = {"the_time": now, "the_owner": owner, "most": limit, "lease": lease_seconds}
    left: set[str] = set()
    found: list[Watch] = []
    while not found and (fences := {row.id: row.fence for row in _TAKE[first].rows(tx, **asked)}):
        rows = tx.execute(SELECT.where(watches.c.id.in_(fences)).order_by(watches.c.next_look_at))
        found = readable(tx, rows, to_claimed)
        left |= fences.keys() - {watch.id for watch in found}
    if left:
        tx.execute(update(watches).where(watches.c.id.in_(left)).values(lease_until=0.0))
    return [Claim(watch, fences[watch.id]) for watch in found]


def lock_free(tx: Tx, taken: Sequence[Claim]) -> AbstractSet[str]:
    """Ids of the watches among `taken` whose rows nobody else is writing; nobody will before the transaction ends.

    Whoever writes several rows in one transaction must not wait for any of them: another may hold it and wait for one
    that was written before.
    """
    ids = [claim.watch.id for claim in taken]
    found = select(watches.c.id).where(watches.c.id.in_(ids)).with_for_update(skip_locked=True, key_share=True)
    return frozenset(tx.execute(found).scalars())


def save(tx: Tx, claim: Claim, watch: Watch, *, release: bool = False) -> None:
    """Writes what a look made of a claimed watch; the lease stays, unless it is to be released.

    Raises:
        LeaseLostError: someone else holds the watch by now, or a deploy or a person has ended it; nothing was written.
    """
    saving = _SAVE_AND_RELEASE if release else _SAVE
    if not saving.write(tx, {"the_id": watch.id, "the_fence": claim.fence, **progress(watch)}):
        raise LeaseLostError(f"watch {watch.id} is no longer ours")


def release(tx: Tx, claim: Claim, next_look_at: float | None = None) -> None:
    """Gives a claimed watch back, still due, or due only at `next_look_at`; nothing happens if it is not ours."""
    values: dict[str, Any] = {"lease_until": 0.0}
    if next_look_at is not None:
        values["next_look_at"] = next_look_at
    tx.execute(
        update(watches)
        .where(watches.c.id == claim.watch.id, watches.c.fence == claim.fence, watches.c.next_look_at.is_not(None))
        .values(values)
    )


def renew(tx: Tx, owner: str, ids: Iterable[str], lease_seconds: float) -> None:
    """Prolongs the leases that `owner` still holds; a row that is being written waits for the next time."""
    held = (
        select(watches.c.id)
        .where(watches.c.id.in_(list(ids)), watches.c.owner == owner, watches.c.lease_until > database_time())
        .with_for_update(skip_locked=True, key_share=True)
    )
    tx.execute(
        update(watches)
        .where(watches.c.id.in_(held.scalar_subquery()))
        .values(lease_until=database_time() + lease_seconds)
    )
