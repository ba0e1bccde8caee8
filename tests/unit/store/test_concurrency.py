"""Two replicas on one database: what each decides from what it read still holds when it writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import text
from support.made import NOW, deploy, event, service, watch
from support.orders import an_order
from support.postgresql_server import PostgresqlServer
from support.receiving import receive

from watcher.errors import LeaseLostError, StoreUnavailableError
from watcher.model.deploy import Parsed
from watcher.model.memory import Point
from watcher.model.order import RollbackState
from watcher.model.watch import WatchState
from watcher.store import claims, deploys, memory, orders, watches
from watcher.store.database import Database
from watcher.store.orders import Order

SERVICES = {"checkout": service()}


@pytest.fixture
def replicas(database: Database) -> Iterator[tuple[Database, Database]]:
    """The same store, as two processes see it."""
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, watch())
    with closing(Database(database.url)) as second:
        yield database, second


def both(first: Callable[[], None], second: Callable[[], None]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()


def test_what_a_look_writes_meanwhile_is_not_overwritten(replicas: tuple[Database, Database]) -> None:
    first, second = replicas
    with first.write(alone=False) as tx:
        (claim,) = claims.take_due(tx, NOW + 60, "a", 1, 30.0)
    written = threading.Event()

    def look() -> None:
        with first.write(alone=False) as tx:
            claims.save(tx, claim, replace(claim.watch, sentence="the look's", last_look_at=NOW + 60))
            written.set()
            time.sleep(0.3)  # the transaction is still open

    def confirm() -> None:
        written.wait(60)
        with second.write() as tx:
            known = watches.get(tx, "w-1")
            assert known is not None
            watches.change(tx, replace(known, state=WatchState.RECOVERING))

    both(look, confirm)
    with first.read() as tx:
        after = watches.get(tx, "w-1")
    assert after is not None
    assert (after.state, after.sentence, after.last_look_at) == (WatchState.RECOVERING, "the look's", NOW + 60)


def test_a_look_that_writes_after_somebody_decided_writes_nothing(replicas: tuple[Database, Database]) -> None:
    first, second = replicas
    with first.write(alone=False) as tx:
        (claim,) = claims.take_due(tx, NOW + 60, "a", 1, 30.0)
    read = threading.Event()

    def stop() -> None:
        with second.write() as tx:
            known = watches.get(tx, "w-1")
            assert known is not None
            read.set()
            time.sleep(0.3)
            watches.change(tx, replace(known, state=WatchState.STOPPED, ended_at=NOW, next_look_at=None))

    def look() -> None:
        read.wait(60)
        with pytest.raises(LeaseLostError), first.write(alone=False) as tx:
            claims.save(tx, claim, replace(claim.watch, sentence="too late"))

    both(stop, look)
    with first.read() as tx:
        after = watches.get(tx, "w-1")
    assert after is not None
    assert (after.state, after.sentence) == (WatchState.STOPPED, "")


def test_an_approval_and_a_newer_deploy_at_once_leave_one_of_both(replicas: tuple[Database, Database]) -> None:
    """Whoever is second decides from what the first wrote, never from what was there before."""
    first, second = replicas
    payload = an_order(rollback_id="r-1", watch_id="w-1")
    order = Order("r-1", "w-1", "checkout", payload, RollbackState.PLANNED, NOW, NOW, NOW + 600, NOW + 600)
    with first.write() as tx:
        orders.add(tx, order)
    read = threading.Event()

    def approve() -> None:
        with first.write() as tx:
            known = orders.rollback_of(tx, "w-1")
            assert known is not None
            read.set()
            time.sleep(0.3)
            orders.change(tx, replace(known, state=RollbackState.APPROVED, next_at=NOW))

    def supersede() -> None:
        read.wait(60)
        with second.write() as tx:
            known = orders.rollback_of(tx, "w-1")
            assert known is not None
            assert known.state is RollbackState.APPROVED
            orders.change(tx, replace(known, state=RollbackState.EXPIRED, next_at=None))

    both(approve, supersede)
    with first.read() as tx:
        after = orders.rollback_of(tx, "w-1")
    assert after is not None
    assert after.state is RollbackState.EXPIRED


def test_one_message_that_reaches_every_replica_at_once_is_one_deploy(replicas: tuple[Database, Database]) -> None:
    parsed = Parsed((event(identity="77", version="v9"),), delivery_id="d-77")
    start = threading.Barrier(8)

    def send(number: int) -> str:
        start.wait()
        return receive(replicas[number % 2], SERVICES, "ci", parsed, b"{}", NOW, vendor=False).outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(send, range(8)))
    assert outcomes == ["accepted"] + ["repeated"] * 7
    with replicas[0].read() as tx:
        assert len(deploys.recent(tx, 100)) == 2
        assert len(watches.active(tx, "checkout", "production")) == 1


def test_deploys_of_one_service_at_once_leave_one_watch_open(replicas: tuple[Database, Database]) -> None:
    start = threading.Barrier(8)

    def send(number: int) -> int:
        parsed = Parsed((event(identity=f"n-{number}", version=f"v{number}", finished_at=NOW + 60 * number),), None)
        start.wait()
        body = str(number).encode()
        return receive(replicas[number % 2], SERVICES, "ci", parsed, body, NOW + 1000, vendor=False).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) == {202}
    with replicas[0].read() as tx:
        (left,) = watches.active(tx, "checkout", "production")
        assert left.version == "v7"
        assert len(watches.listing(tx, limit=100)) == 9


def test_a_named_lease_that_everybody_wants_at_once_is_one_replicas(replicas: tuple[Database, Database]) -> None:
    start = threading.Barrier(8)

    def take(number: int) -> bool:
        start.wait()
        with replicas[number % 2].write(alone=False) as tx:
            return memory.hold(tx, "collect:shop", f"owner-{number}", 30.0) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def test_a_sample_of_a_process_that_slept_through_its_lease_is_not_kept(replicas: tuple[Database, Database]) -> None:
    first, second = replicas
    with first.write(alone=False) as tx:
        slept = memory.hold(tx, "collect:shop", "a", -1.0)
    with second.write(alone=False) as tx:
        mine = memory.hold(tx, "collect:shop", "b", 30.0)
    assert slept is not None
    assert mine is not None
    assert mine.fence > slept.fence
    late, now = memory.StoreMemory(first, "sources:shop"), memory.StoreMemory(second, "sources:shop")
    with memory.under(mine):
        now.append({"orders": [Point(NOW, 7.0)]})
    with memory.under(slept), pytest.raises(LeaseLostError):
        late.append({"orders": [Point(NOW, 99.0)]})
    with memory.under(slept), pytest.raises(LeaseLostError):
        late.put("scraped", {"at": 0})
    assert list(now.range("orders", 0.0, NOW)) == [Point(NOW, 7.0)]


def test_a_lease_from_before_the_clock_was_set_back_is_no_lease(replicas: tuple[Database, Database]) -> None:
    first, _ = replicas
    with first.write(alone=False) as tx:
        assert claims.take_due(tx, NOW + 60, "dead", 1, 2 * 3600.0)
        assert memory.hold(tx, "collect:shop", "dead", 2 * 3600.0)
    with first.write(alone=False) as tx:
        assert claims.take_due(tx, NOW + 60, "b", 1, 10.0)
        assert memory.hold(tx, "collect:shop", "b", 10.0)


@pytest.mark.postgresql
def test_a_replica_that_stops_in_a_transaction_does_not_stop_the_others(postgresql: PostgresqlServer) -> None:
    with closing(postgresql.migrated()) as stopped, closing(Database(stopped.url)) as other:
        waited = []

        def stop_in_the_middle() -> None:
            with stopped.write() as tx:
                deploys.put(tx, deploy())
                began = time.monotonic()
                with other.write() as theirs:  # waits for the first, which does nothing more
                    deploys.put(theirs, deploy(version="v3"))
                waited.append(time.monotonic() - began)
                tx.execute(text("select 1"))

        with pytest.raises(StoreUnavailableError):
            stop_in_the_middle()
        assert 4.0 < waited[0] < 60.0
        with other.read() as tx:
            (kept,) = deploys.recent(tx, 5)
        assert kept.version == "v3"


@pytest.mark.postgresql
def test_looks_that_are_written_together_wait_for_nobody(postgresql: PostgresqlServer) -> None:
    with closing(postgresql.migrated()) as looking, closing(Database(looking.url)) as other:
        with looking.write() as tx:
            for name in ("1", "2"):
                deploys.put(tx, deploy(id=f"d-{name}", identity=name))
                watches.open_watch(tx, watch(id=f"w-{name}", deploy_id=f"d-{name}"))
        with looking.write(alone=False) as tx:
            taken = claims.take_due(tx, NOW + 60, "a", 2, 60.0)
        with other.write() as theirs:  # a newer deploy, say, that has written one row and wants the other next
            watches.change(theirs, watch(id="w-1", deploy_id="d-1", sentence="theirs"))
            with looking.write(alone=False) as tx:
                assert claims.lock_free(tx, taken) == {"w-2"}
                (mine,) = (claim for claim in taken if claim.watch.id == "w-2")
                claims.save(tx, mine, replace(mine.watch, sentence="the look's"))
            watches.change(theirs, watch(id="w-2", deploy_id="d-2", sentence="theirs"))
        with looking.read() as tx:
            assert {one.sentence for one in watches.listing(tx)} == {"theirs"}


@pytest.mark.postgresql
def test_a_connection_that_was_cut_is_one_error_and_then_replaced(postgresql: PostgresqlServer) -> None:
    with closing(postgresql.migrated()) as database:
        name = database.url.rpartition("/")[2]

        def cut_in_the_middle() -> None:
            with database.write() as tx:
                postgresql.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
                deploys.put(tx, deploy())

        with pytest.raises(StoreUnavailableError) as caught:
            cut_in_the_middle()
        assert not caught.value.permanent
        with database.write() as tx:
            deploys.put(tx, deploy())
