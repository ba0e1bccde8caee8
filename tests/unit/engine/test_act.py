"""The outbox against a real receiver: intent first, one rollback, and a named state for every way it can go."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import structlog
from sqlalchemy import text, update
from support.fault_server import Answer, FaultServer, Request
from support.keeping import Patient
from support.kept import Kept
from support.made import NOW, deploy, service, watch
from support.orders import a_note, an_order
from support.plain_tools import plain_tools
from support.postgresql_server import PostgresqlServer
from support.programs import free_port
from support.sqlite_store import sqlite_store

from watcher import registry
from watcher.engine.act import Actor
from watcher.engine.send import Sender
from watcher.kit import clock
from watcher.model.decision import Outcome
from watcher.model.order import Hold, Note, Receipt, RollbackOrder, RollbackState, Severity, Standing, Topic
from watcher.model.service import Freeze, Mode
from watcher.model.watch import WatchState
from watcher.store import codec, deploys, orders, restored, schema, watches
from watcher.store.database import Database
from watcher.store.orders import NoteState, Order
from watcher.store.shared_clock import SharedClock
from watcher.telemetry.metrics import Metrics
from watcher.web import decide


@dataclass
class House(Kept):
    """A store with a regressed watch, a receiver, and an actor that may be replaced as after a restart."""

    database: Database
    receiver: FaultServer
    targets: dict[str, Any]
    notifiers: dict[str, Any]

    def actor(self, owner: str = "a", freezes: Mapping[str, Sequence[Freeze]] = MappingProxyType({})) -> Actor:
        keeper = Patient(self.database, owner)
        metrics, log = Metrics("test"), structlog.get_logger()
        return Actor(self.database, self.targets, keeper, metrics, "http://watcher", log, freezes)

    def sender(self, owner: str = "a") -> Sender:
        log = structlog.get_logger()
        return Sender(self.database, self.notifiers, Patient(self.database, owner), Metrics("test"), log)

    def drain(self, now: float, actor: Actor | None = None) -> None:
        actor, sender = actor or self.actor(), self.sender()
        while actor.step(now) or any(sender.step(name, now) for name in self.notifiers) or sender.step_unknown(now):
            pass

    def order(self) -> Order:
        with self.database.read() as tx:
            found = orders.rollback_of(tx, "w-1")
        assert found is not None
        return found

    def keys(self) -> list[str]:
        return [request.headers["idempotency-key"] for request in self.receiver.requests if request.path == "/rollback"]

    def plan(self, **changes: Any) -> None:
        values: dict[str, Any] = {"state": RollbackState.PLANNED, "next_at": NOW, "expires_at": None} | changes
        payload = an_order(rollback_id="r-1", watch_id="w-1", bad_version="v2", target_version="v1")
        with self.database.write() as tx:
            orders.add(tx, Order("r-1", "w-1", "checkout", payload, created_at=NOW, updated_at=NOW, **values))


def adapter(section: str, kind: str, **options: Any) -> Any:
    made = registry.adapter(section, kind)
    return made("checkout", made.Options(**options), plain_tools())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database = sqlite_store(tmp_path)
    with FaultServer() as receiver:
        receiver.answer = lambda _request: Answer(202)
        with database.write() as tx:
            deploys.put(tx, deploy())
            watches.open_watch(tx, watch(state=WatchState.RECOVERING, policy=service(mode=Mode.ACT)))
        yield House(
            database,
            receiver,
            {"checkout": adapter("rollback", "webhook", url=f"{receiver.url}/rollback", timeout=60)},
            {"oncall": adapter("notifiers", "slack", url=f"{receiver.url}/slack")},
        )
    database.close()


def failing(times: int, answer: Answer) -> Callable[[Request], Answer]:
    left = [times]

    def reply(request: Request) -> Answer:
        if request.path == "/rollback" and left[0] > 0:
            left[0] -= 1
            return answer
        return Answer(202)

    return reply


def test_a_rollback_is_called_once_and_recovery_begins(house: House) -> None:
    house.plan()
    house.drain(NOW)
    house.drain(NOW + 600)
    assert house.keys() == ["r-1"]
    assert house.order().state is RollbackState.ACCEPTED
    assert house.watch().state is WatchState.RECOVERING
    assert house.watch().recovery_until == NOW + house.watch().policy.recovery_window
    assert house.topics() == [Topic.ROLLBACK_ACCEPTED]
    body = json.loads(house.receiver.requests[0].body)
    assert (body["bad_version"], body["target_version"], body["dry_run"]) == ("v2", "v1", False)


@pytest.mark.parametrize(
    "answer", [Answer(503), Answer(429, {"retry-after": "1"}), Answer(reset=True), Answer(delay=120)]
)
def test_what_may_pass_is_tried_again_under_the_same_key(house: House, answer: Answer) -> None:
    house.receiver.answer = failing(2, answer)
    house.plan()
    patient = house.targets["checkout"]
    hasty = adapter("rollback", "webhook", url=f"{house.receiver.url}/rollback", timeout=0.5)
    for second, target in ((0, hasty), (3, hasty), (10, patient)):
        house.targets["checkout"] = target if answer.delay else patient
        house.drain(NOW + second)
    assert house.keys() == ["r-1"] * 3
    assert house.order().state is RollbackState.ACCEPTED
    assert house.order().attempts == 3


def test_it_is_not_tried_again_before_its_time(house: House) -> None:
    house.receiver.answer = failing(1, Answer(429, {"retry-after": "60"}))
    house.plan()
    house.drain(NOW)
    house.drain(NOW + 59)
    assert len(house.keys()) == 1
    house.drain(NOW + 61)
    assert house.order().state is RollbackState.ACCEPTED


def test_a_refusal_is_final_and_a_person_is_called(house: House) -> None:
    house.receiver.answer = failing(9, Answer(403))
    house.plan()
    house.drain(NOW)
    house.drain(NOW + 3600)
    assert len(house.keys()) == 1
    assert house.order().state is RollbackState.FAILED
    assert house.topics() == [Topic.ROLLBACK_FAILED]
    assert house.watch().state is WatchState.DONE


def test_a_target_that_never_answers_ends_as_unknown_not_as_failed(house: House) -> None:
    house.receiver.answer = failing(99, Answer(reset=True))
    house.plan()
    for minute in range(30):
        house.drain(NOW + 60 * minute)
    assert house.order().state is RollbackState.UNKNOWN
    assert Topic.ROLLBACK_UNKNOWN in house.topics()
    assert house.watch().state is WatchState.RECOVERING  # it may have been carried out: the signals will tell


def test_after_a_crash_in_the_call_an_idempotent_target_is_called_again_with_the_same_key(house: House) -> None:
    house.plan(state=RollbackState.ATTEMPTED)
    house.drain(NOW)
    assert house.keys() == ["r-1"]
    assert house.order().state is RollbackState.ACCEPTED


def test_after_a_crash_in_the_call_a_command_is_not_run_again(house: House, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    house.targets["checkout"] = adapter("rollback", "command", argv=["touch", str(trace)])
    house.plan(state=RollbackState.ATTEMPTED)
    house.drain(NOW)
    assert not trace.exists()
    assert house.order().state is RollbackState.UNKNOWN
    assert house.topics() == [Topic.ROLLBACK_UNKNOWN]


def checked_command(tmp_path: Path, check: str) -> Any:
    """A command that does not end in time, and what its check says; every check adds a line to `asked`."""
    check = f"echo asked >> {tmp_path}/asked; {check}"
    options = {"argv": ["sh", "-c", f"touch {tmp_path}/ran; sleep 600"], "check_argv": ["sh", "-c", check]}
    hasty, patient = (adapter("rollback", "command", timeout=seconds, **options) for seconds in (0.5, 60))
    hasty.check = patient.check
    return hasty


@pytest.mark.parametrize(
    ("check", "state", "topic", "watch_state"),
    [
        ("exit 0", RollbackState.VERIFIED, Topic.ROLLBACK_ACCEPTED, WatchState.RECOVERING),
        ("exit 2", RollbackState.ACCEPTED, Topic.ROLLBACK_ACCEPTED, WatchState.RECOVERING),
        ("exit 1", RollbackState.FAILED, Topic.ROLLBACK_FAILED, WatchState.DONE),
    ],
)
@pytest.mark.parametrize("crashed", [False, True])
def test_a_target_that_can_be_asked_is_reconciled_and_not_called_again(
    house: House, tmp_path: Path, check: str, state: RollbackState, topic: Topic, watch_state: WatchState, crashed: bool
) -> None:
    house.targets["checkout"] = checked_command(tmp_path, check)
    house.plan(state=RollbackState.ATTEMPTED if crashed else RollbackState.PLANNED)
    house.drain(NOW)
    assert (tmp_path / "ran").exists() is not crashed
    assert house.order().state is state
    assert "the target says that it" in house.order().detail
    assert (house.topics(), house.watch().state) == ([topic], watch_state)


def test_a_target_that_cannot_tell_yet_is_asked_again_and_at_last_a_person_is(house: House, tmp_path: Path) -> None:
    house.targets["checkout"] = checked_command(tmp_path, "exit 7")
    house.plan()
    for minute in range(30):
        house.drain(NOW + 300 * minute)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 8
    assert house.order().state is RollbackState.UNKNOWN
    assert house.topics() == [Topic.ROLLBACK_UNKNOWN]


def test_an_idempotent_target_is_tried_again_first_and_asked_at_the_end(house: House) -> None:
    def answer(request: Request) -> Answer:
        if request.path == "/check/r-1":
            return Answer.of({"state": "done"})
        return Answer(reset=True) if request.path == "/rollback" else Answer(200)

    house.receiver.answer = answer
    url = house.receiver.url
    check = f"{url}/check/{{rollback_id}}"
    house.targets["checkout"] = adapter("rollback", "webhook", url=f"{url}/rollback", check_url=check, timeout=60)
    house.plan()
    for minute in range(30):
        house.drain(NOW + 300 * minute)
    assert house.keys() == ["r-1"] * 8
    assert house.order().state is RollbackState.VERIFIED
    assert Topic.ROLLBACK_UNKNOWN not in house.topics()


class Calls:
    """What the target does at each call, in turn (the last one for ever), and what it says when it is asked."""

    def __init__(self, house: House, *answers: Answer | str, check: str | None = None) -> None:
        self._house = house
        self._answers = list(answers)
        self.number = 0
        self._nowhere = self._made(f"http://127.0.0.1:{free_port()}", check)
        self._there = self._made(house.receiver.url, check)
        self._check = check
        house.receiver.answer = self._answer
        house.targets["checkout"] = self
        self.idempotent = True

    @staticmethod
    def _made(url: str, check: str | None) -> Any:
        more = {} if check is None else {"check_url": f"{url}/check/{{rollback_id}}"}
        return adapter("rollback", "webhook", url=f"{url}/rollback", timeout=60, **more)

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/check/"):
            return Answer.of({"state": self._check})
        return self._now() if request.path == "/rollback" else Answer(200)

    def _now(self) -> Any:
        return self._answers[min(self.number, len(self._answers)) - 1]

    def trigger(self, order: RollbackOrder) -> Receipt:
        self.number += 1
        made: Receipt = (self._nowhere if self._now() == "refused" else self._there).trigger(order)
        return made

    @property
    def can_check(self) -> bool:
        return self._check is not None

    def check(self, order: RollbackOrder) -> Standing:
        said: Standing = self._there.check(order)
        return said


LOST = Answer(reset=True)  # it was received, and the answer never came


def later(house: House, minutes: int = 30) -> None:
    for minute in range(minutes):
        house.drain(NOW + 300 * minute)


@pytest.mark.parametrize("then", ["refused", Answer(401), Answer(404), Answer(422), Answer(303), LOST])
@pytest.mark.parametrize(
    ("check", "state"),
    [
        (None, RollbackState.UNKNOWN),
        ("done", RollbackState.VERIFIED),
        ("running", RollbackState.ACCEPTED),
        ("not_done", RollbackState.FAILED),
        ("no known word", RollbackState.UNKNOWN),
    ],
)
def test_once_a_call_may_be_out_no_later_failure_says_that_nothing_happened(
    house: House, then: Answer | str, check: str | None, state: RollbackState
) -> None:
    house.plan()
    Calls(house, LOST, then, check=check)
    later(house)
    assert house.order().state is state, house.order().detail
    if state is RollbackState.UNKNOWN:
        assert house.topics() == [Topic.ROLLBACK_UNKNOWN]
        assert house.watch().state is WatchState.RECOVERING
    if then not in (LOST, Answer(303)):
        assert "an earlier attempt may have been carried out" in house.order().detail


def test_what_was_never_received_may_still_fail_for_certain(house: House) -> None:
    house.plan()
    Calls(house, "refused", check="done")
    later(house)
    assert house.order().state is RollbackState.FAILED
    assert (house.order().attempts, house.topics()) == (8, [Topic.ROLLBACK_FAILED])


@pytest.mark.parametrize("answer", [Answer(302, {"location": "/done"}), Answer(303), Answer(200, body=b"x" * 2000)])
@pytest.mark.parametrize(("check", "state"), [("done", RollbackState.VERIFIED), (None, RollbackState.UNKNOWN)])
def test_an_answer_that_is_no_refusal_is_asked_about(
    house: House, answer: Answer, check: str | None, state: RollbackState
) -> None:
    house.plan()
    more = {} if check is None else {"check_url": f"{house.receiver.url}/check/{{rollback_id}}"}
    url = f"{house.receiver.url}/rollback"
    house.targets["checkout"] = adapter("rollback", "webhook", url=url, timeout=60, max_bytes=1000, **more)
    house.receiver.answer = lambda request: Answer.of({"state": check}) if "check" in request.path else answer
    house.drain(NOW)
    assert house.order().state is state
    assert house.keys() == ["r-1"]


def refused_since(house: House) -> None:
    """A rollback whose first call may be out, and whose second found nobody."""
    house.plan()
    Calls(house, LOST, "refused", check=None)
    house.drain(NOW)
    house.drain(NOW + 3)
    assert house.order().state is RollbackState.ATTEMPTED


def test_a_freeze_takes_nothing_back_of_what_may_be_out(house: House) -> None:
    refused_since(house)
    repolicied(house, freeze=(Freeze("2027-01-01", "2027-02-01"),))
    house.drain(NOW + 10)
    assert (house.order().state, house.order().attempts) == (RollbackState.ATTEMPTED, 3)


def test_a_target_version_that_turned_bad_takes_nothing_back_of_what_may_be_out(house: House) -> None:
    refused_since(house)
    turned_bad(house)
    house.drain(NOW + 10)
    assert (house.order().state, house.order().attempts) == (RollbackState.ATTEMPTED, 3)


def test_a_target_that_is_gone_leaves_what_may_be_out_unknown(house: House) -> None:
    refused_since(house)
    house.targets.clear()
    house.drain(NOW + 10)
    assert house.order().state is RollbackState.UNKNOWN
    assert house.topics() == [Topic.ROLLBACK_UNKNOWN]


@pytest.mark.parametrize(("check", "state"), [("done", RollbackState.VERIFIED), (None, RollbackState.UNKNOWN)])
def test_of_a_watch_that_was_stopped_meanwhile_the_target_is_only_asked(
    house: House, check: str | None, state: RollbackState
) -> None:
    house.plan()
    calls = Calls(house, LOST, Answer(202), check=check)
    house.drain(NOW)
    decide.stop(house.database, "w-1", by="mara", reason="noise", now=NOW + 1)
    later(house)
    assert (house.order().state, calls.number) == (state, 1)
    assert house.watch().state is WatchState.STOPPED


@pytest.mark.parametrize(("check", "state"), [("exit 0", RollbackState.VERIFIED), (None, RollbackState.UNKNOWN)])
def test_a_program_that_was_killed_is_asked_about(house: House, check: str | None, state: RollbackState) -> None:
    more = {} if check is None else {"check_argv": ["sh", "-c", check]}
    house.targets["checkout"] = adapter("rollback", "command", argv=["sh", "-c", "kill -9 $$"], **more)
    house.plan()
    house.drain(NOW)
    assert house.order().state is state
    assert "was ended by SIGKILL" in house.order().detail


def test_an_approval_that_nobody_gives_expires_and_says_so(house: House) -> None:
    house.plan(next_at=NOW + 1800, expires_at=NOW + 1800)
    house.drain(NOW + 1799)
    assert house.order().state is RollbackState.PLANNED
    house.drain(NOW + 1800)
    assert house.order().state is RollbackState.EXPIRED
    assert house.topics() == [Topic.APPROVAL_EXPIRED]
    assert not house.keys()


def test_a_refused_rollback_is_told_and_not_called(house: House) -> None:
    house.plan(state=RollbackState.REFUSED)
    house.drain(NOW)
    assert house.topics() == [Topic.APPROVAL_REFUSED]
    assert not house.keys()
    assert house.watch().state is WatchState.DONE


@pytest.mark.parametrize("word", ["refuse", "stop"])
def test_what_a_person_refused_stands_in_the_timeline_once(house: House, word: str) -> None:
    house.plan(expires_at=NOW + 1800)
    if word == "stop":
        decide.stop(house.database, "w-1", by="mara", reason="a campaign", now=NOW)
    else:
        decide.decide(house.database, "w-1", approve=False, by="mara", reason="a campaign", now=NOW)
    house.drain(NOW + 1)
    with house.database.read() as tx:
        refused = [each for each in watches.events_of(tx, "w-1") if each.event == "rollback_refused"]
    assert len(refused) == 1
    assert refused[0].at == NOW
    assert "by mara: a campaign" in refused[0].text
    assert house.topics() == [Topic.APPROVAL_REFUSED]


@pytest.mark.parametrize("state", [WatchState.SUPERSEDED, WatchState.STOPPED])
def test_a_watch_that_ended_meanwhile_rolls_nothing_back(house: House, state: WatchState) -> None:
    house.plan()
    ended = replace(house.watch(), state=state, next_look_at=None)
    with house.database.write() as tx:
        watches.change(tx, ended)
    house.drain(NOW)
    assert not house.keys()
    assert house.order().state is RollbackState.EXPIRED


def repolicied(house: House, **changes: Any) -> None:
    """The watch with another policy, as if it had been opened so."""
    policy = codec.dump(service(mode=Mode.ACT, **changes))
    with house.database.write() as tx:
        tx.execute(text("update watches set policy = :policy"), {"policy": policy})


def test_an_order_that_comes_due_only_in_a_freeze_asks_instead(house: House) -> None:
    house.plan()
    repolicied(house, freeze=(Freeze("2027-01-01", "2027-02-01"),))
    house.drain(NOW)
    assert not house.keys()
    order = house.order()
    assert (order.state, order.held, order.expires_at) == (RollbackState.PLANNED, Hold.FROZEN, NOW + 1800)
    assert house.topics() == [Topic.APPROVAL_WANTED]
    assert house.watch().state is WatchState.WATCHING
    # A person's word goes through a freeze.
    decide.decide(house.database, "w-1", approve=True, by="mara", reason="it is bad", now=NOW + 60)
    house.drain(NOW + 60)
    assert house.keys() == ["r-1"]
    assert house.order().state is RollbackState.ACCEPTED


@pytest.mark.parametrize(("service", "asks"), [("checkout", True), ("search", False)])
def test_a_freeze_that_the_service_was_given_only_since_asks_too(house: House, service: str, asks: bool) -> None:
    house.plan()
    house.drain(NOW, house.actor(freezes={service: (Freeze("2027-01-01", "2027-02-01"),)}))
    assert house.keys() == ([] if asks else ["r-1"])
    assert house.order().held is (Hold.FROZEN if asks else None)


def test_a_freeze_does_not_stop_a_call_that_may_be_out_already(house: House) -> None:
    house.receiver.answer = failing(1, Answer(503))
    house.plan()
    house.drain(NOW)
    repolicied(house, freeze=(Freeze("2027-01-01", "2027-02-01"),))
    house.drain(NOW + 3)
    assert house.keys() == ["r-1"] * 2
    assert house.order().state is RollbackState.ACCEPTED


def turned_bad(house: House) -> None:
    with house.database.write() as tx:
        deploys.put(tx, deploy(id="d-0", identity="0", version="v1"))
        bad = watch(id="w-0", deploy_id="d-0", version="v1", state=WatchState.SUPERSEDED, outcome=Outcome.REGRESSED)
        watches.open_watch(tx, bad)


def test_a_target_version_that_turned_bad_is_not_gone_back_to(house: House) -> None:
    house.plan()
    turned_bad(house)
    house.drain(NOW)
    assert not house.keys()
    assert house.order().state is RollbackState.FAILED
    assert house.order().detail == "v1 was itself judged regressed meanwhile"
    assert house.topics() == [Topic.ROLLBACK_FAILED]


def test_an_actor_that_slept_past_its_lease_does_not_call(house: House) -> None:
    house.plan()

    class Slow:
        """The lease ends at the log line between the intent and the call."""

        def info(self, event: str, **_: Any) -> None:
            if event == "rollback_attempted":
                with house.database.write() as tx:
                    tx.execute(update(schema.orders).values(lease_until=1.0))

        warning = info

    actor = house.actor()
    actor._log = Slow()
    actor.step(NOW)
    assert not house.keys()
    assert house.order().state is RollbackState.ATTEMPTED
    house.drain(NOW, house.actor("b"))
    assert house.keys() == ["r-1"]


def test_a_service_that_lost_its_target_fails_loudly(house: House) -> None:
    house.targets.clear()
    house.plan()
    house.drain(NOW)
    assert house.order().state is RollbackState.FAILED


def add_note(house: House, order_id: str = "o-1", created_at: float = NOW, **changes: Any) -> None:
    note = a_note(id=order_id, alert="w-1", **changes)
    with house.database.write() as tx:
        orders.add(tx, Order(order_id, "w-1", "oncall", note, NoteState.PENDING, created_at, created_at, created_at))


def note_order(house: House, order_id: str = "o-1") -> Order:
    with house.database.read() as tx:
        return next(order for order in orders.notes_of(tx, "w-1") if order.id == order_id)


def test_a_note_is_sent_again_until_it_arrives(house: House) -> None:
    statuses = iter([500, 429, 200])
    house.receiver.answer = lambda _request: Answer(next(statuses))
    add_note(house)
    for second in (0, 3, 10):
        house.drain(NOW + second)
    assert note_order(house).state is NoteState.SENT
    assert len(house.receiver.requests) == 3


def test_a_note_too_quiet_for_its_notifier_is_not_sent(house: House) -> None:
    add_note(house, severity=Severity.INFO)
    house.drain(NOW)
    assert not house.receiver.requests
    assert note_order(house).state is NoteState.SENT


def test_an_alert_is_renewed_until_it_is_resolved(house: House) -> None:
    alertmanager = adapter("notifiers", "alertmanager", url=house.receiver.url, renew_every=60)
    house.notifiers["oncall"] = alertmanager
    house.receiver.answer = lambda _request: Answer(200)
    add_note(house)
    for second in (0, 30, 61, 125):
        house.drain(NOW + second)
    assert len(house.receiver.requests) == 3
    assert note_order(house).state is NoteState.RENEWING
    add_note(house, "o-2", NOW + 130, resolved=True, topic=Topic.RECOVERED, severity=Severity.WARNING)
    for second in (130, 190, 260):
        house.drain(NOW + second)
    assert note_order(house).state is NoteState.SENT
    assert len(house.receiver.requests) == 4
    firing, ended = (json.loads(house.receiver.requests[index].body)[0] for index in (2, 3))
    assert clock.parse_iso(firing["endsAt"]) > clock.now() >= clock.parse_iso(ended["endsAt"])


@pytest.mark.parametrize(("of_the_end", "sent"), [(True, 2), (False, 1)])
def test_an_alert_about_a_watch_that_is_gone_is_renewed_only_if_it_tells_of_its_end(
    house: House, of_the_end: bool, sent: int
) -> None:
    house.notifiers["oncall"] = adapter("notifiers", "alertmanager", url=house.receiver.url, renew_every=60)
    house.receiver.answer = lambda _request: Answer(200)
    add_note(house, topic=Topic.ROLLBACK_UNKNOWN)
    house.drain(NOW)
    gone = replace(house.watch(), state=WatchState.SUPERSEDED, ended_at=NOW if of_the_end else NOW + 1)
    with house.database.write() as tx:
        watches.change(tx, gone)
    house.drain(NOW + 61)
    assert len(house.receiver.requests) == sent


def test_a_rollback_goes_before_notes_that_have_been_due_for_long(house: House) -> None:
    house.receiver.answer = lambda request: Answer(202 if request.path == "/rollback" else 503)
    for number in range(20):
        add_note(house, f"o-{number}", NOW - 100)
    house.plan()
    assert house.actor().step(NOW)
    assert [request.path for request in house.receiver.requests] == ["/rollback"]


def test_a_notifier_that_hangs_delays_no_other(house: House) -> None:
    hung, over = threading.Event(), threading.Event()

    class Hanging:
        min_severity = Severity.INFO

        def send(self, _note: Note) -> None:
            hung.set()
            assert over.wait(60)

    add_note(house)
    oncall = house.notifiers["oncall"]
    house.notifiers |= {"oncall": Hanging(), "pager": oncall}
    with house.database.write() as tx:
        note = a_note(id="n-2", alert="w-1")
        orders.add(tx, Order("o-2", "w-1", "pager", note, NoteState.PENDING, NOW, NOW, NOW))
    sender = house.sender()
    worker = threading.Thread(target=sender.step, args=("oncall", NOW))
    worker.start()
    try:
        assert hung.wait(60)
        assert sender.step("pager", NOW)
        assert note_order(house, "o-2").state is NoteState.SENT
    finally:
        over.set()
        worker.join()
    assert note_order(house).state is NoteState.SENT


def test_a_sender_that_slept_past_its_lease_sends_nothing(house: House) -> None:
    class Asleep(Patient):
        """It wakes up only after what it took is another's to take."""

        @contextmanager
        def keeping_order(self, order_id: str) -> Iterator[None]:
            with house.database.write() as tx:
                tx.execute(update(schema.orders).where(schema.orders.c.id == order_id).values(lease_until=1.0))
            yield

    add_note(house)
    keeper = Asleep(house.database, "a")
    assert Sender(house.database, house.notifiers, keeper, Metrics("test"), structlog.get_logger()).step("oncall", NOW)
    assert not house.receiver.requests
    house.drain(NOW)
    assert [request.path for request in house.receiver.requests] == ["/slack"]


