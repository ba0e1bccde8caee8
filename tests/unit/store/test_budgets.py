"""One count of requests for every thread and every replica."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from watcher.store import budgets
from watcher.store.database import Database


@pytest.fixture
def replicas(database: Database) -> Iterator[list[Database]]:
    """Two processes' connections to one store."""
    with closing(Database(database.url)) as other:
        yield [database, other]


def test_no_more_than_allowed_whoever_asks(replicas: list[Database]) -> None:
    waits: list[float] = []

    def ask(database: Database) -> None:
        for _ in range(5):
            with database.write() as tx:
                waits.append(budgets.take(tx, "prom", 12))

    threads = [threading.Thread(target=ask, args=(replicas[number % 2],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 20
    assert waits.count(0.0) == 12
    assert all(50 < wait <= 61 for wait in waits if wait)
    with replicas[0].write() as tx:
        assert budgets.take(tx, "another", 12) == 0
