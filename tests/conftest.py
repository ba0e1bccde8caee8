"""Servers that many tests share: starting one costs more than using it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from support.postgresql_server import PostgresqlServer

# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """Shared: take a database of your own with `empty()`, and neither stop it nor cut others' connections."""
    with PostgresqlServer(tmp_path_factory.mktemp("postgresql")) as server:
        yield server
