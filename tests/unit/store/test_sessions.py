"""Sessions that were ended are remembered for as long as they would have lasted."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from watcher.store import sessions
from watcher.store.database import Database
from watcher.store.schema import memory_values


def test_an_ended_session_is_known_until_it_would_have_been_over(tmp_path: Path) -> None:
    store = Database(f"sqlite:///{tmp_path}/store.db")
    store.migrate()
    with store.write() as tx:
        for _ in range(2):
            sessions.end(tx, "a", 1000.0, 100.0)
        sessions.end(tx, "b", 99_999_999_999.0, 100.0)
        assert sessions.is_ended(tx, "a")
        assert not sessions.is_ended(tx, "c")
        sessions.end(tx, "c", 3000.0, 2000.0)
        assert not sessions.is_ended(tx, "a")
        assert sessions.is_ended(tx, "b")
        assert tx.execute(select(func.count()).select_from(memory_values)).scalar_one() == 2
    store.close()
