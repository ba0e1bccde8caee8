"""`watcher run`: the daemon."""

from __future__ import annotations

import gc
import os
import sys

import click

from watcher import settings as configuration
from watcher.errors import ConfigError, WatcherError
from watcher.telemetry import logs


@click.command()
@click.option("--config", "path", required=True, type=click.Path(), help="The configuration file.")
@click.option(
    "--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", help="auto: text on a terminal."
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def run(path: str, log_format: str, log_level: str) -> None:
    """Watch deploys until stopped."""
    try:
        settings = configuration.load(path, os.environ)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    logs.configure(level=log_level, json={"auto": None, "json": True, "text": False}[log_format])
    gc.disable()  # what is imported stays: collecting in between would cost a sixth of the start
    from watcher import app  # noqa: PLC0415  # the other commands must not pay for the daemon's imports

    gc.freeze()
    gc.enable()
    try:
        sys.exit(app.run(settings))
    except WatcherError as error:  # the store cannot be opened, or the port cannot be bound
        click.echo(f"{path}: {error}", err=True)
        sys.exit(1)
