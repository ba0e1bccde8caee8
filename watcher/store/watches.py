"""Watches: opened with their deploy, found, and changed from outside; looks change them by their claim (`claims`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, bindparam, case, func, insert, or_, select, update

from watcher.model.decision import Outcome, Reason
from watcher.model.service import Service
from watcher.model.watch import Watch, WatchState
from watcher.store import codec
from watcher.store.database import Tx
from watcher.store.prepared import Prepared
from watcher.store.schema import events, orders, watches
from watcher.store.unknown import readable
from watcher.store.watch_rows import OPEN, ROLLBACK, SELECT, progress, to_policy, to_watch

_OF_SERVICE = SELECT.where(watches.c.service == bindparam("service"), watches.c.environment == bindparam("environment"))
_BY_ID = Prepared(SELECT.where(watches.c.id == bindparam("watch_id")), locks=watches)
_KNOWN = Prepared(select(watches.c.id).where(watches.c.id == bindparam("watch_id")))
_ACTIVE = Prepared(_OF_SERVICE.where(watches.c.state.in_(OPEN)).order_by(watches.c.finished_at), locks=watches)
_HISTORY = _OF_SERVICE.order_by(watches.c.finished_at.desc()).limit(bindparam("most"))
_INSERT = Prepared(insert(watches))
_SAID = bindparam("said", type_=Text)
_CHANGE = Prepared(
    update(watches)
    .where(watches.c.id == bindparam("the_id"))
    .values(
        fence=watches.c.fence + 1,
        lease_until=0.0,
        # A newer version's word stays.
        reason=case((_SAID == Reason.UNKNOWN.value, watches.c.reason), else_=_SAID),  # noqa: SIM300  # no Python
    )
)
_LOG = Prepared(insert(events).inline())


def open_watch(tx: Tx, watch: Watch) -> None:
    """Writes a new watch."""
    _INSERT.write(
        tx,
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
            **progress(watch),
        },
    )


def get(tx: Tx, watch_id: str) -> Watch | None:
    return next(iter(readable(tx, _BY_ID.rows(tx, watch_id=watch_id), to_watch)), None)


def exists(tx: Tx, watch_id: str) -> bool:
    return _KNOWN.first(tx, watch_id=watch_id) is not None


def of_deploy(tx: Tx, deploy_id: str) -> Sequence[Watch]:
    query = SELECT.where(watches.c.deploy_id == deploy_id).order_by(watches.c.service)
    return readable(tx, tx.execute(query), to_watch)


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
    query = SELECT.order_by(watches.c.created_at.desc(), watches.c.id).limit(limit)
    if at is not None:
        query = query.where(watches.c.created_at == at)
    if service is not None:
        query = query.where(watches.c.service == service)
    if state is not None:
        query = query.where(watches.c.state == state.value)
    if before is not None:
        query = query.where(watches.c.created_at < before)
    return readable(tx, tx.execute(query), to_watch)


def active(tx: Tx, service: str, environment: str) -> Sequence[Watch]:
    """Watches of a service that have not ended, oldest first."""
    return readable(tx, _ACTIVE.rows(tx, service=service, environment=environment), to_watch)


def open_policies(tx: Tx) -> Sequence[Service]:
    """The policies of all watches that have not ended, each once."""
    query = select(func.min(watches.c.id).label("id"), watches.c.policy).where(watches.c.state.in_(OPEN))
    return readable(tx, tx.execute(query.group_by(watches.c.policy)), lambda row: to_policy(row.policy))


def history(tx: Tx, service: str, environment: str, limit: int = 50) -> Sequence[Watch]:
    """The newest watches of a service by the end of their deploy, newest first."""
    asked = {"service": service, "environment": environment, "most": limit}
    return readable(tx, tx.execute(_HISTORY, asked), to_watch)


def regressed_versions(tx: Tx, service: str, environment: str) -> frozenset[str]:
    """Every version that was ever judged regressed, however long ago: none is ever gone back to."""
    query = select(watches.c.version).where(
        watches.c.service == service,
        watches.c.environment == environment,
        watches.c.outcome == Outcome.REGRESSED.value,
    )
    return frozenset(tx.execute(query.distinct()).scalars())


def incidents(tx: Tx, service: str, since: float, environment: str | None = None) -> list[tuple[float, float]]:
    """From when to when deploys of a service did harm that went on after `since`, in one environment or in all."""
    end = func.coalesce(watches.c.ended_at, watches.c.ticket_until)
    query = select(watches.c.started_at, end).where(
        watches.c.service == service, watches.c.outcome == Outcome.REGRESSED.value, end > since
    )
    if environment is not None:
        query = query.where(watches.c.environment == environment)
    return [(start, stop) for start, stop in tx.execute(query.order_by(watches.c.started_at))]


def count_by_state(tx: Tx) -> Mapping[str, int]:
    query = select(watches.c.state, func.count().label("number")).group_by(watches.c.state)
    return {row.state: row.number for row in tx.execute(query)}


def oldest_due(tx: Tx) -> float | None:
    """When the watch that waits longest was due, unix seconds."""
    oldest: float | None = tx.execute(select(func.min(watches.c.next_look_at))).scalar_one()
    return oldest


def change(tx: Tx, watch: Watch) -> None:
    """Writes a watch whoever holds it: for what comes from outside (a newer deploy, a person). A look in flight
    then loses its fence.
    """
    changed = progress(watch)
    _CHANGE.write(tx, {"the_id": watch.id, "said": changed.pop("reason"), **changed})


def log(tx: Tx, watch_id: str, at: float, event: str, text: str) -> None:
    """Adds a line to the watch's audit log."""
    _LOG.write(tx, {"watch_id": watch_id, "at": at, "event": event, "text": text})


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the audit log."""

    at: float
    event: str
    text: str


def events_of(tx: Tx, watch_id: str) -> Sequence[Event]:
    query = select(events.c.at, events.c.event, events.c.text).where(events.c.watch_id == watch_id)
    return [Event(row.at, row.event, row.text) for row in tx.execute(query.order_by(events.c.id))]


def find(tx: Tx, any_id: str) -> Sequence[Watch]:
    """The watch with this id, or the watches of the deploy with this id."""
    query = SELECT.where(or_(watches.c.id == any_id, watches.c.deploy_id == any_id)).order_by(watches.c.service)
    return readable(tx, tx.execute(query), to_watch)


def with_rollback(tx: Tx) -> Sequence[Watch]:
    """Watches that have not ended and have a rollback, in whatever state it is."""
    own = select(orders.c.watch_id).where(orders.c.kind == ROLLBACK)
    query = SELECT.where(watches.c.state.in_(OPEN), watches.c.id.in_(own))
    return readable(tx, tx.execute(query), to_watch)