def test_a_note_to_a_notifier_that_is_configured_no_more_is_given_up(house: House) -> None:
    add_note(house)
    house.notifiers.clear()
    assert house.sender().step_unknown(NOW)
    assert note_order(house).state is NoteState.FAILED
    assert not house.sender().step_unknown(NOW)


@pytest.mark.parametrize(("check", "state"), [("done", RollbackState.VERIFIED), (None, RollbackState.UNKNOWN)])
@pytest.mark.parametrize("before", [RollbackState.PLANNED, RollbackState.APPROVED, RollbackState.ATTEMPTED])
def test_of_a_restored_store_no_rollback_that_was_under_way_is_called_again(
    house: House, before: RollbackState, check: str | None, state: RollbackState
) -> None:
    """Not even under its own key: the backup may know nothing of a newer deploy, which it would undo."""
    house.plan(state=before)
    calls = Calls(house, Answer(202), check=check)
    with house.database.write() as tx:
        assert restored.settle(tx) == restored.Settled(watches=1, doubtful=1)
        tx.execute(update(schema.events).values(at=NOW + 60))
    later(house)
    assert (calls.number, house.order().state) == (0, state)
    assert "the store was restored from a backup" in house.order().detail
    assert house.topics() == [Topic.ROLLBACK_UNKNOWN if check is None else Topic.ROLLBACK_ACCEPTED]


