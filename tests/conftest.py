"""Servers and stores that many tests share: starting one costs more than using it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.postgresql_server import PostgresqlServer
from support.sqlite_store import sqlite_store

from watcher.store.database import Database

# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_WAIT = ("faults", "end_to_end")  # folders of tests that mostly wait


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait begin first, in random order among themselves: at the end they would wait alone."""
    items.sort(key=lambda item: item.path.parent.name not in _WAIT)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Shared: take a database of your own with `empty()`, and neither stop it nor cut others' connections."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Empty, with the schema of now, in either kind of store."""
    sqlite = request.param == "sqlite"
    with closing(sqlite_store(tmp_path) if sqlite else request.getfixturevalue("postgresql").migrated()) as store:
        yield store
