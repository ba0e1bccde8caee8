"""`watcher import`: fills a source's own history, so that nobody waits two weeks for it."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import NoReturn, TextIO

import click

from watcher import settings as configuration
from watcher.adapters import build_adapters, signals_of
from watcher.errors import ConfigError, MalformedError, StoreUnavailableError
from watcher.ports import Imports
from watcher.store.database import Database


@click.command(name="import")
@click.option("--config", "path", required=True, type=click.Path(), help="The configuration file.")
@click.option("--source", required=True, help="Name of the source whose history is filled.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
def import_(path: str, source: str, file: TextIO) -> None:
    """Fill a source's history from FILE, OpenMetrics text with timestamps (`-` is standard input)."""
    try:
        settings = configuration.load(path, os.environ)
        with closing(Database(settings.store_url.get_secret_value())) as database:
            database.migrate()
            kept, signals = _import(settings, database, source, file)
    except UnicodeDecodeError:
        _fail(f"{file.name}: not UTF-8 (expected OpenMetrics text); nothing was imported")
    except (ConfigError, StoreUnavailableError, MalformedError) as error:
        _fail(str(error))
    click.echo(f"{kept} samples imported into {source} for {signals} signal{'' if signals == 1 else 's'}")
    if not kept:
        _fail("nothing in the file matches what the signals of this source ask for")


def _import(settings: configuration.Settings, database: Database, source: str, file: TextIO) -> tuple[int, int]:
    """Number of samples kept, and of signals that may ask for them."""
    adapter = build_adapters(settings, database).sources.get(source)
    if adapter is None:
        _fail(f"no source named {source}; the configuration has {', '.join(sorted(settings.sources)) or 'none'}")
    if not isinstance(adapter, Imports):
        _fail(f"source {source} keeps no history of its own: nothing to import into")
    signals = signals_of(settings.services.values(), source)
    return adapter.import_openmetrics(file, signals), len(signals)


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
