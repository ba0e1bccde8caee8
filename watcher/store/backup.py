"""Backups of an SQLite store while it is in use, and the way back; PostgreSQL has tools for all but its last step."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import StaticPool

from watcher.errors import WatcherError
from watcher.store import origin, restored
from watcher.store.database import Database
from watcher.store.restored import Settled


class BackupError(WatcherError):
    """No backup was made or restored; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup holds; `settled`: what was done about what was open in it."""

    schema: str
    deploys: int
    watches: int
    settled: Settled | None = None


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite store; None for another database."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def backup(store: Path, target: Path) -> Kept:
    """Copies the store as it is at one moment to `target`, a new file, and reads the copy through.

    Raises:
        BackupError: there is no such store, or the target exists or cannot be written, or the copy is damaged.
    """
    if not store.is_file():
        raise BackupError(f"{store}: there is no such store")
    return _copied(store, target)


def restore(source: Path, store: Path) -> Kept:
    """Makes a store of a backup; the daemon must not run.

    Raises:
        BackupError: the backup is damaged or of another program, or a store is there already.
    """
    if not source.is_file():
        raise BackupError(f"{source}: there is no such backup")
    for left in (store, *(Path(f"{store}{end}") for end in ("-wal", "-shm"))):
        if left.exists():
            raise BackupError(f"{left} exists (expected no store: stop the daemon and move it away)")
    return _copied(source, store, settle=True)


def settle(database: Database) -> Settled:
    """What `restore` does to a store that other tools have brought back; before any daemon starts.

    Raises:
        StoreUnavailableError: it does not answer, or is no store that this program can use.
    """
    database.migrate()
    with database.write() as tx:
        origin.remember(tx)
        return restored.settle(tx)


def _copied(source: Path, target: Path, *, settle: bool = False) -> Kept:
    if target.exists():
        raise BackupError(f"{target} exists (expected a new file)")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        from_there = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        with closing(from_there) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)  # in one step: writers go on beside it, and are not in it
            new.execute("pragma journal_mode = delete")  # one file, nothing beside it
            kept = _checked(new, source, settle=settle)
        _flush(part)
        part.rename(target)
        _flush(target.parent)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise BackupError(f"{source} could not be copied to {target}: {error}") from None
    except BackupError:
        part.unlink(missing_ok=True)
        raise
    return kept


def _checked(copy: sqlite3.Connection, source: Path, *, settle: bool) -> Kept:
    """Reads the whole copy."""
    (said,) = copy.execute("pragma integrity_check(1)").fetchone()
    if said != "ok":
        raise BackupError(f"{source} is damaged: {said}")
    if copy.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchone() is None:
        raise BackupError(f"{source} is no store of this program")
    (schema,) = copy.execute("select version_num from alembic_version").fetchone()
    settled = _settled(copy) if settle else None
    (deploys,) = copy.execute("select count(*) from deploys").fetchone()
    (watches,) = copy.execute("select count(*) from watches").fetchone()
    return Kept(schema, deploys, watches, settled)


def _settled(copy: sqlite3.Connection) -> Settled:
    # The connection stays open: what was made of it is its owner's to close.
    with create_engine("sqlite://", creator=lambda: copy, poolclass=StaticPool).begin() as tx:
        return restored.settle(tx)


def _flush(path: Path) -> None:
    """To the disk, a folder too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
