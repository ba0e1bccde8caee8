"""Group commit: writers share a transaction, each has its own end, and nothing returns before it is durable."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


def put(database: Database, number: int) -> str:
    def work(tx: Tx) -> str:
        deploys.put(tx, deploy(id=f"d-{number}", identity=f"n-{number}"))
        return f"d-{number}"

    return database.together(work)


def kept(database: Database) -> set[str]:
    with database.read() as tx:
        return {one.id for one in deploys.recent(tx, 1000)}


def test_those_who_wait_share_one_commit(tmp_path: Path, commits: list[None]) -> None:
    with closing(sqlite_store(tmp_path)) as database, ThreadPoolExecutor(40) as pool:
        commits.clear()
        with database.write():  # the store is busy: they queue up
            sent = [pool.submit(put, database, number) for number in range(40)]
            while not all(one.running() for one in sent):
                time.sleep(0.01)
            time.sleep(0.3)
        assert {one.result() for one in sent} == {f"d-{number}" for number in range(40)}
        assert len(commits) <= 4
        assert len(kept(database)) == 40


def test_one_that_fails_does_not_undo_the_others(tmp_path: Path) -> None:
    def fail(tx: Tx) -> str:
        deploys.put(tx, deploy(id="d-half", identity="half"))
        raise ValueError("this one is broken")

    with closing(sqlite_store(tmp_path)) as database, ThreadPoolExecutor(10) as pool:
        with database.write():
            broken = pool.submit(database.together, fail)
            sent = [pool.submit(put, database, number) for number in range(8)]
            time.sleep(0.3)
        with pytest.raises(ValueError, match="this one is broken"):
            broken.result()
        assert [one.result() for one in sent] == [f"d-{number}" for number in range(8)]
        assert kept(database) == {f"d-{number}" for number in range(8)}


def test_a_store_that_stays_away_is_told_to_everybody(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'no' / 'folder.db'}")) as database, ThreadPoolExecutor(5) as pool:
        sent = [pool.submit(put, database, number) for number in range(5)]
        for one in sent:
            with pytest.raises(StoreUnavailableError):
                one.result()


@pytest.mark.postgresql
def test_a_database_that_restarts_meanwhile_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 60.0)
    with PostgresqlServer(tmp_path / "postgresql") as server, closing(Database(server.url)) as database:
        database.migrate()
        put(database, 1)
        server.stop()
        starting = threading.Timer(0.5, server.start)
        starting.start()
        put(database, 2)
        starting.join()
        assert kept(database) == {"d-1", "d-2"}
