"""What the store counts, as metrics, asked anew at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from watcher.engine.rehearser import exposed
from watcher.errors import StoreUnavailableError
from watcher.store import orders, watches
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics


def expose_store(metrics: Metrics, database: Database, services: Callable[[], Container[str]]) -> None:
    """From now on a scrape of `metrics` counts watches, orders and rehearsals.

    `services` tells whose rehearsals are shown, at each scrape anew: those of a service that a reload removed are made
    no more, and would be called too old for ever.
    """

    def counted(query: Callable[[Any], Any]) -> Callable[[], Any]:
        def ask() -> Any:
            try:
                with database.read() as tx:
                    return query(tx)
            except StoreUnavailableError:
                return {}  # a scrape must not fail because the store does: absent series say so

        return ask

    shown = counted(lambda tx: exposed(tx, services()))
    metrics.watch_store(counted(watches.count_by_state), counted(orders.count), shown)
