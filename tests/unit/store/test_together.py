"""Group commit: writers share a transaction, each has its own end, and none is done before it is durable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from support.made import deploy
from support.postgresql_server import PostgresqlServer
from support.sqlite_store import sqlite_store

from watcher.errors import StoreUnavailableError
from watcher.store import deploys, together
from watcher.store.database import Database, Tx


@pytest.fixture
def commits() -> Iterator[list[None]]:
    counted: list[None] = []

    def count(_connection: object) -> None:
        counted.append(None)

    event.listen(Engine, "commit", count)
    yield counted
    event.remove(Engine, "commit", count)


def put(number: int) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        deploys.put(tx, deploy(id=f"d-{number}", identity=f"n-{number}"))
        return f"d-{number}"

    return work


def fail(tx: Tx) -> str:
    deploys.put(tx, deploy(id="d-half", identity="half"))
    raise ValueError("this one is broken")


def kept(database: Database) -> set[str]:
    with database.read() as tx:
        return {one.id for one in deploys.recent(tx, 1000)}


def test_they_share_one_commit(tmp_path: Path, commits: list[None]) -> None:
    with closing(sqlite_store(tmp_path)) as database:
        commits.clear()
        assert database.together([put(number) for number in range(40)]) == [f"d-{number}" for number in range(40)]
        assert len(commits) == 1
        assert len(kept(database)) == 40


def test_one_that_fails_does_not_undo_the_others(tmp_path: Path) -> None:
    with closing(sqlite_store(tmp_path)) as database:
        first, broken, last = database.together([put(1), fail, put(2)])
        assert (first, last) == ("d-1", "d-2")
        assert str(broken) == "this one is broken"
        assert kept(database) == {"d-1", "d-2"}


def test_a_store_that_stays_away_is_told_to_everybody(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'no' / 'folder.db'}")) as database:
        for told in database.together([put(number) for number in range(5)]):
            assert isinstance(told, StoreUnavailableError)


@pytest.mark.postgresql
def test_a_database_that_restarts_meanwhile_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 60.0)
    with PostgresqlServer() as server, closing(Database(server.url)) as database:
        database.migrate()
        database.together([put(1)])
        server.stop()
        starting = threading.Timer(0.5, server.start)
        starting.start()
        assert database.together([put(2), put(3)]) == ["d-2", "d-3"]
        starting.join()
        assert kept(database) == {"d-1", "d-2", "d-3"}