def test_what_was_decided_after_a_restore_is_tried_again_as_ever(house: House) -> None:
    with house.database.write() as tx:
        restored.settle(tx)
    house.plan()
    calls = Calls(house, LOST, Answer(202))
    later(house)
    assert (calls.number, house.order().state) == (2, RollbackState.ACCEPTED)


def test_a_clock_that_is_set_forward_ends_no_approval(house: House) -> None:
    wall, steady = [NOW], [0.0]
    house.database.clock = SharedClock(lambda: wall[0], lambda: steady[0])
    house.plan(next_at=NOW + 1800, expires_at=NOW + 1800)
    house.drain(NOW)
    wall[0] += 7200
    house.drain(wall[0])
    assert house.order().state is RollbackState.PLANNED
    decide.decide(house.database, "w-1", approve=True, by="mara", reason="it is bad", now=wall[0])
    house.drain(wall[0])
    assert house.order().state is RollbackState.ACCEPTED


@pytest.mark.postgresql
@pytest.mark.parametrize("ahead", [7200.0, -7200.0])
def test_a_replica_whose_clock_is_off_neither_ends_an_approval_nor_lets_its_word_wait(
    house: House, postgresql: PostgresqlServer, ahead: float
) -> None:
    now = clock.now()
    with closing(postgresql.migrated()) as database:
        house.database = database
        with database.write() as tx:
            deploys.put(tx, deploy())
            watches.open_watch(tx, watch(state=WatchState.RECOVERING, policy=service(mode=Mode.ACT)))
        house.plan(next_at=now + 1800, expires_at=now + 1800)
        house.drain(now + ahead)
        assert house.order().state is RollbackState.PLANNED
        decide.decide(database, "w-1", approve=True, by="mara", reason="it is bad", now=now + ahead)
        house.drain(now)  # the replica that took the word is gone
        assert house.order().state is RollbackState.ACCEPTED
        assert [request.path for request in house.receiver.requests] == ["/rollback", "/slack"]
