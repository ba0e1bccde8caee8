"""Watches: opened with their deploy, claimed by lease for each look, written only by who holds the fence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, or_, select, true, update

from watcher.errors import LeaseLostError
from watcher.model.decision import Outcome, Reason
from watcher.model.order import Hold, RollbackOrder, RollbackState
from watcher.model.service import Service
from watcher.model.watch import ENDED, Watch, WatchState
from watcher.store import codec
from watcher.store.database import Tx, database_time, free_to_take, locked
from watcher.store.schema import events, orders, watches

ROLLBACK = "rollback"
_POLICIES = 4096  # some kilobytes each
_OPEN = [state.value for state in WatchState if state not in ENDED]

_rollback = orders.alias("rollback")
_SELECT = select(
    watches,
    _rollback.c.id.label("rollback_id"),
    _rollback.c.state.label("rollback_state"),
    _rollback.c.payload.label("rollback_payload"),
    _rollback.c.detail.label("rollback_detail"),
    _rollback.c.held.label("rollback_held"),
).outerjoin(_rollback, (_rollback.c.watch_id == watches.c.id) & (_rollback.c.kind == ROLLBACK))
_OF_SERVICE = _SELECT.where(
    watches.c.service == bindparam("service"), watches.c.environment == bindparam("environment")
)
_BY_ID = _SELECT.where(watches.c.id == bindparam("watch_id"))
_ACTIVE = _OF_SERVICE.where(watches.c.state.in_(bindparam("open", expanding=True))).order_by(watches.c.finished_at)
_HISTORY = _OF_SERVICE.order_by(watches.c.finished_at.desc()).limit(bindparam("most"))
_INSERT = insert(watches)
_CHANGE = update(watches).where(watches.c.id == bindparam("the_id")).values(fence=watches.c.fence + 1, lease_until=0.0)
_LOG = insert(events)


@dataclass(frozen=True, slots=True)
class Claim:
    """A watch that is ours until its lease ends; `fence` proves it at every write."""

    watch: Watch
    fence: int


def open_watch(tx: Tx, watch: Watch) -> None:
    """Writes a new watch."""
    tx.execute(
        _INSERT,
        {
            "id": watch.id,
            "deploy_id": watch.deploy_id,
            "service": watch.service,
            "environment": watch.environment,
            "version": watch.version,
            "previous_version": watch.previous_version,
            "policy": codec.dump(watch.policy),
            "started_at": watch.started_at,
            "finished_at": watch.finished_at,
            "until": watch.until,
            "ticket_until": watch.ticket_until,
            "created_at": watch.created_at,
            **_progress(watch),
        },
    )


def get(tx: Tx, watch_id: str) -> Watch | None:
    row = tx.execute(locked(tx, _BY_ID, watches), {"watch_id": watch_id}).one_or_none()
    return None if row is None else _watch(row)


def of_deploy(tx: Tx, deploy_id: str) -> Sequence[Watch]:
    query = _SELECT.where(watches.c.deploy_id == deploy_id).order_by(watches.c.service)
    return [_watch(row) for row in tx.execute(query)]


def ids_by_deploy(tx: Tx, deploy_ids: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The ids of the watches of each of these deploys; a deploy without a watch is left out."""
    query = select(watches.c.deploy_id, watches.c.id).where(watches.c.deploy_id.in_(list(deploy_ids)))
    found: dict[str, list[str]] = {}
    for row in tx.execute(query.order_by(watches.c.service)):
        found.setdefault(row.deploy_id, []).append(row.id)
    return found


def listing(
    tx: Tx,
    *,
    limit: int | None = None,
    service: str | None = None,
    state: WatchState | None = None,
    before: float | None = None,
    at: float | None = None,
) -> Sequence[Watch]:
    """Watches, newest first; `before` is a `created_at` to page on from, `at` one that all of them have."""
    query = _SELECT.order_by(watches.c.created_at.desc(), watches.c.id).limit(limit)
    if at is not None:
        query = query.where(watches.c.created_at == at)
    if service is not None:
        query = query.where(watches.c.service == service)
    if state is not None:
        query = query.where(watches.c.state == state.value)
    if before is not None:
        query = query.where(watches.c.created_at < before)
    return [_watch(row) for row in tx.execute(query)]


def active(tx: Tx, service: str, environment: str) -> Sequence[Watch]:
    """Watches of a service that have not ended, oldest first."""
    asked = {"service": service, "environment": environment, "open": _OPEN}
    return [_watch(row) for row in tx.execute(locked(tx, _ACTIVE, watches), asked)]


def open_policies(tx: Tx) -> Sequence[Service]:
    """The policies of all watches that have not ended, each once."""
    texts = tx.execute(select(watches.c.policy).where(watches.c.state.in_(_OPEN)).distinct()).scalars()
    return [_policy(one) for one in texts]


def history(tx: Tx, service: str, environment: str, limit: int = 50) -> Sequence[Watch]:
    """The newest watches of a service by the end of their deploy, newest first."""
    asked = {"service": service, "environment": environment, "most": limit}
    return [_watch(row) for row in tx.execute(_HISTORY, asked)]


def regressed_versions(tx: Tx, service: str, environment: str) -> frozenset[str]:
    """Every version that was ever judged regressed, however long ago: none is ever gone back to."""
    query = select(watches.c.version).where(
        watches.c.service == service,
        watches.c.environment == environment,
        watches.c.outcome == Outcome.REGRESSED.value,
    )
    return frozenset(tx.execute(query.distinct()).scalars())


def count_by_state(tx: Tx) -> Mapping[str, int]:
    query = select(watches.c.state, func.count()).group_by(watches.c.state)
    return dict(tx.execute(query).tuples().all())


