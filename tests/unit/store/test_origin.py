"""A PostgreSQL store that other tools have brought back is known by itself at the next start, and settled once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import make_url, text
from structlog.testing import capture_logs
from support.made import deploy, watch
from support.postgresql_server import PostgresqlServer
from support.programs import require

from watcher.engine.awaiting import migrated
from watcher.store import backup, deploys, watches
from watcher.store.database import Database
from watcher.store.restored import restored_at, settle_if_moved
from watcher.telemetry.logs import logger

pytestmark = pytest.mark.postgresql
_PLAIN = "plain"  # a role that is no superuser


@pytest.fixture
def store(postgresql: PostgresqlServer) -> Iterator[Database]:
    """Started once, so that it knows where it is; with an open watch."""
    with closing(postgresql.migrated()) as made:
        with made.write() as tx:
            deploys.put(tx, deploy())
            watches.open_watch(tx, watch())
        assert said_at_start(made) == [], "a store of an older version may have open watches"
        yield made


def said_at_start(store: Database) -> list[tuple[int, int]]:
    """What a daemon says of a store that was brought back, as it starts: open watches, doubtful rollbacks."""
    with capture_logs() as lines:
        assert migrated(store, Event(), logger("app"))
    return [(line["watches"], line["doubtful"]) for line in lines if line["event"] == "store_restored"]


def marked(store: Database) -> bool:
    with store.read() as tx:
        return restored_at(tx, "w-1") is not None


def dump(store: Database, folder: Path) -> Path:
    file = folder / "dump"
    run("pg_dump", "--format=custom", f"--file={file}", store)
    return file


def bring_back(file: Path, store: Database, *arguments: str) -> None:
    run("pg_restore", *arguments, "--single-transaction", "--no-owner", str(file), store)


def run(program: str, *arguments: str | Database) -> None:
    *given, store = arguments
    assert isinstance(store, Database)
    database = f"--dbname={store.url.replace('+psycopg', '')}"
    subprocess.run([*require(program), database, *map(str, given)], check=True, capture_output=True)


def named(store: Database) -> str:
    return make_url(store.url).database or ""


def test_starting_again_settles_nothing(store: Database) -> None:
    assert said_at_start(store) == []
    assert not marked(store)


def test_what_was_brought_back_into_its_own_database_is_settled_once(store: Database, tmp_path: Path) -> None:
    bring_back(dump(store, tmp_path), store, "--clean", "--if-exists")
    assert said_at_start(store) == [(1, 0)]
    assert marked(store)
    assert said_at_start(store) == []


def test_so_is_what_was_brought_back_into_another(
    store: Database, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    with closing(Database(postgresql.empty())) as other:
        bring_back(dump(store, tmp_path), other)
        assert said_at_start(other) == [(1, 0)]
        assert said_at_start(other) == []
    assert said_at_start(store) == []


def test_and_a_copy_that_the_server_has_made(store: Database, postgresql: PostgresqlServer) -> None:
    store.close()  # nobody may be connected to a template
    with closing(Database(postgresql.empty(template=named(store)))) as copy:
        assert said_at_start(copy) == [(1, 0)]


def test_another_cluster_shows_although_its_numbers_are_the_same(store: Database, postgresql: PostgresqlServer) -> None:
    cluster = postgresql.sql("select system_identifier from pg_control_system()")
    with store.write() as tx:
        change = "update memory_values set value = replace(value, :cluster, '1') where owner = 'store'"
        assert tx.execute(text(change), {"cluster": cluster}).rowcount == 1
    assert said_at_start(store) == [(1, 0)]


def test_who_has_settled_it_by_hand_is_not_helped(store: Database, tmp_path: Path) -> None:
    bring_back(dump(store, tmp_path), store, "--clean", "--if-exists")
    assert backup.settle(store).watches == 1
    assert said_at_start(store) == []


def test_of_replicas_that_start_together_one_settles(store: Database, tmp_path: Path) -> None:
    bring_back(dump(store, tmp_path), store, "--clean", "--if-exists")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(settle_if_moved, [store] * 4))
    assert sorted(one is None for one in found) == [False, True, True, True]


def test_without_the_right_to_ask_for_the_cluster_the_rest_still_tells(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    with closing(postgresql.migrated()) as superuser:
        database = named(superuser)
        postgresql.sql(f"create role {_PLAIN} login")
        everything = f"grant all on all tables in schema public to {_PLAIN}"
        postgresql.sql(f"{everything}; {everything.replace('tables', 'sequences')}", database)
        postgresql.sql("revoke execute on function pg_control_system() from public", database)
        allowed = f"select has_function_privilege('{_PLAIN}', 'pg_control_system()', 'execute')"
        assert postgresql.sql(allowed, database) == "f"
        with superuser.write() as tx:
            deploys.put(tx, deploy())
            watches.open_watch(tx, watch())
        with closing(Database(superuser.url.replace("watcher@", f"{_PLAIN}@"))) as plain:
            assert said_at_start(plain) == []
            assert said_at_start(plain) == []
            assert said_at_start(superuser) == [], "who may ask, learns more, and nothing else"
            assert said_at_start(plain) == [], "who may not, forgets nothing"
            bring_back(dump(superuser, tmp_path), superuser, "--clean", "--if-exists")
            assert said_at_start(plain) == [(1, 0)]
