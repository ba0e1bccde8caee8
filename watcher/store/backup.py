"""Backups of an SQLite store while it is in use, and the way back. PostgreSQL has its own tools."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from watcher.errors import WatcherError

# Since the backup a rollback may have been made. `attempted` says just that: it is repeated only under the same key,
# and where no key is honoured a person is called.
_DOUBTFUL = """
update orders set state = 'attempted', lease_until = 0.0
where kind = 'rollback' and (state = 'approved' or (state = 'planned' and expires_at is null))
"""


class BackupError(WatcherError):
    """No backup was made or restored; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup holds; `doubtful`: rollbacks of which it is not known whether they were made since."""

    schema: str
    deploys: int
    watches: int
    doubtful: int = 0


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
    doubtful = copy.execute(_DOUBTFUL).rowcount if settle else 0
    copy.commit()
    (deploys,) = copy.execute("select count(*) from deploys").fetchone()
    (watches,) = copy.execute("select count(*) from watches").fetchone()
    return Kept(schema, deploys, watches, doubtful)


def _flush(path: Path) -> None:
    """To the disk, a folder too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
