"""Two versions on one database: a newer schema that only added is worked with, any other is refused in a sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from support.made import NOW, deploy, watch
from support.sqlite_store import sqlite_store

from watcher.errors import StoreUnavailableError
from watcher.store import claims, deploys, versions, watches
from watcher.store.database import Database
from watcher.store.schema import metadata

VERSIONS = sorted((Path(versions.__file__).parent / "migrations" / "versions").glob("[0-9]*.py"))


def upgraded(database: Database, needs: str) -> None:
    """As a version from the future leaves the store."""
    with database.write() as tx:
        tx.execute(text("alter table watches add column mood text"))
        tx.execute(text("create table moods (name text primary key)"))
        tx.execute(text("update alembic_version set version_num = '9999'"))
        tx.execute(text("update compatibility set value = :needs"), {"needs": needs})


def test_a_newer_schema_that_only_added_is_worked_with(database: Database) -> None:
    upgraded(database, needs=versions.head())
    schema = database.migrate()
    assert (schema.newer, schema.usable, schema.current) == (True, True, "9999")
    assert database.ready()
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, watch())
        (claim,) = claims.take_due(tx, NOW + 60, "a", 1, 30.0)
        claims.save(tx, claim, watch(sentence="written by the older version"))


def test_a_newer_schema_that_did_more_is_refused_in_a_sentence(database: Database) -> None:
    upgraded(database, needs="9000")
    with pytest.raises(StoreUnavailableError) as caught:
        database.migrate()
    assert caught.value.permanent
    assert str(caught.value) == (
        "the store has schema 9999, which needs a watcher that knows schema 9000; "
        f"this one knows {versions.head()}: run the newer version, or restore a backup from before its start"
    )
    assert not database.ready()


def test_neither_the_daemon_nor_a_current_schema_loads_what_only_migrations_and_judging_need(tmp_path: Path) -> None:
    sqlite_store(tmp_path).close()
    code = (
        "import sys, watcher.app; from watcher.store.database import Database; "
        f"store = Database('sqlite:///{tmp_path}/watcher.db'); store.migrate(); assert store.ready(); "
        "sys.exit(', '.join(name for name in ('alembic', 'mako', 'scipy', 'ruptures') if name in sys.modules) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200)
    assert result.returncode == 0, result.stderr


def test_a_store_without_its_schema_is_not_ready(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'empty.db'}")) as empty:
        assert not empty.ready()


def test_a_file_that_cannot_be_opened_is_not_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}"
    with closing(Database(url)) as nowhere, pytest.raises(StoreUnavailableError) as caught:
        nowhere.migrate()
    assert caught.value.permanent


def test_the_migrations_make_the_tables_that_the_code_speaks_of(database: Database) -> None:
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"target_metadata": metadata})
        different = [change for change in compare_metadata(context, metadata) if "memory_points" not in str(change)]
    assert not different


def test_migrations_are_one_line_of_four_digits() -> None:
    numbers = [path.name[:4] for path in VERSIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(VERSIONS) + 1)]
    scripts = ScriptDirectory(str(Path(versions.__file__).parent / "migrations"))
    assert scripts.get_heads() == [versions.head()] == numbers[-1:]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_"), "revisions are compared by their names"


# Before 0005 no program knew how to ask.
@pytest.mark.parametrize("path", VERSIONS[4:], ids=lambda path: path.name[:4])
def test_a_migration_only_adds_or_says_who_may_still_use_the_store(path: Path) -> None:
    upgrade = path.read_text().partition("def downgrade")[0]
    takes_away = re.findall(r"\b(drop_\w+|alter_column|rename_\w+)\(", upgrade)
    demands = re.findall(r"add_column\([^\n]*nullable=False(?![^\n]*server_default)[^\n]*", upgrade)
    if takes_away or demands:
        revision = path.name[:4]
        assert re.search(rf"update compatibility set value = '{revision}'", upgrade), (
            f"{path.name} does {takes_away or demands}: an older version may still run on this database"
        )
