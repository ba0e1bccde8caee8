"""Where a PostgreSQL store was written: what a dump has brought back is another table, database or cluster."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from watcher.store import codec
from watcher.store.database import Tx
from watcher.store.schema import memory_values
from watcher.store.upsert import upsert

_OWNER, _KEY = "store", "origin"
_HERE = text(
    "select 'watches'::regclass::oid::bigint as table, "
    "(select oid::bigint from pg_database where datname = current_database()) as database"
)
_CLUSTER = text("select system_identifier::text from pg_control_system()")


@dataclass(frozen=True, slots=True)
class Origin:
    """PostgreSQL's numbers of the table of watches and of the database, and the cluster's identifier: None if we may
    not ask for it. None of them is a part of a dump.
    """

    table: int
    database: int
    cluster: str | None

    def may_be(self, other: Origin) -> bool:
        """Whether nothing that is known of both says that they are two."""
        same = (self.table, self.database) == (other.table, other.database)
        return same and (self.cluster == other.cluster or None in (self.cluster, other.cluster))


def known(tx: Tx) -> bool:
    """Whether nothing is to be remembered or found out: SQLite has no such numbers."""
    return tx.dialect.name != "postgresql" or _here(tx) == _written(tx)


def moved(tx: Tx) -> bool:
    """Whether the rows were written elsewhere than where they are; says so once, for it is remembered."""
    written, here = _written(tx), _here(tx)
    if written is None or not written.may_be(here):
        _write(tx, here)
        return written is not None
    if written.cluster is None:  # the right to ask for it was given since
        _write(tx, here)
    return False


def remember(tx: Tx) -> None:
    """Makes this the place where the rows were written."""
    if tx.dialect.name == "postgresql":
        _write(tx, _here(tx))


def _here(tx: Tx) -> Origin:
    row = tx.execute(_HERE).one()
    cluster: str | None = None
    try:
        with tx.begin_nested():
            cluster = tx.execute(_CLUSTER).scalar_one()
    except DBAPIError as error:  # not allowed, or not what such a server knows
        if error.connection_invalidated:
            raise
    return Origin(row.table, row.database, cluster)


def _written(tx: Tx) -> Origin | None:
    values = memory_values.c
    query = select(values.value).where(values.owner == _OWNER, values.key == _KEY)
    found = tx.execute(query).scalar_one_or_none()
    return None if found is None else Origin(**json.loads(found))


def _write(tx: Tx, origin: Origin) -> None:
    row = {"owner": _OWNER, "key": _KEY, "value": codec.compact(asdict(origin))}
    tx.execute(upsert(tx, memory_values, ("owner", "key")), [row])
