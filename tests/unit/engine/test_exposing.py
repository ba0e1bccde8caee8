"""What a scrape says of rehearsals: all that they measured, of the services that there are now."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.made_rehearsal import CONVERSION, P95, rehearsal
from support.sqlite_store import sqlite_store

from watcher.engine.exposing import expose_store
from watcher.model.rehearsal import Pooled, Rehearsal, Share
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


def test_all_that_was_measured_is_there(database: Database) -> None:
    metrics = Metrics("test")
    expose_store(metrics, database, lambda: {"checkout"})
    keep(database, rehearsal())
    assert scraped(metrics) == {
        ("timestamp_seconds", "checkout"): 1_800_000_000.0,
        ("false_rollback_probability", "checkout"): 0.0,
        ("false_rollback_probability_low", "checkout"): 0.0,
        ("false_rollback_probability_high", "checkout"): 0.1684,
        ("false_rollback_probability_promised", "checkout"): 0.01,
        ("false_rollback_probability_extrapolated", "checkout"): 0.008,
        ("resolved", "checkout"): 0.0,
        ("detectable_harm", "checkout", "conversion"): 0.12,
        ("detectable_harm", "checkout", "p95 latency"): math.inf,
        ("detection_seconds", "checkout", "conversion"): 540.0,
        ("vetoed_ratio", "checkout", "conversion"): 0.05,
        ("vetoed_ratio", "checkout", "p95 latency"): 0.0,
        ("false_calls_ratio", "checkout", "conversion"): 0.0,
        ("false_calls_ratio", "checkout", "p95 latency"): 0.0,
    }


def test_what_is_pooled_counts_and_may_resolve_what_one_day_does_not(database: Database) -> None:
    metrics = Metrics("test")
    expose_store(metrics, database, lambda: {"checkout"})
    keep(database, rehearsal(pooled=Pooled(16, Share(3, 320, 320, 0.002, 0.027), 0.0095), extrapolated=None))
    found = scraped(metrics)
    assert found["resolved", "checkout"] == 1
    assert found["false_rollback_probability_high", "checkout"] == 0.027
    assert ("false_rollback_probability_extrapolated", "checkout") not in found


def test_what_could_not_be_measured_has_no_series(database: Database) -> None:
    metrics = Metrics("test")
    expose_store(metrics, database, lambda: {"checkout"})
    none = Share(0, 0, 0, 0.0, 1.0)
    blank = replace(P95, tried=None, vetoed=none, false_calls=none)
    keep(database, rehearsal(placebos=0, false_calls=none, resolved=None, extrapolated=None, signals=(blank,)))
    assert {name for name, *_ in scraped(metrics)} == {
        "timestamp_seconds",
        "false_rollback_probability_promised",
        "resolved",
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
