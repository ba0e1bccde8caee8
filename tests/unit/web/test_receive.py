"""A webhook's content becomes deploys and watches, once, whatever is repeated or comes late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.made import NOW, event, service
from support.orders import an_order
from support.receiving import receive
from support.sqlite_store import sqlite_store

from watcher.errors import ConflictError, NotFoundError
from watcher.model.decision import Outcome
from watcher.model.deploy import DeployEvent, Parsed, Phase
from watcher.model.order import Note, RollbackState, Severity, Topic
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, orders, watches
from watcher.store.database import Database
from watcher.store.orders import Order
from watcher.web.decide import decide, stop
from watcher.web.receive import Received

SERVICES = {"checkout": service(), "search": service("search")}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    store = sqlite_store(tmp_path)
    yield store
    store.close()


def send(database: Database, *events: DeployEvent, now: float = NOW, **options: Any) -> Received:
    values: dict[str, Any] = {"delivery_id": None, "body": repr(events).encode(), "vendor": False} | options
    parsed = Parsed(events, delivery_id=values["delivery_id"])
    return receive(database, SERVICES, "ci", parsed, values["body"], now, vendor=values["vendor"])


def found(database: Database, watch_id: str) -> Watch:
    with database.read() as tx:
        watch = watches.get(tx, watch_id)
    assert watch is not None
    return watch


def plan_rollback(database: Database, watch_id: str, state: RollbackState, expires_at: float | None = None) -> Order:
    payload = an_order(rollback_id="r-1", watch_id=watch_id, bad_version="v2", target_version="v1")
    order = Order("r-1", watch_id, "checkout", payload, state, NOW, NOW, None, expires_at=expires_at)
    with database.write() as tx:
        orders.add(tx, order)
    return order


def test_a_finished_deploy_opens_its_watch(database: Database) -> None:
    answer = send(database, event())
    assert answer.status == 202
    (watch_id,) = answer.body["watch_ids"]
    watch = found(database, watch_id)
    assert (watch.service, watch.version, watch.state) == ("checkout", "v2", WatchState.SCHEDULED)
    assert watch.deploy_id == answer.body["deploy_id"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"delivery_id": "a"}, {"delivery_id": "a", "body": b"other"}),
        ({"body": b"same"}, {"body": b"same", "now": NOW + 500}),
    ],
)
def test_a_repeated_delivery_gets_the_same_ids_and_creates_nothing(
    database: Database, first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, two = send(database, event(), **first), send(database, event(), **second)
    assert (one.status, two.status) == (202, 200)
    assert one.body == two.body
    with database.read() as tx:
        assert len(deploys.recent(tx, 10)) == 1


def test_the_same_deploy_in_another_delivery_creates_nothing(database: Database) -> None:
    one = send(database, event(identity="acme#1"), delivery_id="a", body=b"1")
    two = send(database, event(identity="acme#1"), delivery_id="b", body=b"2")
    assert (two.status, two.body["watch_ids"]) == (200, one.body["watch_ids"])


def test_the_same_body_much_later_is_another_deploy(database: Database) -> None:
    one = send(database, event(), body=b"same")
    later = event(at=NOW + 700, finished_at=NOW + 700)
    two = send(database, later, body=b"same", now=NOW + 700)
    assert two.status == 202
    assert one.body["watch_ids"] != two.body["watch_ids"]


def test_a_deploy_in_progress_is_kept_and_watched_once_it_finishes(database: Database) -> None:
    begun = event(identity="acme#1", phase=Phase.STARTED, started_at=NOW, finished_at=None)
    assert send(database, begun, body=b"1").body["watch_ids"] == []
    done = event(identity="acme#1", at=NOW + 90, finished_at=NOW + 90)
    (watch_id,) = send(database, done, body=b"2", now=NOW + 91).body["watch_ids"]
    watch = found(database, watch_id)
    assert (watch.started_at, watch.finished_at) == (NOW, NOW + 90)


def test_a_failed_deploy_opens_no_watch(database: Database) -> None:
    answer = send(database, event(phase=Phase.FAILED, finished_at=None))
    assert (answer.status, answer.body["watch_ids"]) == (202, [])


@pytest.mark.parametrize(("vendor", "status"), [(True, 200), (False, 422)])
def test_a_deploy_of_no_known_service_is_kept_as_unwatched(database: Database, vendor: bool, status: int) -> None:
    answer = send(database, event(attributes={"service": "billing"}), vendor=vendor)
    assert (answer.status, answer.outcome) == (status, "unwatched")
    assert "ignored" in answer.body if vendor else "checkout, search" in answer.body["expected"]
    with database.read() as tx:
        (kept,) = deploys.recent(tx, 10)
    assert kept.services == ()


def test_of_a_fleet_a_few_services_are_named(database: Database) -> None:
    fleet = {name: service(name) for name in (f"s{number:04}" for number in range(1000))}
    parsed = Parsed((event(attributes={"service": "billing"}),))
    answer = receive(database, fleet, "ci", parsed, b"{}", NOW, vendor=False)
    assert answer.body["expected"].startswith("one of the services s0000, s0001, ")
    assert answer.body["expected"].endswith(", s0019 and 980 more")


def told(database: Database, watch_id: str) -> list[tuple[Topic, Severity, bool, str]]:
    """Topic, severity, whether it ends the alert, and the sentence of every note of a watch."""
    with database.read() as tx:
        notes = [order.payload for order in orders.notes_of(tx, watch_id)]
    return [(note.topic, note.severity, note.resolved, note.sentence) for note in notes if isinstance(note, Note)]


def timeline(database: Database, watch_id: str) -> list[str]:
    with database.read() as tx:
        return [line.event for line in watches.events_of(tx, watch_id)]


@pytest.mark.parametrize(
    ("state", "expires_at", "what"),
    [
        (RollbackState.PLANNED, NOW + 1800, "is no longer asked for"),
        (RollbackState.PLANNED, None, "is not carried out any more"),
        (RollbackState.APPROVED, None, "is not carried out any more"),
    ],
)
def test_a_newer_deploy_supersedes_the_watch_cancels_what_it_had_in_mind_and_says_so(
    database: Database, state: RollbackState, expires_at: float | None, what: str
) -> None:
    (old,) = send(database, event()).body["watch_ids"]
    plan_rollback(database, old, state, expires_at=expires_at)
    (new,) = send(database, event(version="v3", at=NOW + 60, finished_at=NOW + 60), now=NOW + 60).body["watch_ids"]
    assert found(database, old).state is WatchState.SUPERSEDED
    assert found(database, old).rollback_state is RollbackState.EXPIRED
    assert found(database, new).state is WatchState.SCHEDULED
    sentence = f"Deploy v3 took the place of v2: going back to v1 {what}."
    assert told(database, old) == [(Topic.SUPERSEDED, Severity.WARNING, True, sentence)]
    assert timeline(database, old)[-2:] == ["superseded", "rollback_expired"]


def test_a_rollback_in_flight_is_not_tried_again_over_a_newer_deploy_and_a_person_is_called(database: Database) -> None:
    (old,) = send(database, event()).body["watch_ids"]
    plan_rollback(database, old, RollbackState.ATTEMPTED)
    send(database, event(version="v3", at=NOW + 60, finished_at=NOW + 60), now=NOW + 60)
    assert found(database, old).rollback_state is RollbackState.UNKNOWN
    ((topic, severity, resolved, sentence),) = told(database, old)
    assert (topic, severity, resolved) == (Topic.ROLLBACK_UNKNOWN, Severity.CRITICAL, False)
    assert "v2 to v1 may or may not have happened: deploy v3 came" in sentence
    assert timeline(database, old)[-2:] == ["superseded", "rollback_unknown"]


@pytest.mark.parametrize(("outcome", "topics"), [(Outcome.REGRESSED, [Topic.SUPERSEDED]), (None, [])])
def test_who_was_told_of_a_regression_is_told_of_its_end(
    database: Database, outcome: Outcome | None, topics: list[Topic]
) -> None:
    (old,) = send(database, event()).body["watch_ids"]
    regressed = replace(found(database, old), outcome=outcome, state=WatchState.WATCHING)
    with database.write() as tx:
        watches.change(tx, regressed)
    send(database, event(version="v3", at=NOW + 60, finished_at=NOW + 60), now=NOW + 60)
    assert [note[0] for note in told(database, old)] == topics


def test_a_senders_clock_that_is_ahead_leaves_nothing_unwatched(database: Database) -> None:
    off = send(database, event(version="v2", at=NOW + 7200, finished_at=NOW + 7200))
    assert off.status == 202
    assert "7200 s ahead of our clock" in off.body["warning"]
    (one,) = off.body["watch_ids"]
    assert (found(database, one).finished_at, found(database, one).state) == (NOW, WatchState.SCHEDULED)
    with database.read() as tx:
        assert {entry.event: entry.text for entry in watches.events_of(tx, one)}["clock_ahead"] == off.body["warning"]
    answer = send(database, event(version="v3", at=NOW + 600, finished_at=NOW + 600), now=NOW + 601)
    assert "warning" not in answer.body
    (two,) = answer.body["watch_ids"]
    assert (found(database, one).state, found(database, two).state) == (WatchState.SUPERSEDED, WatchState.SCHEDULED)


def test_nor_does_it_after_a_deploy_whose_clock_was_right(database: Database) -> None:
    (one,) = send(database, event(version="v2")).body["watch_ids"]
    ahead = event(version="v3", at=NOW + 7800, finished_at=NOW + 7800)
    (two,) = send(database, ahead, now=NOW + 600).body["watch_ids"]
    (three,) = send(database, event(version="v4", at=NOW + 900, finished_at=NOW + 900), now=NOW + 901).body["watch_ids"]
    states = [found(database, watch_id).state for watch_id in (one, two, three)]
    assert states == [WatchState.SUPERSEDED, WatchState.SUPERSEDED, WatchState.SCHEDULED]


def test_a_watch_from_before_that_lies_ahead_is_superseded_too(database: Database) -> None:
    (one,) = send(database, event(version="v2")).body["watch_ids"]
    with database.write() as tx:
        watches.change(tx, replace(found(database, one), finished_at=NOW + 7200))
    (two,) = send(database, event(version="v3", at=NOW + 600, finished_at=NOW + 600), now=NOW + 600).body["watch_ids"]
    assert (found(database, one).state, found(database, two).state) == (WatchState.SUPERSEDED, WatchState.SCHEDULED)


@pytest.mark.parametrize("behind", [2.0, -2.0])
def test_replicas_whose_clocks_differ_a_little_keep_the_order_in_which_deploys_came(
    database: Database, behind: float
) -> None:
    (one,) = send(database, event(version="v2", at=NOW, finished_at=NOW)).body["watch_ids"]
    now = NOW + 1 - behind
    (two,) = send(database, event(version="v3", at=now, finished_at=now), now=now).body["watch_ids"]
    assert (found(database, one).state, found(database, two).state) == (WatchState.SUPERSEDED, WatchState.SCHEDULED)


def test_a_message_that_comes_late_does_not_supersede_the_newer_deploy(database: Database) -> None:
    (newer,) = send(database, event(version="v3", at=NOW + 60, finished_at=NOW + 60), now=NOW + 61).body["watch_ids"]
    (older,) = send(database, event(), now=NOW + 62).body["watch_ids"]
    assert found(database, newer).state is WatchState.SCHEDULED
    assert found(database, older).state is WatchState.SUPERSEDED


@pytest.mark.parametrize("told", [{"rollback_id": "r-1", "version": "v1"}, {"version": "v1"}])
@pytest.mark.parametrize("state", [RollbackState.ACCEPTED, RollbackState.ATTEMPTED, RollbackState.UNKNOWN])
def test_the_old_version_after_our_rollback_is_its_receipt(
    database: Database, told: dict[str, Any], state: RollbackState
) -> None:
    (bad,) = send(database, event()).body["watch_ids"]
    plan_rollback(database, bad, state)
    answer = send(database, event(at=NOW + 60, finished_at=NOW + 60, **told), now=NOW + 60)
    assert answer.body["watch_ids"] == [bad]
    assert answer.body["receipt_of"] == "r-1"
    watch = found(database, bad)
    assert (watch.rollback_state, watch.state) == (RollbackState.VERIFIED, WatchState.RECOVERING)
    assert watch.recovery_until == NOW + 60 + watch.policy.recovery_window
    with database.read() as tx:
        assert len(watches.history(tx, "checkout", "production")) == 1


def test_the_same_version_after_another_deploy_is_a_deploy_of_its_own(database: Database) -> None:
    """An accepted rollback that the pipeline never announced must not swallow a deploy of weeks later."""
    (bad,) = send(database, event()).body["watch_ids"]
    plan_rollback(database, bad, RollbackState.ACCEPTED)
    send(database, event(version="v3", at=NOW + 900, finished_at=NOW + 900))
    later = event(version="v1", at=NOW + 86400, finished_at=NOW + 86400)
    answer = send(database, later, now=NOW + 86400)
    assert "receipt_of" not in answer.body
    assert found(database, answer.body["watch_ids"][0]).version == "v1"
    known = send(database, replace(later, rollback_id="r-1", at=NOW + 90000, finished_at=NOW + 90000))
    assert known.body["receipt_of"] == "r-1"


def test_another_environment_is_another_watch(database: Database) -> None:
    (one,) = send(database, event()).body["watch_ids"]
    send(database, event(environment="staging", version="v3"))
    assert found(database, one).state is WatchState.SCHEDULED


def waiting(database: Database) -> str:
    (watch_id,) = send(database, event()).body["watch_ids"]
    plan_rollback(database, watch_id, RollbackState.PLANNED, expires_at=NOW + 1800)
    return str(watch_id)


def test_an_approval_lets_the_order_run_and_names_who_gave_it(database: Database) -> None:
    watch_id = waiting(database)
    for _ in range(2):  # saying it again changes nothing
        watch = decide(database, watch_id, approve=True, by="oncall", reason="graphs agree", now=NOW + 60)
        assert watch.rollback_state is RollbackState.APPROVED
    with database.read() as tx:
        order = orders.rollback_of(tx, watch_id)
        lines = watches.events_of(tx, watch_id)
    assert order is not None
    assert (order.decided_by, order.next_at) == ("oncall", NOW + 60)
    assert [line.text for line in lines if line.event == "rollback_approved"] == ["approved by oncall: graphs agree"]


def test_what_was_decided_cannot_be_decided_otherwise(database: Database) -> None:
    watch_id = waiting(database)
    decide(database, watch_id, approve=False, by="oncall", reason="a campaign", now=NOW + 60)
    with pytest.raises(ConflictError, match="refused"):
        decide(database, watch_id, approve=True, by="oncall", reason="after all", now=NOW + 61)


def test_an_approval_after_its_time_is_refused(database: Database) -> None:
    watch_id = waiting(database)
    with pytest.raises(ConflictError, match="expired"):
        decide(database, watch_id, approve=True, by="oncall", reason="late", now=NOW + 1801)


def test_there_must_be_something_to_decide(database: Database) -> None:
    with pytest.raises(NotFoundError):
        decide(database, "w-none", approve=True, by="oncall", reason="", now=NOW)
    (watch_id,) = send(database, event()).body["watch_ids"]
    with pytest.raises(ConflictError, match="no rollback"):
        decide(database, watch_id, approve=True, by="oncall", reason="", now=NOW)


def test_an_automatic_rollback_waits_for_nobody(database: Database) -> None:
    (watch_id,) = send(database, event()).body["watch_ids"]
    plan_rollback(database, watch_id, RollbackState.PLANNED)
    with pytest.raises(ConflictError, match="no longer waits"):
        decide(database, watch_id, approve=False, by="oncall", reason="", now=NOW)


def test_a_person_can_stop_a_watch_once(database: Database) -> None:
    watch_id = waiting(database)
    stopped = stop(database, watch_id, by="oncall", reason="load test", now=NOW + 60)
    assert (stopped.state, stopped.rollback_state) == (WatchState.STOPPED, RollbackState.REFUSED)
    with pytest.raises(ConflictError, match="stopped"):
        stop(database, watch_id, by="oncall", reason="again", now=NOW + 61)


def test_an_ignored_message_is_answered_and_nothing_is_kept(database: Database) -> None:
    answer = receive(database, SERVICES, "gh", Parsed(ignored="ping"), b"{}", NOW, vendor=True)
    assert (answer.status, answer.body) == (200, {"ignored": "ping"})


def test_one_deploy_may_be_of_several_services(database: Database) -> None:
    both = {name: replace(policy, match={"repository": "acme/*"}) for name, policy in SERVICES.items()}
    told = Parsed((event(attributes={"repository": "acme/shop"}),), delivery_id="a")
    answer = receive(database, both, "gh", told, b"{}", NOW, vendor=True)
    assert len(set(answer.body["watch_ids"])) == 2