def oldest_due(tx: Tx) -> float | None:
    """When the watch that waits longest was due, unix seconds."""
    oldest: float | None = tx.execute(select(func.min(watches.c.next_look_at))).scalar_one()
    return oldest


def claim_due(
    tx: Tx, now: float, owner: str, limit: int, lease_seconds: float, *, first: bool | None = None
) -> Sequence[Claim]:
    """Takes up to `limit` watches that are due at `now` and that nobody holds.

    `first`: only those that were never looked at, or only those that were.
    """
    new = watches.c.state == WatchState.SCHEDULED.value
    wanted = true() if first is None else new if first else ~new
    free = (
        select(watches.c.id)
        .where(watches.c.next_look_at <= now, wanted, free_to_take(watches.c.lease_until, lease_seconds))
        .order_by(watches.c.next_look_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = tx.execute(
        update(watches)
        .where(watches.c.id.in_(free.scalar_subquery()))
        .values(owner=owner, lease_until=database_time() + lease_seconds, fence=watches.c.fence + 1)
        .returning(watches.c.id, watches.c.fence)
    ).all()
    fences = {row.id: row.fence for row in taken}
    rows = tx.execute(_SELECT.where(watches.c.id.in_(fences)).order_by(watches.c.next_look_at)) if fences else ()
    return [Claim(_watch(row), fences[row.id]) for row in rows]


def save(tx: Tx, claim: Claim, watch: Watch, *, release: bool = False) -> None:
    """Writes what a look made of a claimed watch; the lease stays, unless it is to be released.

    Raises:
        LeaseLostError: someone else holds the watch by now, or a deploy or a person has ended it; nothing was written.
    """
    changed = tx.execute(
        update(watches)
        .where(
            watches.c.id == watch.id,
            watches.c.fence == claim.fence,
            watches.c.lease_until > database_time(),
            watches.c.state.in_(_OPEN),
        )
        .values(_progress(watch) | ({"lease_until": 0.0} if release else {}))
    )
    if not changed.rowcount:
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


def change(tx: Tx, watch: Watch) -> None:
    """Writes a watch whoever holds it: for what comes from outside (a newer deploy, a person). A look in flight
    then loses its fence.
    """
    tx.execute(_CHANGE, {"the_id": watch.id, **_progress(watch)})


def log(tx: Tx, watch_id: str, at: float, event: str, text: str) -> None:
    """Adds a line to the watch's audit log."""
    tx.execute(_LOG, {"watch_id": watch_id, "at": at, "event": event, "text": text})


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the audit log."""

    at: float
    event: str
    text: str


def events_of(tx: Tx, watch_id: str) -> Sequence[Event]:
    query = select(events.c.at, events.c.event, events.c.text).where(events.c.watch_id == watch_id)
    return [Event(row.at, row.event, row.text) for row in tx.execute(query.order_by(events.c.id))]


def _progress(watch: Watch) -> dict[str, Any]:
    return {
        "state": watch.state.value,
        "next_look_at": watch.next_look_at,
        "last_look_at": watch.last_look_at,
        "outcome": watch.outcome.value if watch.outcome else None,
        "reason": watch.reason.value,
        "sentence": watch.sentence,
        "score": watch.score,
        "decided_at": watch.decided_at,
        "ended_at": watch.ended_at,
        "recovery_until": watch.recovery_until,
        "recovered": None if watch.recovered is None else int(watch.recovered),
        "blind_seconds": watch.blind_seconds,
        "superseded_by": watch.superseded_by,
    }


def _watch(row: Row[Any]) -> Watch:
    target = codec.load(RollbackOrder, row.rollback_payload).target_version if row.rollback_payload else None
    return Watch(
        id=row.id,
        deploy_id=row.deploy_id,
        service=row.service,
        environment=row.environment,
        version=row.version,
        previous_version=row.previous_version,
        policy=_policy(row.policy),
        state=WatchState(row.state),
        started_at=row.started_at,
        finished_at=row.finished_at,
        until=row.until,
        ticket_until=row.ticket_until,
        created_at=row.created_at,
        next_look_at=row.next_look_at,
        last_look_at=row.last_look_at,
        outcome=Outcome(row.outcome) if row.outcome else None,
        reason=Reason(row.reason),
        sentence=row.sentence,
        score=row.score,
        decided_at=row.decided_at,
        ended_at=row.ended_at,
        rollback_id=row.rollback_id,
        rollback_state=RollbackState(row.rollback_state) if row.rollback_state else None,
        target_version=target,
        rollback_detail=row.rollback_detail or "",
        rollback_held=Hold(row.rollback_held) if row.rollback_held else None,
        recovery_until=row.recovery_until,
        recovered=None if row.recovered is None else bool(row.recovered),
        blind_seconds=row.blind_seconds,
        superseded_by=row.superseded_by,
    )


@lru_cache(_POLICIES)
def _policy(text: str) -> Service:
    # It is frozen, and the same for all watches of a service until its configuration changes.
    return codec.load(Service, text)


def find(tx: Tx, any_id: str) -> Sequence[Watch]:
    """The watch with this id, or the watches of the deploy with this id."""
    query = _SELECT.where(or_(watches.c.id == any_id, watches.c.deploy_id == any_id)).order_by(watches.c.service)
    return [_watch(row) for row in tx.execute(query)]


def with_rollback(tx: Tx) -> Sequence[Watch]:
    """Watches that have not ended and have a rollback, in whatever state it is."""
    own = select(orders.c.watch_id).where(orders.c.kind == ROLLBACK)
    query = _SELECT.where(watches.c.state.in_(_OPEN), watches.c.id.in_(own))
    return [_watch(row) for row in tx.execute(query)]
