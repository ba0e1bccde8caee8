"""A daemon that starts before its store waits for it and says so: an orchestrator starts both in any order."""

from __future__ import annotations

from threading import Event
from typing import Any

from watcher.errors import StoreUnavailableError
from watcher.kit import clock
from watcher.store.database import Database
from watcher.store.restored import settle_if_moved

_RETRY = 2.0  # seconds


def migrated(database: Database, wake: Event, log: Any) -> bool:
    """Migrates the store, once it is there, and settles it if it was brought back; False if `wake` was set before.

    Raises:
        StoreUnavailableError: the store can never be used as it is.
    """
    waiting = False
    while not wake.is_set():
        try:
            schema = database.migrate()
            settled = settle_if_moved(database)
        except StoreUnavailableError as error:
            if error.permanent:
                raise
            if not waiting:
                log.warning("store_awaited", error=str(error))
            waiting = True
            clock.wait(wake, _RETRY)
            continue
        if schema.newer:
            log.warning("store_newer", schema=schema.current, known=schema.known)
        if settled is not None:
            log.warning("store_restored", watches=settled.watches, doubtful=settled.doubtful)
        return True
    return False
