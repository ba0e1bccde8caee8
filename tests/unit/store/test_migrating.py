"""What a start pays for the schema: nothing where it is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import text

from watcher.store import database
from watcher.store.database import Database


def test_the_newest_revision_is_alembics_head() -> None:
    scripts = ScriptDirectory(str(Path(database.__file__).parent / "migrations"))
    assert scripts.get_heads() == [database._newest()]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_"), "revisions are compared by their names"


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    store = Database(f"sqlite:///{tmp_path}/store.db")
    store.migrate()
    with store.write() as tx:
        tx.execute(text("update alembic_version set version_num = '9999'"))
    store.migrate()
    assert store.ready()
    store.close()


def test_neither_the_daemon_nor_a_current_schema_loads_what_only_migrations_and_judging_need(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/store.db").migrate()
    code = (
        "import sys, watcher.app; from watcher.store.database import Database; "
        f"store = Database('sqlite:///{tmp_path}/store.db'); store.migrate(); assert store.ready(); "
        "sys.exit(', '.join(name for name in ('alembic', 'mako', 'scipy', 'ruptures') if name in sys.modules) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
