"""A daemon that starts before its store waits for it and says so: an orchestrator starts both in any order."""

from __future__ import annotations

from threading import Event
from typing import Any

from watcher.errors import StoreUnavailableError
from watcher.kit import clock
from watcher.store.database import Database

_RETRY = 2.0  # seconds


def migrated(database: Database, wake: Event, log: Any) -> bool:
    """Migrates the store, once it is there; False if `wake` was set before.

    Raises:
        StoreUnavailableError: the store can never be used as it is.
    """
    waiting = False
    while not wake.is_set():
        try:
            schema = database.migrate()
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
        return True
    return False
