"""`watcher run`: the daemon."""

from __future__ import annotations

import gc
import os
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING

import click

from watcher import settings as configuration
from watcher.errors import ConfigError, WatcherError
from watcher.kit import clock
from watcher.telemetry import logs

if TYPE_CHECKING:
    from watcher.app import App


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
    from watcher.app import App  # noqa: PLC0415  # the other commands must not pay for the daemon's imports

    gc.freeze()
    gc.enable()
    try:
        sys.exit(_run(App(settings)))
    except WatcherError as error:  # the store cannot be opened, or the port cannot be bound
        click.echo(f"{path}: {error}", err=True)
        sys.exit(1)


def _run(app: App) -> int:
    """Runs the daemon until a signal or the death of a loop; the exit status."""
    changed = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: app.wake.set())
    signal.signal(signal.SIGHUP, lambda _number, _frame: changed.set())  # under nohup, too
    try:
        app.start()
        while not app.wake.is_set() and app.alive:
            if changed.is_set():
                changed.clear()
                app.reload()
            clock.wait(app.wake, 0.5)
        return 0 if app.wake.is_set() else 1
    finally:
        app.stop()
