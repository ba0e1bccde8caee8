"""Many watches looked at together: few questions, few statements, and what is wrong with one stays with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from support.keeping import Patient
from support.made import deploy, service, signal, watch
from support.sqlite_store import sqlite_store

from watcher.engine import watch as watch_module
from watcher.engine.bands import Bands
from watcher.engine.gather import Gather
from watcher.engine.watch import Watcher
from watcher.errors import ExternalError, Fault
from watcher.model.decision import Outcome
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, looks, orders, watches
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

STEP = 60.0
START = 1_800_000_000.0 // STEP * STEP
FLEET = 6


@dataclass
class Fleet:
    """A source that answers for all services at once; `poisoned` ones make it fail with a bug, `bad` ones lose most of
    their orders from the deploy on; while it is `down` it answers nothing.
    """

    asked: list[tuple[int, float]] = field(default_factory=list)
    poisoned: frozenset[str] = frozenset()
    bad: frozenset[str] = frozenset()
    down: bool = False
    told: Callable[[], None] = lambda: None

    def kin(self, signal: Signal) -> str:
        return signal.name

    def fetch(self, signal: Signal, window: Window) -> Series:
        (found,) = self.fetch_all([signal], window)
        assert isinstance(found, Series)
        return found

    def fetch_all(self, signals: Sequence[Signal], window: Window) -> Sequence[Series | ExternalError]:
        self.asked.append((len(signals), window.end - window.start))
        self.told()
        if any(signal.query["who"] in self.poisoned for signal in signals):
            raise ZeroDivisionError
        if self.down:
            return [ExternalError("prom: no", fault=Fault.STATUS, permanent=False)] * len(signals)
        times = window.grid()
        rng = np.random.default_rng(int(times[0]) if len(times) else 0)
        values = rng.poisson(200, len(times)).astype(float)
        harmed = np.where(times > START, 0.2 * values, values)
        return [
            Series(times, harmed if signal.query["who"] in self.bad else values, STEP, window.end) for signal in signals
        ]


@dataclass
class House:
    database: Database
    source: Fleet
    watcher: Watcher

    def looked(self) -> list[int]:
        """How many looks are stored of each watch."""
        with self.database.read() as tx:
            return [len(looks.listing(tx, each.id)) for each in self.listing()]

    def states(self) -> list[WatchState]:
        return [found.state for found in self.listing()]

    def listing(self) -> list[Watch]:
        with self.database.read() as tx:
            return sorted(watches.listing(tx, limit=100), key=lambda each: each.id)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database, source = sqlite_store(tmp_path), Fleet()
    with database.write() as tx:
        for number in range(FLEET):
            name = f"s{number:02}"
            orders = signal("orders", kind=Kind.COUNT, query={"who": name})
            policy = service(name, signals=(orders,), window=1800.0, step=STEP, history=6 * 3600.0, depends_on=())
            times = {"started_at": START, "finished_at": START, "until": START + 1800, "ticket_until": START + 1800}
            deploys.put(tx, deploy(id=f"d-{name}", identity=name, started_at=START, finished_at=START))
            more = {"service": name, "policy": policy, "state": WatchState.SCHEDULED, "next_look_at": START + STEP}
            watches.open_watch(tx, watch(id=f"w-{name}", deploy_id=f"d-{name}", **more, **times))
    yield House(database, source, started(database, source))
    database.close()


def started(database: Database, source: Fleet) -> Watcher:
    """What a process begins with: nothing but the store."""
    gather = Gather(database, {"prom": source}, lambda *_: None)
    return Watcher(database, gather, Patient(database, "a"), Metrics("test"), "http://watcher", structlog.get_logger())


def taken_over(database: Database, watch_id: str) -> None:
    """Another process has it now: it looks as if ours had slept through its lease."""
    with database.write() as tx:
        tx.execute(text("update watches set fence = fence + 1, owner = 'b' where id = :id"), {"id": watch_id})


def never() -> bool:
    return False


def test_a_batch_is_one_question_and_a_look_few_statements(house: House) -> None:
    assert house.watcher.step(START + 70, never, first=True)
    assert [count for count, _ in house.source.asked] == [FLEET]
    for number in (2, 3):
        house.watcher.step(START + 60 * number + 10, never, first=False)
    assert [(count, round(span)) for count, span in house.source.asked[1:]] == [(FLEET, 70), (FLEET, 70)]
    said: list[str] = []
    event.listen(house.database._engine, "checkout", lambda connection, *_: connection.set_trace_callback(said.append))
    house.watcher.step(START + 250, never, first=False)
    said = [one for one in said if not one.startswith(("begin", "COMMIT", "ROLLBACK"))]
    assert 2 * FLEET < len(said) <= 4 * FLEET + 6, "\n".join(said)
    with house.database.read() as tx:
        assert [len(looks.listing(tx, each.id)) for each in house.listing()] == [4] * FLEET
        assert len(looks.chart(tx, "w-s00", "orders").times) > 30
    assert not house.watcher.step(START + 250, never, first=False), "each was given back, and none is due"


def test_after_a_restart_looks_append_as_before_to_what_is_there(house: House) -> None:
    for number in (1, 2, 3):
        house.watcher.step(START + 60 * number + 10, never)
    watcher, said = started(house.database, house.source), list[str]()
    event.listen(house.database._engine, "checkout", lambda connection, *_: connection.set_trace_callback(said.append))
    watcher.step(START + 250, never)
    assert house.looked() == [4] * FLEET
    assert [count for count, _ in house.source.asked[-1:]] == [FLEET]
    said = [one for one in said if not one.startswith(("begin", "COMMIT", "ROLLBACK"))]
    assert not [one for one in said if one.startswith("DELETE")], "nothing that is there has to give way"
    read_once = 3 * FLEET  # the calibration, the points since the deploy, the newest look
    assert len(said) <= read_once + 4 * FLEET + 6, "\n".join(said)


def test_looks_that_fall_due_together_share_a_commit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.watcher.step(START + 70, never)
    monkeypatch.setattr(watch_module, "_COMPANY", 60.0)  # however slow the machine is
    commits: list[None] = []
    event.listen(house.database._engine, "commit", lambda _connection: commits.append(None))
    house.watcher.step(START + 190, never)
    claimed, written = 1, 2  # each watch had two looks to make
    assert len(commits) == claimed + written
    assert house.looked() == [3] * FLEET


def test_a_lost_lease_is_one_watchs_own(house: House) -> None:
    house.watcher.step(START + 70, never)
    house.source.told = lambda: taken_over(house.database, "w-s03")
    house.watcher.step(START + 130, never)
    assert house.looked() == [2, 2, 2, 1, 2, 2]


def test_a_look_that_cannot_be_written_does_not_undo_the_others(house: House) -> None:
    house.watcher.step(START + 70, never)
    with house.database.write() as tx:  # what the look is about to write is there already
        tx.execute(text("update looks set at = at + 60 where watch_id = 'w-s02'"))
    with pytest.raises(IntegrityError):
        house.watcher.step(START + 130, never)
    assert house.looked() == [2, 2, 1, 2, 2, 2]
    assert {each.next_look_at for each in house.listing()} == {START + 180, START + 190}


def test_a_decision_among_quiet_looks_is_written_with_its_order(house: House) -> None:
    house.source.bad = frozenset({"s04"})
    for minute in range(1, 9):
        house.watcher.step(START + 60 * minute + 10, never)
    assert house.looked()[:4] == [8] * 4
    assert [each.outcome for each in house.listing()] == [None] * 4 + [Outcome.REGRESSED, None]
    with house.database.read() as tx:
        assert [orders.rollback_of(tx, each.id) is not None for each in house.listing()] == [False] * 4 + [True, False]


def test_the_band_of_later_points_is_made_for_whoever_looks_and_kept_at_the_end(house: House) -> None:
    for minute in range(1, 33):
        house.watcher.step(START + 60 * minute + 10, never)
        if minute == 20:
            (some, *_) = house.listing()
            with house.database.read() as tx:
                stored = looks.chart(tx, some.id, "orders")
                shown = Bands()(tx, some, "orders", stored)
            assert np.isnan(stored.expected[stored.times > START + 70]).all()
            assert np.isfinite(shown.expected).all()
    assert {each.state for each in house.listing()} == {WatchState.DONE}
    with house.database.read() as tx:
        kept = looks.chart(tx, some.id, "orders")
    assert np.isfinite(kept.expected).all()
    assert kept.high[: len(shown.high)].tolist() == shown.high.tolist()


def test_first_looks_and_later_ones_have_their_own_workers(house: House) -> None:
    assert not house.watcher.step(START + 70, never, first=False)
    assert house.watcher.step(START + 70, never, first=True)
    assert set(house.states()) == {WatchState.WATCHING}
    assert not house.watcher.step(START + 130, never, first=True)
    assert house.watcher.step(START + 130, never, first=False)


def test_a_bug_in_a_question_is_loud_once_and_pushes_its_watches_forward(house: House) -> None:
    house.watcher.step(START + 70, never)
    house.source.poisoned = frozenset({"s03"})
    with pytest.raises(ZeroDivisionError):
        house.watcher.step(START + 130, never)
    assert {each.next_look_at for each in house.listing()} == {START + 190}
    house.source.poisoned = frozenset()
    house.watcher.step(START + 200, never)
    assert {each.last_look_at for each in house.listing()} == {START + 190}


def test_told_to_stop_it_writes_what_it_has_and_gives_the_rest_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_COMPANY", 60.0)
    asked = 0

    def after_three() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1 + 3  # once at the beginning, then before each watch

    house.watcher.step(START + 70, after_three)
    assert house.states().count(WatchState.WATCHING) == 3
    house.watcher.step(START + 70, never)
    assert house.states() == [WatchState.WATCHING] * FLEET


@pytest.mark.parametrize("down", [False, True])
def test_another_process_that_looked_meanwhile_is_not_overlooked(house: House, down: bool) -> None:
    """Nor is it forgotten again by a look for which the source was `down`."""
    house.watcher.step(START + 70, never)
    house.watcher.step(START + 130, never)
    gather = Gather(house.database, {"prom": house.source}, lambda *_: None)
    other = Watcher(
        house.database, gather, Patient(house.database, "b"), Metrics("test"), "http://watcher", structlog.get_logger()
    )
    other.step(START + 190, never)
    house.source.down = down
    house.watcher.step(START + 250, never)
    house.source.down = False
    house.watcher.step(START + 310, never)
    with house.database.read() as tx:
        for each in house.listing():
            assert len(looks.listing(tx, each.id)) == 5
            times = looks.chart(tx, each.id, "orders").times
            assert (np.diff(times) == STEP).all()
