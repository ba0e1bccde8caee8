"""How often an outside service may be asked: one count for all replicas, by the database's clock."""

from __future__ import annotations

import json

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from watcher.store import codec
from watcher.store.database import Tx, database_time
from watcher.store.schema import memory_values

_OWNER = "budget"
_WINDOW = 61  # whole seconds: whatever minute is looked at lies inside


def take(tx: Tx, name: str, most: int) -> float:
    """Takes one request of the `most` that `name` has in any minute; 0, or the seconds until there is one again."""
    insert = (postgresql if tx.dialect.name == "postgresql" else sqlite).insert(memory_values)
    tx.execute(insert.values(owner=_OWNER, key=name, value="{}").on_conflict_do_nothing())
    mine = (memory_values.c.owner == _OWNER) & (memory_values.c.key == name)
    # On PostgreSQL the row is locked until the end of the transaction; SQLite has one writer anyhow.
    row = select(memory_values.c.value, database_time().label("at")).where(mine).with_for_update()
    text, at = tx.execute(row).one()
    second = int(at)
    taken = {int(key): count for key, count in json.loads(text).items() if second - _WINDOW < int(key) <= second}
    if sum(taken.values()) >= most:
        return float(min(taken) + _WINDOW - at)
    taken[second] = taken.get(second, 0) + 1
    tx.execute(update(memory_values).where(mine).values(value=codec.compact({str(key): n for key, n in taken.items()})))
    return 0.0
