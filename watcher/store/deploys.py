"""Deploys and the deliveries that told of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select

from watcher.model.deploy import Deploy, Phase
from watcher.store import codec
from watcher.store.database import Tx
from watcher.store.prepared import Prepared
from watcher.store.schema import deliveries, deploys
from watcher.store.upsert import upserting

_ANSWER = Prepared(
    select(deliveries.c.answer).where(
        deliveries.c.key == bindparam("the_key"), deliveries.c.received_at > bindparam("since")
    )
)
_REMEMBER = Prepared(upserting(deliveries, "key"))
_BY_IDENTITY = Prepared(select(deploys).where(deploys.c.identity == bindparam("the_identity")))
_AROUND = Prepared(
    select(
        deploys.c.id,
        deploys.c.environment,
        deploys.c.version,
        deploys.c.started_at,
        deploys.c.finished_at,
        deploys.c.received_at,
        deploys.c.services,
        deploys.c.attributes,
    )
    .where(deploys.c.started_at > bindparam("start"))
    .order_by(deploys.c.started_at)
)
_PUT = Prepared(upserting(deploys, "id"))
_SERVICES = 10_000  # texts of deploys, of some hundred bytes


def delivery(tx: Tx, key: str, since: float = 0.0) -> Any:
    """What was answered to the delivery `key`, if it came after `since`; else None."""
    row = _ANSWER.first(tx, the_key=key, since=since)
    return None if row is None else json.loads(row.answer)


def remember_delivery(tx: Tx, key: str, received_at: float, answer: Any) -> None:
    """Keeps the JSON answer to a delivery for its repeats."""
    row = {"key": key, "received_at": received_at, "answer": codec.compact(answer)}
    _REMEMBER.write(tx, row)


def by_identity(tx: Tx, identity: str) -> Deploy | None:
    row = _BY_IDENTITY.first(tx, the_identity=identity)
    return None if row is None else _deploy(row)


def get(tx: Tx, deploy_id: str) -> Deploy | None:
    row = tx.execute(select(deploys).where(deploys.c.id == deploy_id)).one_or_none()
    return None if row is None else _deploy(row)


def recent(tx: Tx, limit: int | None = None, before: float | None = None, at: float | None = None) -> Sequence[Deploy]:
    """Deploys, newest first; `before` is a `received_at` to page on from, `at` one that all of them have."""
    query = select(deploys).order_by(deploys.c.received_at.desc(), deploys.c.id).limit(limit)
    if at is not None:
        query = query.where(deploys.c.received_at == at)
    if before is not None:
        query = query.where(deploys.c.received_at < before)
    return [_deploy(row) for row in tx.execute(query)]


class Around(NamedTuple):
    """What others must know of a deploy: whose it is and when; times in unix seconds."""

    id: str
    environment: str
    version: str
    started_at: float
    finished_at: float | None
    received_at: float
    services: tuple[str, ...]


def around(tx: Tx, start: float) -> Sequence[Around]:
    """Deploys that began after `start`, oldest first. One that is of no known service is of what it calls itself."""
    return [Around._make((*row[:6], _services(*row[6:]))) for row in _AROUND.tuples(tx, start=start)]


@lru_cache(_SERVICES)
def _services(services: str, attributes: str) -> tuple[str, ...]:
    """Read once: a whole fleet may have deployed, and every batch of looks asks for it anew."""
    told = codec.mapping(attributes)
    return tuple(json.loads(services)) or (told.get("service") or told.get("repository", "?"),)


def put(tx: Tx, deploy: Deploy) -> None:
    """Writes a deploy, new or changed."""
    values = {
        "identity": deploy.identity,
        "hook": deploy.hook,
        "phase": deploy.phase.value,
        "environment": deploy.environment,
        "version": deploy.version,
        "previous_version": deploy.previous_version,
        "received_at": deploy.received_at,
        "started_at": deploy.started_at,
        "finished_at": deploy.finished_at,
        "services": json.dumps(list(deploy.services)),
        "attributes": codec.compact(dict(deploy.attributes)),
        "links": codec.compact(dict(deploy.links)),
        "rollback_id": deploy.rollback_id,
    }
    _PUT.write(tx, {"id": deploy.id, **values})


def _deploy(row: Row[Any]) -> Deploy:
    return Deploy(
        id=row.id,
        identity=row.identity,
        hook=row.hook,
        phase=Phase(row.phase),
        environment=row.environment,
        version=row.version,
        received_at=row.received_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        previous_version=row.previous_version,
        services=tuple(json.loads(row.services)),
        attributes=codec.mapping(row.attributes),
        links=codec.mapping(row.links),
        rollback_id=row.rollback_id,
    )
