"""What is in use is kept, by whomever of the process it is used."""

from __future__ import annotations

from pathlib import Path
from threading import current_thread

from sqlalchemy import text
from support.made import NOW, deploy, watch
from support.sqlite_store import sqlite_store

from watcher.engine.lease import LEASE_SECONDS, Keeper
from watcher.store import claims, deploys, watches
from watcher.store.database import Database

_LEFT = text("select lease_until - (julianday('now') - 2440587.5) * 86400.0 from watches")


def left(database: Database) -> float:
    """Seconds of the lease."""
    with database.read() as tx:
        return float(tx.execute(_LEFT).scalar_one())


def test_a_watch_that_another_worker_has_taken_meanwhile_is_kept_for_it(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    keeper = Keeper(database, "a")
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, watch())
    with keeper.keeping_watch("w-1"):  # it had it, has given it back, and has others left to look at
        with database.write() as tx:
            assert claims.take_due(tx, NOW + 60, "a", 1, LEASE_SECONDS / 2)
        second = keeper.keeping_watch("w-1")
        second.__enter__()
    keeper.step(NOW)
    assert left(database) > LEASE_SECONDS * 0.8
    second.__exit__(None, None, None)
    with database.write() as tx:
        tx.execute(text("update watches set lease_until = lease_until - 5"))
    keeper.step(NOW)
    assert left(database) < LEASE_SECONDS * 0.6, "nobody uses it any more"
    database.close()


def test_a_loop_that_carries_out_an_order_beats_however_long_the_call_takes(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    beaten: list[str] = []
    keeper = Keeper(database, "a", beaten.append)
    with keeper.keeping_order("r-1"):
        keeper.step(NOW)
        keeper.step(NOW)
    keeper.step(NOW)
    assert beaten == [current_thread().name] * 2
    database.close()
