"""Budgets and freezes on a real store: what goes by itself, what asks, and that two replicas share one budget."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.made import NOW, decision, deploy, service, watch
from support.postgresql_server import PostgresqlServer
from support.sqlite_store import sqlite_store

from watcher.engine import notes, respond
from watcher.engine.recording import Recorder
from watcher.model.decision import Outcome, Reason
from watcher.model.order import Hold, Note, RollbackState, Topic
from watcher.model.service import Freeze, Mode
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, orders, watches
from watcher.store.database import Database
from watcher.store.shared_clock import SharedClock
from watcher.verdict.restraint import HOUR, restraint

REGRESSED = decision(Outcome.REGRESSED, Reason.LEVEL_SHIFT)


def opened(database: Database, number: int, name: str = "checkout") -> Watch:
    made = watch(id=f"w-{number}", deploy_id=f"d-{number}", service=name, policy=service(name))
    with database.write() as tx:
        deploys.put(tx, deploy(id=made.deploy_id, identity=made.deploy_id))
        watches.open_watch(tx, made)
    return made


def ordered(database: Database, made: Watch, now: float = NOW, total: int = 3) -> orders.Order:
    """The rollback of a regressed watch, as one look would have written it."""
    facts = respond.Facts((), last_look=False, last_ticket_look=False, base_url="http://watcher", now=now)
    response = respond.respond(made, REGRESSED, facts)
    with database.write() as tx:
        held = restraint(made.policy, orders.spent(tx, now - HOUR), total, now)
        response = respond.hold_back(response, held, "http://watcher", now) if held else response
        for order in response.orders:
            orders.add(tx, order)
    return response.orders[0]


def change(database: Database, order: orders.Order, state: RollbackState) -> None:
    with database.write() as tx:
        orders.change(tx, replace(order, state=state, next_at=None, expires_at=None))


def test_the_second_within_an_hour_is_only_asked_for(database: Database) -> None:
    first, second = (ordered(database, opened(database, number), NOW + 60 * number) for number in (1, 2))
    assert (first.held, first.expires_at) == (None, None)
    assert (second.held, second.state) == (Hold.SERVICE_BUDGET, RollbackState.PLANNED)
    assert second.expires_at == NOW + 120 + service().approval_timeout
    assert second.detail == "1 rollback of checkout in the last hour, and no more than 1 an hour may go by itself"
    # What waits uses up nothing, and an hour later there is room again.
    assert ordered(database, opened(database, 3), NOW + 60 + HOUR).held is None


@pytest.mark.parametrize("state", [RollbackState.ACCEPTED, RollbackState.VERIFIED, RollbackState.UNKNOWN])
def test_what_was_or_may_have_been_carried_out_counts(database: Database, state: RollbackState) -> None:
    change(database, ordered(database, opened(database, 1)), state)
    assert ordered(database, opened(database, 2)).held is Hold.SERVICE_BUDGET


@pytest.mark.parametrize("state", [RollbackState.REFUSED, RollbackState.EXPIRED])
def test_what_was_never_done_does_not(database: Database, state: RollbackState) -> None:
    change(database, ordered(database, opened(database, 1)), state)
    assert ordered(database, opened(database, 2)).held is None


def test_all_services_share_one_budget(database: Database) -> None:
    held = [ordered(database, opened(database, number, f"s-{number}")).held for number in range(5)]
    assert held == [None, None, None, Hold.TOTAL_BUDGET, Hold.TOTAL_BUDGET]


def test_replicas_at_the_same_moment_share_one_budget(database: Database) -> None:
    made = [opened(database, number, f"s-{number}") for number in range(8)]
    gate = threading.Barrier(len(made))
    held: list[Hold | None] = []

    def one(each: Watch) -> None:
        replica = Database(database.url)
        gate.wait()
        held.append(ordered(replica, each).held)
        replica.close()

    threads = [threading.Thread(target=one, args=(each,)) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, held)) == ["None"] * 3 + ["total_budget"] * 5


def test_what_is_held_back_asks_and_says_why() -> None:
    frozen = service(freeze=(Freeze("2027-01-01", "2027-02-01", why="stocktaking"),))
    facts = respond.Facts((), last_look=False, last_ticket_look=False, base_url="http://watcher", now=NOW)
    response = respond.respond(watch(policy=frozen), REGRESSED, facts)
    held = restraint(frozen, {}, 3, NOW)
    assert held is not None
    asked = respond.hold_back(response, held, "http://watcher", NOW)
    assert asked.watch.state is WatchState.WATCHING
    assert asked.watch.outcome is Outcome.REGRESSED
    (rollback, told) = asked.orders
    assert (rollback.held, rollback.expires_at) == (Hold.FROZEN, NOW + 1800)
    assert isinstance(told.payload, Note)
    assert told.payload.topic is Topic.APPROVAL_WANTED
    assert told.payload.sentence == (
        "A sentence. It is not rolled back without a person: checkout is frozen until Mon 01 Feb 00:00 (UTC): "
        "stocktaking. Approve or refuse going back to v1 within 30 min."
    )
    assert [name for name, _ in asked.events] == ["decided", "rollback_held"]


def test_what_else_was_to_be_told_is_told_all_the_same() -> None:
    frozen = service(freeze=(Freeze("2027-01-01", "2027-02-01"),))
    facts = respond.Facts((), last_look=False, last_ticket_look=False, base_url="http://watcher", now=NOW)
    response = respond.respond(watch(policy=frozen), REGRESSED, facts)
    blind = notes.deliver(notes.note(watch(), Topic.BLIND, "Not measured.", NOW, ""), frozen, NOW)
    held = restraint(frozen, {}, 3, NOW)
    assert held is not None
    asked = respond.hold_back(replace(response, orders=(*response.orders, *blind)), held, "http://watcher", NOW)
    told = [order.payload.topic for order in asked.orders if isinstance(order.payload, Note)]
    assert told == [Topic.APPROVAL_WANTED, Topic.BLIND]


def test_mode_ask_is_not_held_back_twice() -> None:
    facts = respond.Facts((), last_look=False, last_ticket_look=False, base_url="http://watcher", now=NOW)
    response = respond.respond(watch(policy=service(mode=Mode.ASK)), REGRESSED, facts)
    assert response.orders[0].held is None
    assert response.orders[0].expires_at is not None


def recorded(database: Database, made: Watch, now: float) -> orders.Order:
    """The rollback of a regressed watch, as the recorder writes it for a process that believes that it is `now`."""
    facts = respond.Facts((), last_look=False, last_ticket_look=False, base_url="http://watcher", now=now)
    recorder = Recorder(database, "http://watcher", 3, {})
    with database.write() as tx:
        response = recorder._restrained(tx, respond.respond(made, REGRESSED, facts), now)
        for order in response.orders:
            orders.add(tx, order)
    return response.orders[0]


@pytest.mark.postgresql
@pytest.mark.parametrize("ahead", [2 * HOUR, -2 * HOUR])
def test_replicas_whose_clocks_differ_share_one_budget_and_one_end_of_an_approval(
    postgresql: PostgresqlServer, ahead: float
) -> None:
    with closing(postgresql.migrated()) as database:
        first = recorded(database, opened(database, 1), time.time() - ahead)
        second = recorded(database, opened(database, 2), time.time() + ahead)
        assert (first.held, second.held) == (None, Hold.SERVICE_BUDGET)
        assert second.expires_at == pytest.approx(time.time() + service().approval_timeout, abs=60)


def test_a_clock_that_is_set_forward_empties_no_budget(tmp_path: Path) -> None:
    wall, steady = [NOW], [0.0]
    with closing(sqlite_store(tmp_path)) as database:
        database.clock = SharedClock(lambda: wall[0], lambda: steady[0])
        assert recorded(database, opened(database, 1), wall[0]).held is None
        wall[0] += 2 * HOUR
        assert recorded(database, opened(database, 2), wall[0]).held is Hold.SERVICE_BUDGET
        wall[0] += HOUR + 60
        steady[0] += HOUR + 60
        assert recorded(database, opened(database, 3), wall[0]).held is None
