"""Leases, fences, the outbox and what adapters remember, on a real database."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from support.made import NOW, deploy, service, signal, watch
from support.orders import a_note, an_order
from support.sqlite_store import sqlite_store

from watcher.errors import ConflictError, LeaseLostError, StoreUnavailableError
from watcher.model.decision import Decision, Outcome, Reason
from watcher.model.finding import Band, Cause, Finding, Findings, State
from watcher.model.memory import Point
from watcher.model.order import RollbackState
from watcher.model.series import Series
from watcher.model.watch import WatchState
from watcher.store import claims, deploys, looks, memory, order_claims, orders, watches
from watcher.store.database import Database
from watcher.store.orders import NoteState, Order


@pytest.fixture
def database(database: Database) -> Database:
    """With a watch in it."""
    with database.write() as tx:
        deploys.put(tx, deploy(attributes={"service": "checkout"}, links={"run": "https://ci.example/1"}))
        watches.open_watch(tx, watch())
    return database


def order(order_id: str = "r-1", watch_id: str = "w-1", next_at: float | None = NOW) -> Order:
    payload = an_order(rollback_id=order_id, watch_id=watch_id)
    return Order(order_id, watch_id, "checkout", payload, RollbackState.PLANNED, NOW, NOW, next_at)


def test_everything_comes_back_as_it_went_in(database: Database) -> None:
    policy = service(signals=(signal(query={"good": "orders_total", "labels": {"a": ["b", 1.5]}}),))
    full = watch(id="w-2", service="search", policy=policy, recovered=False, decided_at=NOW + 0.1)
    with database.write() as tx:
        watches.open_watch(tx, full)
        found = watches.get(tx, "w-2")
        kept = deploys.get(tx, "d-1")
    assert found == full
    assert kept == deploy(attributes={"service": "checkout"}, links={"run": "https://ci.example/1"})


def test_migrating_twice_changes_nothing_and_ready_says_so(database: Database) -> None:
    database.migrate()
    assert database.ready()


def test_a_second_process_migrates_while_the_first_goes_on(database: Database) -> None:
    second = Database(database.url)
    second.migrate()
    assert second.ready()
    second.close()


def test_a_store_without_its_schema_is_not_ready(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert not empty.ready()
    empty.close()


def test_a_claimed_watch_is_claimed_by_nobody_else(database: Database) -> None:
    with database.write() as tx:
        (claim,) = claims.take_due(tx, NOW + 60, "a", 5, 30.0)
        assert claim.watch == watch()
        assert not claims.take_due(tx, NOW + 60, "b", 5, 30.0)


def test_a_watch_is_not_claimed_before_it_is_due(database: Database) -> None:
    with database.write() as tx:
        assert not claims.take_due(tx, NOW + 59, "a", 5, 30.0)


def test_an_ended_lease_is_taken_over_and_the_old_holder_cannot_write(database: Database) -> None:
    with database.write() as tx:
        (old,) = claims.take_due(tx, NOW + 60, "a", 5, -1.0)
    with database.write() as tx:
        (new,) = claims.take_due(tx, NOW + 60, "b", 5, 30.0)
    assert new.fence > old.fence
    with pytest.raises(LeaseLostError):
        _write_late(database, old)
    with database.write() as tx:
        claims.save(tx, new, watch(sentence="in time"))
        kept = watches.get(tx, "w-1")
        assert not watches.events_of(tx, "w-1")
    assert kept is not None
    assert kept.sentence == "in time"


def _write_late(database: Database, old: claims.Claim) -> None:
    with database.write() as tx:
        watches.log(tx, "w-1", NOW, "late", "this line must not stay")
        claims.save(tx, old, watch(sentence="late"))


def test_what_comes_from_outside_takes_the_watch_from_the_look_in_flight(database: Database) -> None:
    with database.write() as tx:
        (claim,) = claims.take_due(tx, NOW + 60, "a", 5, 30.0)
        watches.change(tx, replace(watch(), state=WatchState.SUPERSEDED, next_look_at=None))
    with pytest.raises(LeaseLostError), database.write() as tx:
        claims.save(tx, claim, watch())


def test_a_released_watch_can_be_pushed_forward(database: Database) -> None:
    with database.write() as tx:
        (claim,) = claims.take_due(tx, NOW + 60, "a", 5, 30.0)
        claims.release(tx, claim, NOW + 500)
        assert not claims.take_due(tx, NOW + 400, "b", 5, 30.0)
        assert claims.take_due(tx, NOW + 500, "b", 5, 30.0)


def test_one_rollback_a_watch_is_a_rule_of_the_database(database: Database) -> None:
    with database.write() as tx:
        orders.add(tx, order())
    with pytest.raises(ConflictError), database.write() as tx:
        orders.add(tx, order("r-2"))
    with database.write() as tx:
        for number in range(2):  # notes are as many as are needed
            note = a_note(id=f"n-{number}", alert="w-1")
            orders.add(tx, Order(f"o-{number}", "w-1", "oncall", note, NoteState.PENDING, NOW, NOW, NOW))
        assert orders.count(tx) == {("note", "pending"): 2, ("rollback", "planned"): 1}


def test_a_watch_shows_its_rollback(database: Database) -> None:
    with database.write() as tx:
        orders.add(tx, replace(order(), detail="answered 202"))
        found = watches.get(tx, "w-1")
    assert found is not None
    assert (found.rollback_id, found.rollback_state) == ("r-1", RollbackState.PLANNED)
    assert (found.target_version, found.rollback_detail) == ("2.13.9", "answered 202")


def test_an_order_is_claimed_once_and_a_stale_holder_cannot_settle_it(database: Database) -> None:
    with database.write() as tx:
        orders.add(tx, order())
    with database.write() as tx:
        (stale,) = order_claims.claim_rollbacks(tx, NOW, "a", 5, -1.0)
    with database.write() as tx:
        (mine,) = order_claims.claim_rollbacks(tx, NOW, "b", 5, 30.0)
        assert not order_claims.claim_rollbacks(tx, NOW, "c", 5, 30.0)
    with pytest.raises(LeaseLostError), database.write() as tx:
        orders.save(tx, stale)
    with database.write() as tx:
        orders.save(tx, replace(mine, state=RollbackState.ACCEPTED, next_at=None))
        assert not order_claims.claim_rollbacks(tx, NOW + 9999, "c", 5, 30.0)


def test_two_threads_never_claim_the_same_watch(database: Database) -> None:
    with database.write() as tx:
        for number in range(60):
            watches.open_watch(tx, watch(id=f"x-{number}", service=f"s-{number}"))
    taken: list[str] = []
    lock = threading.Lock()

    def claim(owner: str) -> None:
        while True:
            with database.write() as tx:
                found = claims.take_due(tx, NOW + 60, owner, 3, 30.0)
            if not found:
                return
            with lock:
                taken.extend(claim.watch.id for claim in found)

    threads = [threading.Thread(target=claim, args=(f"t-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 61


def test_points_keep_what_is_missing_missing(database: Database) -> None:
    times = np.array([60.0, 120.0, 180.0])
    series = Series(times, np.array([1.0, np.nan, 3.0]), 60.0, 180.0, totals=np.array([10.0, np.nan, 30.0]))
    band = Band(times, times * 0.1, times * 0.0, np.array([1.0, np.inf, 3.0]))
    with database.write() as tx:
        looks.add_points(tx, "w-1", "conversion", series, band)
        looks.add_points(tx, "w-1", "conversion", series, band)  # a look that is made again
        chart = looks.chart(tx, "w-1", "conversion")
    np.testing.assert_array_equal(chart.times, times)
    np.testing.assert_array_equal(chart.values, series.values)
    np.testing.assert_array_equal(chart.totals, series.totals)
    np.testing.assert_array_equal(chart.high, [1.0, np.nan, 3.0])


def test_a_look_comes_back_whole(database: Database) -> None:
    finding = Finding("conversion", State.ALARM, Cause.LEVEL_SHIFT, score=3.2, effect=-0.3, onset=NOW, points=12)
    made = looks.Look(
        "w-1",
        NOW,
        NOW + 1,
        Findings(NOW, 3.2, (finding,)),
        Decision(Outcome.REGRESSED, Reason.LEVEL_SHIFT, "It fell.", NOW, 3.2),
        {"errors": "prometheus: no answer in time"},
    )
    with database.write() as tx:
        looks.add(tx, made)
        assert looks.last(tx, "w-1") == made
        assert looks.listing(tx, "w-1") == [made]


def test_memory_is_kept_apart_by_owner_and_repeats_replace(database: Database) -> None:
    shop, other = memory.StoreMemory(database, "sources:shop"), memory.StoreMemory(database, "sources:other")
    shop.append({"a": [Point(1.0, 2.0), Point(2.0, 3.0)], "b": [Point(1.0, 9.0, "ticket-1")]})
    shop.append({"a": [Point(2.0, 4.0)]})
    assert list(shop.range("a", 1.0, 2.0)) == [Point(2.0, 4.0)]
    assert shop.streams() == ["a", "b"]
    assert not other.range("a", 0.0, 9.0)
    shop.put("cursor", {"page": 1})
    assert shop.get("cursor") == {"page": 1}
    assert other.get("cursor") is None


def test_a_named_lease_has_one_holder_until_it_lets_go(database: Database) -> None:
    with database.write() as tx:
        assert memory.hold(tx, "collect:shop", "a", 30.0)
        assert not memory.hold(tx, "collect:shop", "b", 30.0)
        assert memory.hold(tx, "collect:shop", "a", 30.0)
        memory.let_go(tx, "a")
        assert memory.hold(tx, "collect:shop", "b", 30.0)


def test_a_broken_database_is_one_error_without_the_data(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    with store.write() as tx:
        tx.execute(text("drop table deliveries"))
    with pytest.raises(StoreUnavailableError) as caught, store.read() as tx:
        deploys.delivery(tx, "secret-key")
    assert "secret-key" not in str(caught.value)
    store.close()


def test_an_error_names_the_file(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "watcher.db"
    with pytest.raises(StoreUnavailableError, match=rf"unable to open database file \({re.escape(str(missing))}\)"):
        Database(f"sqlite:///{missing}").migrate()
