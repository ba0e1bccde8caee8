"""`watcher backup` and `watcher restore`: an SQLite store, copied while it is in use and read through."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from watcher import settings as configuration
from watcher.errors import ConfigError
from watcher.store.backup import BackupError, Kept, sqlite_path
from watcher.store.backup import backup as make
from watcher.store.backup import restore as bring_back

_POSTGRESQL = """the store is PostgreSQL, which has its own tools:
  pg_dump --format=custom --file=FILE "$DATABASE_URL"
  pg_restore --clean --if-exists --single-transaction --dbname="$DATABASE_URL" FILE
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
@click.argument("source", type=click.Path())
def restore(path: str, source: str) -> None:
    """Make the configured store of SOURCE, a backup; the daemon must not run, and no store may be there."""
    store = _store(path)
    try:
        kept = bring_back(Path(source), store)
    except BackupError as error:
        _fail(str(error))
    click.echo(f"{store}: {_holds(kept)}")
    if kept.doubtful:
        click.echo(
            f"{kept.doubtful} rollbacks were under way: each is repeated under its key, or a person is called where "
            "the target honours none"
        )


def _store(path: str) -> Path:
    try:
        settings = configuration.load(path, os.environ)
    except ConfigError as error:
        _fail(str(error))
    store = sqlite_path(settings.store_url.get_secret_value())
    if store is None:
        _fail(_POSTGRESQL)
    return store


def _holds(kept: Kept) -> str:
    return f"{kept.deploys} deploys, {kept.watches} watches, schema {kept.schema}; every page was read"


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
