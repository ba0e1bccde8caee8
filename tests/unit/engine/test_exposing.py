"""What a scrape says of rehearsals: what they measured, of the services that there are now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.made_rehearsal import CONVERSION, rehearsal
from support.sqlite_store import sqlite_store

from watcher.engine.exposing import expose_store
from watcher.model.rehearsal import Rehearsal
from watcher.store import rehearsals
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

PREFIX = "watcher_rehearsal_"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = sqlite_store(tmp_path)
    yield made
    made.close()


def keep(database: Database, *made: Rehearsal) -> None:
    with database.write() as tx:
        for each in made:
            rehearsals.add(tx, each)


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Name without its prefix, and the values of its labels -> value."""
    return {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }


def test_a_service_that_is_gone_is_shown_no_more_and_one_that_is_back_again(database: Database) -> None:
    services = {"checkout", "search"}
    metrics = Metrics("test")
    expose_store(metrics, database, lambda: services)
    keep(database, rehearsal(), rehearsal(service="search", signals=(CONVERSION,)))
    both = scraped(metrics)
    services.remove("checkout")
    assert {labels[0] for _, *labels in scraped(metrics)} == {"search"}
    services.add("checkout")
    assert scraped(metrics) == both
