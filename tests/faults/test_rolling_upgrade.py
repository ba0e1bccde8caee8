"""Two versions on one PostgreSQL while one is exchanged for the other: the newer migrates, the older goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.fleet import Sender, names, surroundings
from support.postgresql_server import PostgresqlServer

import watcher
from watcher.store import versions

_MIGRATION = '''"""What the next version adds."""

from alembic import op
import sqlalchemy as sa

revision = "{next}"
down_revision = "{known}"


def upgrade() -> None:
    op.add_column("watches", sa.Column("mood", sa.Text(), nullable=True))
    op.create_table("moods", sa.Column("name", sa.Text(), primary_key=True))
'''


def next_version(directory: Path) -> dict[str, str]:
    """A copy of the package with one more migration; the environment in which `python -m watcher` is that copy."""
    package = directory / "watcher"
    shutil.copytree(Path(watcher.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    following = f"{int(versions.head()) + 1:04}"
    migration = package / "store" / "migrations" / "versions" / f"{following}_the_next_version.py"
    migration.write_text(_MIGRATION.format(next=following, known=versions.head()))
    path = os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


@pytest.mark.postgresql
def test_the_older_version_goes_on_beside_the_newer(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    url = postgresql.empty()
    with surroundings() as around:
        config = around.config(names(3))
        older = Daemon(tmp_path / "older", config, {"STORE_URL": url})
        newer = Daemon(tmp_path / "newer", config, {"STORE_URL": url} | next_version(tmp_path / "next"))
        with older, newer.stopping():
            newer.start()
            assert postgresql.sql("select version_num from alembic_version", url.rpartition("/")[2]) > versions.head()
            assert older.ready()
            Sender(around, [older]).deploy("bad-0", ago=5.0)
            older.wait_for(lambda: around.rollbacks().get("bad-0"))
            older.stop()
            older.start()  # the older version on the newer schema, from the start
            older.wait_for(lambda: older.events("store_newer"))
            newer.stop()
            Sender(around, [older]).deploy("bad-1", ago=5.0)
            older.wait_for(lambda: around.rollbacks().get("bad-1"))
        for daemon in (older, newer):
            assert not daemon.events("loop_error")
        assert {name: len(keys) for name, keys in around.rollbacks().items()} == {"bad-0": 1, "bad-1": 1}
