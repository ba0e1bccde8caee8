"""A migrated store of its own for a test."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from watcher.store.database import Database


def sqlite_store(directory: Path) -> Database:
    """Empty, and closed by the caller."""
    file = directory / "watcher.db"
    file.write_bytes(_migrated())
    return Database(f"sqlite:///{file}")


@cache
def _migrated() -> bytes:
    """Made once: migrating takes a hundred times as long as a copy."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "watcher.db"
        with closing(Database(f"sqlite:///{file}")) as database:
            database.migrate()
        return file.read_bytes()
