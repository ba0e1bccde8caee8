"""Rows with words of a newer version are left to it, shown as unknown, and fail no other; on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from support.made import NOW, deploy, watch
from support.orders import an_order

from watcher.model.decision import Reason
from watcher.model.order import Note, RollbackState, Severity, Topic
from watcher.model.watch import WatchState
from watcher.store import claims, deploys, order_claims, orders, watches
from watcher.store.database import Database
from watcher.store.orders import NoteState, Order

LEASE = 10.0
OURS = "w-9"  # the last that falls due
STRANGE = ("w-0", "w-1", "w-2", "w-3", "w-4")


def write(database: Database, statement: str, **given: object) -> None:
    with database.write() as tx:
        assert tx.execute(text(statement), given).rowcount


@pytest.fixture
def told(database: Database) -> list[str]:
    """Five watches of a newer version, each by another word, and one of ours; the rows that were told of."""
    said: list[str] = []
    database.on_unknown = lambda row, _why: said.append(row)
    for number, watch_id in enumerate([*STRANGE, OURS]):
        with database.write() as tx:
            deploys.put(tx, deploy(id=f"d-{watch_id}", identity=watch_id))
            made = watch(id=watch_id, deploy_id=f"d-{watch_id}", state=WatchState.WATCHING, next_look_at=NOW + number)
            watches.open_watch(tx, made)
            if watch_id in {"w-1", "w-2"}:
                order = an_order(rollback_id=f"r-{watch_id}", watch_id=watch_id)
                orders.add(
                    tx, Order(order.rollback_id, watch_id, "checkout", order, RollbackState.PLANNED, NOW, NOW, None)
                )
    write(database, "update watches set reason = 'whale_song' where id = 'w-0'")
    write(database, "update orders set state = 'pondered' where watch_id = 'w-1'")
    write(database, "update orders set held = 'full_moon' where watch_id = 'w-2'")
    write(database, "update watches set outcome = 'splendid' where id = 'w-3'")
    write(
        database, """update watches set policy = replace(policy, '"mode":"act"', '"mode":"dance"') where id = 'w-4'"""
    )
    return said


def take(database: Database, owner: str = "a", limit: int = 2) -> list[str]:
    with database.write(alone=False) as tx:
        return [claim.watch.id for claim in claims.take_due(tx, NOW + 60, owner, limit, LEASE)]


def test_they_are_not_claimed_whoever_is_first_in_the_queue(database: Database, told: list[str]) -> None:
    assert take(database) == [OURS]
    assert take(database) == []
    assert sorted(told) == list(STRANGE), "each is told of once"
    with database.read() as tx:
        free = tx.execute(text("select id from watches where lease_until = 0 order by id")).scalars().all()
    assert free == list(STRANGE), "and at once there for whoever knows them"


def test_lists_show_them_as_unknown(database: Database, told: list[str]) -> None:
    with database.read() as tx:
        listed = {each.id: each for each in watches.listing(tx)}
        active = {each.id for each in watches.active(tx, "checkout", "production")}
        past = {each.id for each in watches.history(tx, "checkout", "production")}
        policies = watches.open_policies(tx)
        found = watches.get(tx, "w-0")
        assert watches.get(tx, "w-3") is None
        order = orders.rollback_of(tx, "w-1")
    assert listed.keys() == active == past == {"w-0", "w-1", "w-2", OURS}, "the others cannot even be shown"
    assert listed["w-0"].reason is Reason.UNKNOWN
    assert listed["w-1"].rollback_state is RollbackState.UNKNOWN
    assert found == listed["w-0"]
    assert order is not None
    assert order.state is RollbackState.UNKNOWN
    assert len(policies) == 1
    assert {"w-3", "w-4"} <= set(told)


def test_what_ends_a_watch_from_outside_leaves_the_newer_word(database: Database, told: list[str]) -> None:
    with database.write() as tx:
        (found,) = [each for each in watches.active(tx, "checkout", "production") if each.id == "w-0"]
        watches.change(tx, replace(found, state=WatchState.SUPERSEDED, next_look_at=None))
    with database.read() as tx:
        row = tx.execute(text("select state, reason from watches where id = 'w-0'")).one()
    assert tuple(row) == ("superseded", "whale_song")


def note(note_id: str, watch_id: str) -> Order:
    payload = Note(note_id, watch_id, Topic.HEALTHY, Severity.INFO, "t", "s", "checkout", "production", "v2", "u", NOW)
    return Order(note_id, watch_id, "chat", payload, NoteState.PENDING, NOW, NOW, NOW)


def test_orders_of_a_newer_version_stop_no_others(database: Database, told: list[str]) -> None:
    write(database, "update orders set next_at = :at where watch_id in ('w-1', 'w-2')", at=NOW)
    with database.write() as tx:
        for number in range(4):
            orders.add(tx, note(f"n-{number}", OURS))
    write(database, "update orders set payload = replace(payload, 'healthy', 'jubilant') where id in ('n-0', 'n-1')")
    write(database, "update orders set state = 'sung' where id = 'n-2'")
    told.clear()
    for claimed in (["n-3"], []):
        with database.write(alone=False) as tx:
            assert [order.id for order in order_claims.claim_notes(tx, NOW + 60, "a", 1, LEASE, "chat")] == claimed
            assert not order_claims.claim_rollbacks(tx, NOW + 60, "a", 1, LEASE)
    assert sorted(told) == ["n-0", "n-1", "n-2", "r-w-2"], "a state that it does not know is not looked for"
    with database.read() as tx:
        assert [order.id for order in orders.notes_of(tx, OURS)] == ["n-3"]
        free = tx.execute(text("select count(*) from orders where lease_until = 0")).scalar_one()
    assert free == 5
