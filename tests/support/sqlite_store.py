"""A migrated store of its own for a test."""

from __future__ import annotations

from pathlib import Path

from watcher.store.database import Database


def sqlite_store(directory: Path) -> Database:
    database = Database(f"sqlite:///{directory / 'watcher.db'}")
    database.migrate()
    return database
