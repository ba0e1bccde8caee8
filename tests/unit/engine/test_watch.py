"""Looks on a real store and the real mathematics; only the source is made: a shop whose conversion can fall."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from support.keeping import Patient
from support.kept import Kept
from support.made import deploy, service, signal, watch
from support.orders import an_order
from support.sqlite_store import sqlite_store

from watcher import detect
from watcher.engine import schedule
from watcher.engine.gather import Gather, blanked
from watcher.engine.watch import Watcher
from watcher.errors import ExternalError, Fault
from watcher.model.decision import Outcome, Reason
from watcher.model.order import Hold, Note, RollbackOrder, RollbackState, Topic
from watcher.model.series import Series, Window
from watcher.model.service import Freeze, Harm, Mode, Role, Service, Signal
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, looks, orders, watches
from watcher.store.database import Database
from watcher.store.orders import Order
from watcher.store.restored import Settled, settle
from watcher.telemetry.metrics import Metrics

STEP = 60.0
DAYS = 3
START = 1_800_000_000.0 // STEP * STEP
WINDOW = 1800.0


@dataclass
class MadeShop:
    """A metric source: orders of sessions, one bucket a minute; `worse_from` begins a 40 % loss."""

    worse_from: float = np.inf
    better_from: float = np.inf
    complete_until: float = np.inf
    fails: Callable[[Window], None] = field(default=lambda _window: None)
    failing: str = ""
    asked: list[Window] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(5)
        count = int(DAYS * 1440 + 2 * WINDOW / STEP + 240)
        self.times = START - DAYS * 86400 + np.arange(1, count + 1, dtype=np.float64) * STEP
        self.totals = rng.poisson(300, count).astype(np.float64)
        self._draws = rng.uniform(size=count)

    def fetch(self, signal: Signal, window: Window) -> Series:
        self.asked.append(window)
        self.names.append(signal.name)
        self.fails(window)
        harmed = (self.times > self.worse_from) & (self.times <= self.better_from)
        rate = np.where(harmed, 0.06, 0.10)
        draws = np.roll(self._draws, 0 if signal.name == "conversion" else len(signal.name))
        noise = np.sqrt(rate * (1 - rate) * self.totals) * (draws * 2 - 1) * 1.7
        values = np.round(self.totals * rate + noise)
        complete = min(float(self.times[-1]), self.complete_until)
        whole = Series(self.times, values, STEP, complete, totals=self.totals, failing=self.failing)
        return whole.between(window.start, window.end)


def broken(_window: Window) -> None:
    raise ExternalError("shop: connection refused", fault=Fault.CONNECTION, permanent=False, sent=False)


@dataclass
class House(Kept):
    """A store with one watch over a deploy at `START`, and what looks at it."""

    database: Database
    shop: MadeShop
    metrics: Metrics

    def watcher(self, **more: Any) -> Watcher:
        """A new one is what a restarted process has: nothing but the store."""
        gather = Gather(self.database, {"prom": self.shop}, lambda *_: None)
        keeper = Patient(self.database, "a")
        return Watcher(self.database, gather, keeper, self.metrics, "http://watcher", structlog.get_logger(), **more)

    def look(self, now: float, watcher: Watcher | None = None) -> Watch:
        (watcher or self.watcher()).step(now, lambda: False)
        return self.watch()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database = sqlite_store(tmp_path)
    yield House(database, MadeShop(), Metrics("test"))
    database.close()


def watch_policy(step: float = STEP) -> Service:
    return service(signals=(signal(min_effect=0.03),), window=WINDOW, step=step, history=DAYS * 86400.0, mode=Mode.ACT)


def looked_to_its_end(house: House, now: float, watcher: Watcher) -> Watch:
    """The watch, once looks every step after `now` have ended it."""
    while not house.watch().ended:
        now += STEP
        house.look(now, watcher)
    return house.watch()


def open_watch(house: House, **changes: Any) -> None:
    values: dict[str, Any] = {
        "policy": watch_policy(),
        "state": WatchState.SCHEDULED,
        "started_at": START,
        "finished_at": START,
        "until": START + WINDOW,
        "ticket_until": START + WINDOW,
        "next_look_at": START + STEP,
    }
    with house.database.write() as tx:
        deploys.put(tx, deploy(started_at=START, finished_at=START))
        watches.open_watch(tx, watch(**(values | changes)))


def test_a_good_deploy_ends_healthy_with_one_history_read(house: House) -> None:
    open_watch(house)
    done = house.look(START + WINDOW + 30)
    assert (done.outcome, done.state) == (Outcome.HEALTHY, WatchState.DONE), done.sentence
    assert len(house.shop.asked) == 1
    assert house.topics() == [Topic.HEALTHY]
    with house.database.read() as tx:
        made = looks.listing(tx, "w-1")
        chart = looks.chart(tx, "w-1", "conversion")
    assert [look.at - START for look in made] == [STEP * number for number in range(1, 31)]
    assert np.isfinite(chart.expected[chart.times > START]).all()


def test_a_bad_deploy_is_ordered_back_at_the_first_look_that_is_sure(house: House) -> None:
    house.shop.worse_from = START
    open_watch(house)
    found = house.look(START + WINDOW + 30)
    assert (found.outcome, found.state) == (Outcome.REGRESSED, WatchState.RECOVERING), found.sentence
    assert found.rollback_state is RollbackState.PLANNED
    assert found.target_version == "v1"
    with house.database.read() as tx:
        order = orders.rollback_of(tx, "w-1")
    assert order is not None
    assert isinstance(order.payload, RollbackOrder)
    assert order.payload.sentence == found.sentence
    assert found.decided_at is not None
    assert found.decided_at <= START + 10 * STEP


def test_a_watch_of_a_restored_store_asks_a_person_and_says_why(house: House) -> None:
    house.shop.worse_from = START
    open_watch(house)
    with house.database.write() as tx:
        assert settle(tx) == Settled(watches=1, doubtful=0)
    found = house.look(START + WINDOW + 30)
    assert (found.outcome, found.rollback_held) == (Outcome.REGRESSED, Hold.RESTORED), found.sentence
    assert house.topics() == [Topic.APPROVAL_WANTED]
    with house.database.read() as tx:
        (asked,) = [note.payload for note in orders.notes_of(tx, "w-1")]
        line = watches.events_of(tx, "w-1")[0]
    assert isinstance(asked, Note)
    assert "the store was restored from a backup, and a newer deploy may not be known" in asked.sentence
    assert (line.event, "rolls nothing back without a person" in line.text) == ("restored", True)


def test_a_freeze_that_was_configured_since_holds_for_a_watch_that_runs(house: House) -> None:
    house.shop.worse_from = START
    open_watch(house)
    since = {"checkout": (Freeze("2020-01-01", "2040-01-01"),)}
    found = house.look(START + WINDOW + 30, house.watcher(freezes=since))
    assert (found.outcome, found.rollback_held) == (Outcome.REGRESSED, Hold.FROZEN), found.sentence
    assert Topic.APPROVAL_WANTED in house.topics()


def test_looks_made_late_say_what_looks_in_time_would_have_said(house: House, tmp_path: Path) -> None:
    house.shop.worse_from = START + 300
    open_watch(house)
    late = house.look(START + WINDOW + 30)
    (tmp_path / "in-time").mkdir()
    other = House(sqlite_store(tmp_path / "in-time"), house.shop, Metrics("test"))
    open_watch(other)
    watcher = other.watcher()
    now = START
    while other.watch().state in (WatchState.SCHEDULED, WatchState.WATCHING):
        now += STEP
        other.look(now, watcher)
    assert (late.decided_at, late.reason, late.score) == (
        other.watch().decided_at,
        other.watch().reason,
        other.watch().score,
    )
    other.database.close()


def test_a_restart_in_the_middle_continues_and_reads_only_what_is_new(house: House) -> None:
    open_watch(house)
    house.look(START + 600)
    house.shop.asked.clear()
    house.shop.worse_from = START + 900
    found = house.look(START + WINDOW + 30)  # another process: nothing in memory
    assert found.outcome is Outcome.REGRESSED, found.sentence
    assert [window.start for window in house.shop.asked] == [START + 600]


def test_a_source_is_asked_when_a_bucket_has_ended_and_not_at_every_look(house: House) -> None:
    open_watch(house, policy=watch_policy(step=20.0), next_look_at=START + 20)
    watcher = house.watcher()
    for number in range(1, 13):
        house.look(START + 20.0 * number + 1, watcher)
    assert [window.end - START for window in house.shop.asked] == [21, 61, 121, 181, 241]
    with house.database.read() as tx:
        assert len(looks.listing(tx, "w-1")) == 12


def test_after_the_metric_window_tickets_are_asked_for_and_what_they_are_compared_with(house: House) -> None:
    signals = (
        signal("conversion"),
        signal("region", query={"metric": "region"}, role=Role.CONTROL, harm=Harm.EITHER),
        signal("complaints", query={"metric": "complaints"}, is_tickets=True, role=Role.SUPPORTING, control="region"),
    )
    policy = replace(watch_policy(), signals=signals, ticket_window=2 * WINDOW)
    open_watch(house, policy=policy, ticket_until=START + 2 * WINDOW)
    watcher = house.watcher()
    assert house.look(START + WINDOW + 30, watcher).decided_at is not None
    house.shop.names.clear()
    house.look(START + WINDOW + 300, watcher)
    assert sorted(house.shop.names) == ["complaints", "region"]


def test_a_source_that_fails_is_blind_time_then_inconclusive_never_a_rollback(house: House) -> None:
    open_watch(house)
    watcher = house.watcher()
    house.look(START + 600, watcher)
    house.shop.fails = broken
    ended = looked_to_its_end(house, START + 600, watcher)
    assert (ended.outcome, ended.reason) == (Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED), ended.sentence
    assert ended.blind_seconds == WINDOW - 600
    assert house.topics() == [Topic.BLIND, Topic.INCONCLUSIVE]
    assert ended.rollback_state is None


@pytest.mark.parametrize("collected", [-600.0, 600.0])
def test_a_source_that_collects_for_itself_fails_when_it_can_collect_no_more(house: House, collected: float) -> None:
    open_watch(house)
    watcher = house.watcher()
    house.shop.complete_until, house.shop.failing = START + collected, "shop: connection refused"
    ended = looked_to_its_end(house, START, watcher)
    assert (ended.outcome, ended.reason) == (Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED), ended.sentence
    assert ended.rollback_state is None
    with house.database.read() as tx:
        last = looks.last(tx, "w-1")
    assert last is not None
    assert last.failures == {"conversion": "shop: connection refused"}


def test_only_what_a_source_did_not_collect_is_blind_time(house: House) -> None:
    open_watch(house)
    watcher = house.watcher()
    house.look(START + 60, watcher)
    house.shop.complete_until, house.shop.failing = START + 840, "shop: connection refused"
    assert house.look(START + 900, watcher).blind_seconds == 60


def test_what_a_source_collected_before_it_failed_is_judged_and_so_is_what_comes_after(house: House) -> None:
    open_watch(house)
    watcher = house.watcher()
    house.shop.worse_from = START
    house.shop.complete_until, house.shop.failing = START - 60, "shop: connection refused"
    assert house.look(START + 60, watcher).outcome is None
    house.shop.complete_until, house.shop.failing = np.inf, ""
    found = house.look(START + 900, watcher)
    assert found.outcome is Outcome.REGRESSED, found.sentence


def test_an_outage_while_nothing_would_be_judged_is_no_blind_time(house: House) -> None:
    open_watch(house, policy=replace(watch_policy(), warm_up=600.0))
    watcher = house.watcher()
    house.shop.fails = broken
    for minute in range(1, 10):
        house.look(START + 60.0 * minute, watcher)
    house.shop.fails = lambda _window: None
    found = house.look(START + WINDOW, watcher)
    assert (found.outcome, found.blind_seconds) == (Outcome.HEALTHY, 0.0), found.sentence
    assert "its first 10 min left out" in found.sentence


def test_a_watch_is_judged_by_the_clocks_that_its_service_had(house: House) -> None:
    open_watch(house, policy=replace(watch_policy(), zone="Europe/Berlin"))
    house.look(START + 60, house.watcher())
    with house.database.read() as tx:
        stored = looks.calibration(tx, "w-1")
    assert stored is not None
    clock = detect.Calibration.from_bytes(stored).signals["conversion"].axis.clock
    assert clock.ahead[0] in {3600.0, 7200.0}


def test_a_source_that_is_down_at_first_is_calibrated_once_it_answers(house: House) -> None:
    open_watch(house)
    house.shop.fails = broken
    watcher = house.watcher()
    house.look(START + 120, watcher)
    house.shop.fails = lambda _window: None
    house.shop.worse_from = START + 300
    found = house.look(START + WINDOW, watcher)
    assert found.outcome is Outcome.REGRESSED, found.sentence


def test_a_source_that_is_down_at_a_first_look_after_the_window_is_still_waited_for(house: House) -> None:
    house.shop.worse_from = START
    open_watch(house)
    house.shop.fails = broken
    watcher = house.watcher()
    assert house.look(START + WINDOW + 30, watcher).outcome is None
    house.shop.fails = lambda _window: None
    found = house.look(START + WINDOW + 90, watcher)
    assert found.outcome is Outcome.REGRESSED, found.sentence


def comes_back(house: House, at: float, until: float) -> float:
    """Looks as they fall due from `at` on, each by a process that has just been started; when the watch had ended."""
    now = at
    while now < until and not house.watch().ended:
        house.look(now)
        now += 5.0
    return now


@pytest.mark.parametrize("looked", [None, START + 600, START + WINDOW + 5])
@pytest.mark.parametrize("away", [200.0, 30 * 3600.0])
def test_a_source_that_is_down_when_the_daemon_comes_back_is_waited_for_as_ever(
    house: House, looked: float | None, away: float
) -> None:
    """Long after the window, and be it looked at before or not, or wait for its last points."""
    waits = looked is not None and looked > START + WINDOW
    house.shop.worse_from = np.inf if waits else START + 700
    house.shop.complete_until = START + WINDOW - 3 * STEP
    open_watch(house)
    if looked is not None:
        assert house.look(looked).outcome is None
    house.shop.complete_until = np.inf
    house.shop.fails = broken
    back = START + WINDOW + away
    assert comes_back(house, back, back + 100) >= back + 100
    assert house.watch().outcome is None
    house.shop.fails = lambda _window: None
    comes_back(house, back + 100, back + 120)
    found = house.watch()
    assert found.outcome is (Outcome.HEALTHY if waits else Outcome.REGRESSED), found.sentence


@pytest.mark.parametrize("looked", [None, START + 600])
def test_a_source_that_stays_down_after_the_daemon_came_back_is_given_the_same_grace(
    house: House, looked: float | None
) -> None:
    open_watch(house)
    if looked is not None:
        house.look(looked)
    house.shop.fails = broken
    back, patience = START + WINDOW + 30 * 3600.0, schedule.grace(house.watch())
    ended = comes_back(house, back, back + 3 * patience)
    assert back + patience <= ended <= back + patience + 30
    done = house.watch()
    assert (done.outcome, done.reason) == (Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED), done.sentence
    assert done.rollback_state is None
    with house.database.read() as tx:
        last = looks.last(tx, "w-1")
    assert last is not None
    assert last.at == START + WINDOW + patience, "what passed meanwhile was no waiting"


def test_an_unexpected_error_is_loud_and_pushes_only_this_watch_forward(house: House) -> None:
    open_watch(house)

    def poisoned(_window: Window) -> None:
        raise ZeroDivisionError("a bug")

    house.shop.fails = poisoned
    with pytest.raises(ZeroDivisionError):
        house.look(START + 120)
    assert house.watch().next_look_at == START + 120 + STEP
    with pytest.raises(ZeroDivisionError):
        house.look(START + WINDOW + 600)
    ended = house.watch()
    assert (ended.outcome, ended.reason) == (Outcome.ERROR, Reason.INTERNAL_ERROR)
    assert house.topics() == [Topic.INCONCLUSIVE]


def recovering(house: House, better_from: float) -> Watcher:
    """A rolled-back deploy: harm from `START`, the rollback accepted ten minutes later."""
    house.shop.worse_from, house.shop.better_from = START, better_from
    open_watch(house)
    watcher = house.watcher()
    house.look(START + 600, watcher)
    accept(house, START + 600)
    return watcher


def accept(house: House, at: float) -> None:
    """What the actor writes when the target took the rollback."""
    with house.database.write() as tx:
        order = orders.rollback_of(tx, "w-1")
        assert order is not None
        orders.change(tx, replace(order, state=RollbackState.ACCEPTED, next_at=None))
        watches.change(tx, replace(house_watch(tx), recovery_until=at + 1800))


def house_watch(tx: Any) -> Watch:
    found = watches.get(tx, "w-1")
    assert found is not None
    return found


def test_after_the_rollback_the_signals_are_seen_to_recover(house: House) -> None:
    watcher = recovering(house, better_from=START + 660)
    found = house.look(START + 600 + 1200, watcher)
    assert (found.state, found.recovered) == (WatchState.DONE, True)
    assert house.topics()[-1] is Topic.RECOVERED


def looks_made(house: House) -> float:
    text = house.metrics.exposition("")[0].decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("watcher_looks_total{"))


@pytest.mark.parametrize("accepted", [False, True])
def test_of_hours_away_only_what_came_after_the_rollback_is_looked_at(house: House, accepted: bool) -> None:
    later = START + 600 + 180 * STEP
    house.shop.worse_from, house.shop.better_from = START, later + 60
    open_watch(house)
    watcher = house.watcher()
    house.look(START + 600, watcher)
    if accepted:
        accept(house, later)
    before = looks_made(house)
    waiting = house.look(later + 1, watcher)
    assert (waiting.state, waiting.last_look_at, waiting.next_look_at) == (WatchState.RECOVERING, later, later + STEP)
    assert looks_made(house) - before <= 2
    accept(house, later)
    found = house.look(later + 1200, watcher)
    assert (found.state, found.recovered) == (WatchState.DONE, True)


def test_a_rollback_that_did_not_help_is_an_emergency(house: House) -> None:
    watcher = recovering(house, better_from=np.inf)
    found = house.look(START + 600 + 1860, watcher)
    assert (found.state, found.recovered) == (WatchState.DONE, False)
    assert house.topics()[-1] is Topic.NOT_RECOVERED


@pytest.mark.parametrize("frozen", [False, True])
def test_what_waits_for_a_person_is_not_ended_by_looks_that_are_caught_up(house: House, frozen: bool) -> None:
    """The daemon was away over the whole window: every look is made at once, and the approval still waits."""
    house.shop.worse_from = START + 120
    freeze = (Freeze("2027-01-01", "2027-02-01"),)
    changes: dict[str, Any] = {"mode": Mode.ACT, "freeze": freeze} if frozen else {"mode": Mode.ASK}
    policy = service(signals=(signal(min_effect=0.03),), window=WINDOW, step=STEP, history=DAYS * 86400.0, **changes)
    open_watch(house, policy=policy)
    now = START + WINDOW + 60
    found = house.look(now)
    assert (found.outcome, found.state, found.ended_at) == (Outcome.REGRESSED, WatchState.WATCHING, None)
    assert (found.rollback_state, found.rollback_held) == (RollbackState.PLANNED, Hold.FROZEN if frozen else None)
    assert house.topics() == [Topic.APPROVAL_WANTED]
    with house.database.read() as tx:
        order = orders.rollback_of(tx, "w-1")
    assert order is not None
    assert order.expires_at == now + policy.approval_timeout
    exposed = (
        'watcher_held_rollbacks_total{hold="frozen",service="checkout"} 1.0' in house.metrics.exposition("")[0].decode()
    )
    assert exposed is frozen


@pytest.mark.parametrize("since", [0, 60])
def test_an_earlier_incident_is_not_taken_for_normal(house: House, since: int) -> None:
    """The same harm within the history, known from an earlier verdict, is blanked before calibrating, however many
    deploys came since.
    """
    past = START - 7200.0
    house.shop.worse_from, house.shop.better_from = past, past + 3600
    with house.database.write() as tx:
        deploys.put(tx, deploy(id="d-0", identity="0"))
        bad = watch(id="w-0", deploy_id="d-0", version="v0", started_at=past, finished_at=past, ended_at=past + 3600)
        watches.open_watch(tx, replace(bad, state=WatchState.DONE, outcome=Outcome.REGRESSED, next_look_at=None))
        order = an_order(rollback_id="r-0", watch_id="w-0")
        orders.add(tx, Order("r-0", "w-0", "checkout", order, RollbackState.VERIFIED, past, past, None))
        for number in range(1, since + 1):
            deploys.put(tx, deploy(id=f"d-0-{number}", identity=f"0-{number}"))
            times: dict[str, Any] = dict.fromkeys(("started_at", "finished_at", "ended_at"), past + 3600 + number)
            fine = replace(bad, id=f"w-0-{number}", deploy_id=f"d-0-{number}", **times)
            watches.open_watch(tx, replace(fine, state=WatchState.DONE, outcome=Outcome.HEALTHY, next_look_at=None))
    open_watch(house)
    done = house.look(START + WINDOW + 30)
    assert done.outcome is Outcome.HEALTHY, done.sentence
    (conversion,) = done.policy.signals
    history = house.shop.fetch(conversion, Window(START - DAYS * 86400, START, STEP))
    quiet = detect.calibrate(done.plan, {"conversion": blanked(history, [(past, past + 3600)])})
    with house.database.read() as tx:
        assert looks.calibration(tx, done.id) == quiet.to_bytes()
