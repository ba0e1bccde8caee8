"""`watcher backup` and `watcher restore`: an SQLite store, copied while it is in use and read through."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import click

from watcher import settings as configuration
from watcher.errors import ConfigError, StoreUnavailableError
from watcher.settings import Settings
from watcher.store.backup import BackupError, Kept, sqlite_path
from watcher.store.backup import backup as make
from watcher.store.backup import restore as bring_back
from watcher.store.backup import settle as settle_store
from watcher.store.database import Database
from watcher.store.restored import Settled

_POSTGRESQL = """the store is PostgreSQL, which has its own tools:
  pg_dump --format=custom --file=FILE "$DATABASE_URL"
  pg_restore --clean --if-exists --single-transaction --dbname="$DATABASE_URL" FILE
and then, before any replica starts:
  watcher restore --config watcher.yaml --settle
docs/reliability.md says more"""


@click.command()
@click.option("--config", "path", required=True, type=click.Path(), help="The configuration file.")
@click.argument("target", type=click.Path())
def backup(path: str, target: str) -> None:
    """Copy the store to TARGET, a new file, while the daemon runs, and check the copy."""
    store = _store(path)
    try:
        kept = make(store, Path(target))
    except BackupError as error:
        _fail(str(error))
    click.echo(f"{target}: {_holds(kept)}")


@click.command()
@click.option("--config", "path", required=True, type=click.Path(), help="The configuration file.")
@click.option("--settle", is_flag=True, help="Only settle a store that other tools have brought back (PostgreSQL).")
@click.argument("source", type=click.Path(), required=False)
def restore(path: str, source: str | None, *, settle: bool) -> None:
    """Make the configured store of SOURCE, a backup; the daemon must not run, and no store may be there.

    What was open in the backup rolls nothing back any more without a person.
    """
    if settle == (source is not None):
        raise click.UsageError("give either SOURCE or --settle")
    if source is None:
        _settle(path)
        return
    store = _store(path)
    try:
        kept = bring_back(Path(source), store)
    except BackupError as error:
        _fail(str(error))
    click.echo(f"{store}: {_holds(kept)}")
    if kept.settled is not None:
        _tell(kept.settled)


def _settle(path: str) -> None:
    try:
        with closing(Database.existing(_settings(path).store_url.get_secret_value())) as database:
            _tell(settle_store(database))
    except StoreUnavailableError as error:
        _fail(str(error))


def _tell(settled: Settled) -> None:
    click.echo(f"{settled.watches} watches were open: each asks a person before it rolls back")
    click.echo(
        f"{settled.doubtful} rollbacks were under way: none is called again; its target is asked what became of it, "
        "or a person is called"
    )


def _settings(path: str) -> Settings:
    try:
        return configuration.load(path, os.environ)
    except ConfigError as error:
        _fail(str(error))


def _store(path: str) -> Path:
    store = sqlite_path(_settings(path).store_url.get_secret_value())
    if store is None:
        _fail(_POSTGRESQL)
    return store


def _holds(kept: Kept) -> str:
    return f"{kept.deploys} deploys, {kept.watches} watches, schema {kept.schema}; every page was read"


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
