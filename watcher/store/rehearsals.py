"""What rehearsals found: the newest few of each service."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import lru_cache

from sqlalchemy import delete, func, insert, select

from watcher.model.rehearsal import Rehearsal
from watcher.store import codec
from watcher.store.database import Tx
from watcher.store.schema import rehearsals

_KEPT = 30
_READ = 10_000  # some kilobytes each; of fewer than there are services, each would be read anew at every scrape


def add(tx: Tx, rehearsal: Rehearsal) -> None:
    """Keeps a rehearsal; one of the same service and time is replaced, and the oldest beyond a month's are dropped."""
    table = rehearsals.c
    tx.execute(delete(rehearsals).where(table.service == rehearsal.service, table.made_at == rehearsal.made_at))
    tx.execute(
        insert(rehearsals).values(service=rehearsal.service, made_at=rehearsal.made_at, data=codec.dump(rehearsal))
    )
    kept = select(table.made_at).where(table.service == rehearsal.service).order_by(table.made_at.desc())
    oldest = tx.execute(kept.offset(_KEPT - 1).limit(1)).scalar_one_or_none()
    if oldest is not None:
        tx.execute(delete(rehearsals).where(table.service == rehearsal.service, table.made_at < oldest))


def latest(tx: Tx, service: str) -> Rehearsal | None:
    """The newest rehearsal of a service."""
    table = rehearsals.c
    query = select(table.data).where(table.service == service).order_by(table.made_at.desc()).limit(1)
    data = tx.execute(query).scalar_one_or_none()
    return None if data is None else codec.load(Rehearsal, data)


def recent(tx: Tx, service: str) -> list[Rehearsal]:
    """All rehearsals of a service that are kept, newest first."""
    table = rehearsals.c
    query = select(table.data).where(table.service == service).order_by(table.made_at.desc())
    return [codec.load(Rehearsal, data) for data in tx.execute(query).scalars()]


def latest_of_all(tx: Tx, services: Container[str] | None = None) -> Mapping[str, Rehearsal]:
    """Service -> its newest rehearsal; of `services` alone, if they are given: those of services that are gone stay."""
    table = rehearsals.c
    newest = select(table.service, func.max(table.made_at).label("made_at")).group_by(table.service).subquery()
    query = select(table.service, table.data).join(
        newest, (table.service == newest.c.service) & (table.made_at == newest.c.made_at)
    )
    return {service: _rehearsal(data) for service, data in tx.execute(query) if services is None or service in services}


@lru_cache(_READ)
def _rehearsal(data: str) -> Rehearsal:
    """Read once: it is frozen, and asked for at every scrape."""
    return codec.load(Rehearsal, data)


def latest_times(tx: Tx) -> Mapping[str, tuple[float, int]]:
    """Service -> when its newest rehearsal was made, and how many placebos it judged."""
    return {service: (made.made_at, made.placebos) for service, made in latest_of_all(tx).items()}
