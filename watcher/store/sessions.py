"""Sessions of the page that were ended before their time. The others are known by their signature alone."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from watcher.store.database import Tx
from watcher.store.schema import memory_values

_OWNER = "ended sessions"


def end(tx: Tx, digest: str, expires_at: float, now: float) -> None:
    """Ends the session with this digest, which would have lasted to `expires_at`; forgets those that are over."""
    values = memory_values.c
    over = (values.value < _written(now)) | (values.key == digest)
    tx.execute(delete(memory_values).where(values.owner == _OWNER, over))
    tx.execute(insert(memory_values).values(owner=_OWNER, key=digest, value=_written(expires_at)))


def is_ended(tx: Tx, digest: str) -> bool:
    values = memory_values.c
    query = select(values.key).where(values.owner == _OWNER, values.key == digest)
    return tx.execute(query).scalar_one_or_none() is not None


def _written(at: float) -> str:
    # Of one length, so that text sorts as time does.
    return f"{int(at):012d}"
