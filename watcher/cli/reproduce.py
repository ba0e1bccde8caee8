"""`watcher explain ID --replay`: proves a decision from the store, without the daemon and without asking a source."""

from __future__ import annotations

import os

from watcher import settings as configuration
from watcher.cli.client import FAILED, Failure, say
from watcher.engine.reproduce import Reproduction
from watcher.engine.reproduce import reproduce as computed_again
from watcher.errors import ConfigError, StoreUnavailableError
from watcher.model.watch import Watch
from watcher.store import watches
from watcher.store.database import Database

UNKNOWN = 3  # never 1, which everywhere means a deploy that regressed


def reproduce(path: str, any_id: str) -> int:
    """Prints what came of every watch meant; the worst exit status.

    Raises:
        Failure: in words for a person.
    """
    try:
        settings = configuration.load(path, os.environ)
        database = Database.existing(settings.store_url.get_secret_value())
        try:
            database.migrate()
            with database.read() as tx:
                found = watches.find(tx, any_id)
            results = [(watch, computed_again(database, watch)) for watch in found]
        finally:
            database.close()
    except (ConfigError, StoreUnavailableError) as error:
        raise Failure(str(error)) from None
    if not results:
        raise Failure(f"there is no watch {any_id} in this store")
    for watch, result in results:
        say(_told(watch, result))
    return max(status(result) for _, result in results)


def status(result: Reproduction) -> int:
    if result.difference is not None:
        return FAILED
    return 0 if result.whole else UNKNOWN


def _told(watch: Watch, result: Reproduction) -> str:
    head = f"{watch.id} {watch.service} {watch.version}"
    if result.whole:
        return f"{head}: every look reproduced ({result.looks}), bit for bit."
    done = f"{result.reproduced} of {result.looks} looks reproduced"
    if result.difference is not None:
        return f"{head}: {done}; then {result.difference}."
    return f"{head}: {done}; then it cannot be told: {result.obstacle}."
