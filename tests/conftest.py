"""Servers that many tests share: starting one costs more than using it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.postgresql_server import PostgresqlServer


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """Shared: take a database of your own with `empty()`, and neither stop it nor cut others' connections."""
    with PostgresqlServer(tmp_path_factory.mktemp("postgresql")) as server:
        yield server
