"""Decisions computed once more from the store, after all that may happen to a watch while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from click.testing import CliRunner
from support.history_server import configuration
from support.keeping import Patient
from support.made import deploy, service, signal, watch
from support.made_history import END, STEP, counts, ratio
from support.sqlite_store import sqlite_store

from watcher import __version__
from watcher.cli.main import cli
from watcher.detect import calibration as mathematics
from watcher.engine.gather import Gather
from watcher.engine.reproduce import Reproduction, reproduce
from watcher.engine.watch import Watcher
from watcher.errors import ExternalError, Fault
from watcher.model.decision import Outcome
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.model.watch import WatchState
from watcher.store import deploys, looks, retention, watches
from watcher.store.database import Database
from watcher.store.looks import Look
from watcher.telemetry.metrics import Metrics

WINDOW = 900.0
START = END - WINDOW


class Source:
    """Answers from made histories; `broken` signals fail, and `change` may answer otherwise than before."""

    def __init__(self) -> None:
        self.histories = {"orders": counts(1, 200.0), "conversion": ratio(1, 300.0, 0.1)}
        self.broken: set[str] = set()

    def fetch(self, signal: Signal, window: Window) -> Series:
        if signal.name in self.broken:
            raise ExternalError("no", fault=Fault.STATUS, permanent=False)
        return self.histories[signal.name].between(window.start, window.end)


class House:
    def __init__(self, database: Database) -> None:
        self.database, self.source = database, Source()
        self.restart()

    def restart(self) -> None:
        gather = Gather(self.database, {"prom": self.source}, lambda *_: None)
        keeper = Patient(self.database, "a")
        self.watcher = Watcher(self.database, gather, keeper, Metrics("test"), "http://watcher", structlog.get_logger())

    def look(self, minute: int, after: float = 10.0) -> None:
        """Every look that is due `after` seconds past a minute of the window."""
        self.watcher.step(START + 60 * minute + after, lambda: False)

    def again(self) -> Reproduction:
        with self.database.read() as tx:
            found = watches.get(tx, "w-1")
        assert found is not None
        return reproduce(self.database, found)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database = sqlite_store(tmp_path)
    signals = (signal("orders", kind=Kind.COUNT), signal("conversion"))
    policy = service(signals=signals, window=WINDOW, ticket_window=WINDOW, step=STEP, history=86400.0)
    values: dict[str, Any] = {"policy": policy, "state": WatchState.SCHEDULED, "next_look_at": START + STEP}
    times = {"started_at": START, "finished_at": START, "until": END, "ticket_until": END}
    with database.write() as tx:
        deploys.put(tx, deploy(started_at=START, finished_at=START))
        watches.open_watch(tx, watch(**(values | times)))
    yield House(database)
    database.close()


def test_every_look_of_a_quiet_watch(house: House) -> None:
    for minute in (1, 2, 5, 15):
        house.look(minute)
    assert house.again() == Reproduction(15, 15)


def test_harm_and_a_restart_between_looks(house: House) -> None:
    orders = house.source.histories["orders"]
    harmed = np.where(orders.times > START, np.round(orders.values * 0.7), orders.values)
    house.source.histories["orders"] = replace(orders, values=harmed)
    house.look(1)
    house.restart()
    house.look(8)
    found = house.again()
    assert found.whole
    with house.database.read() as tx:
        assert looks.listing(tx, "w-1")[-1].decision.outcome is not None


def test_looks_by_a_provisional_calibration_and_points_that_were_replaced(house: House) -> None:
    house.source.broken = {"conversion"}
    house.look(3)
    orders = house.source.histories["orders"]
    # A process without memory reads again, and is told otherwise: a value, a point that came late, one taken back.
    values, missing = orders.values.copy(), orders.times == START + 60
    values[orders.times == START + 120] += 7
    keep = ~missing
    house.source.histories["orders"] = replace(orders, times=orders.times[keep], values=values[keep])
    house.restart()
    house.look(5)
    house.source.histories["orders"] = orders
    house.source.broken = set()
    house.restart()
    house.look(9)
    assert house.again() == Reproduction(9, 9)
    with house.database.read() as tx:
        kept = tx.exec_driver_sql("select count(distinct digest) from provisional_calibrations").scalar_one()
        replaced = tx.exec_driver_sql("select count(*) from replaced_points").scalar_one()
    assert (kept, replaced) == (1, 4)


def test_partial_answers_and_impossible_values(house: House) -> None:
    orders = house.source.histories["orders"]
    values = orders.values.copy()
    values[-12:-9] = [np.inf, np.nan, -1.0]
    house.source.histories["orders"] = replace(orders, values=values, partial=True)
    house.look(4)
    house.source.histories["orders"] = replace(orders, values=values)
    house.look(9)
    house.restart()
    house.look(15)
    assert house.again().whole


def test_a_stored_number_that_was_changed_is_found(house: House) -> None:
    house.look(6)
    with house.database.write() as tx:
        tx.exec_driver_sql("update points set value = value + 1 where signal = 'orders' and at = ?", (START + 240,))
    found = house.again()
    assert (found.looks, found.reproduced) == (6, 3)
    assert found.difference is not None
    assert "orders: " in found.difference
    assert " was " in found.difference


def test_after_retention_it_says_so(house: House) -> None:
    house.look(6)
    with house.database.write() as tx:
        retention.drop_points(tx, ["w-1"])
    found = house.again()
    assert (found.reproduced, found.difference) == (0, None)
    assert "no longer stored" in (found.obstacle or "")


def test_points_that_went_before_the_calibration_did(house: House) -> None:
    house.look(6)
    with house.database.write() as tx:
        tx.exec_driver_sql("delete from points where signal = 'orders' and at <= ?", (START + 60,))
    assert "points of orders were dropped" in (house.again().obstacle or "")


def test_another_engine_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(mathematics, "ENGINE", "engine-before/0")
        house.look(2)
    found = house.again()
    assert found.reproduced == 0
    assert "decided by engine engine-before/0" in (found.obstacle or "")


def test_an_upgrade_in_the_middle_of_a_watch_learns_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(mathematics, "ENGINE", "engine-before/0")
        house.look(4)
    house.restart()
    house.look(15)
    found = house.again()
    assert found.reproduced == 0
    assert "decided by engine engine-before/0" in (found.obstacle or "")
    with house.database.read() as tx:
        done = watches.get(tx, "w-1")
        lines = [line.text for line in watches.events_of(tx, "w-1") if line.event == "learned_again"]
        made = looks.listing(tx, "w-1")
        times = looks.chart(tx, "w-1", "orders").times
    assert done is not None
    assert done.outcome is Outcome.HEALTHY, done.sentence
    assert len(lines) == 1
    assert [look.at - START for look in made] == [60.0 * number for number in range(1, 16)]
    assert np.all(np.diff(times) == STEP)
    assert times[-1] == END


def test_a_look_without_a_record_says_so(house: House) -> None:
    house.look(2)
    with house.database.write() as tx:
        tx.exec_driver_sql("update looks set record = null")
    assert "did not record" in (house.again().obstacle or "")


def harm(house: House) -> None:
    """Orders fall by a third as the deploy begins."""
    orders = house.source.histories["orders"]
    harmed = np.where(orders.times > START, np.round(orders.values * 0.66), orders.values)
    house.source.histories["orders"] = replace(orders, values=harmed)


def last_of(house: House) -> Look:
    with house.database.read() as tx:
        found = looks.last(tx, "w-1")
    assert found is not None
    return found


def put(house: House, **changes: Any) -> None:
    """A deploy of another service."""
    values: dict[str, Any] = {"id": "d-2", "identity": "2", "version": "v9", "services": ("search",)}
    with house.database.write() as tx:
        deploys.put(tx, deploy(**(values | {"received_at": START} | changes)))


OLDER = """update looks set record = json_remove(record, '$.neighbours', '$.decided', '$.version')"""


@pytest.mark.parametrize("older", [False, True])
def test_a_neighbour_is_what_it_was_when_the_look_was_made(house: House, older: bool) -> None:
    harm(house)
    put(house, started_at=START + 20, finished_at=START + 40)
    house.look(9)
    decided = last_of(house)
    assert "search v9 was deployed 20 s after this deploy" in decided.decision.sentence
    if older:  # a version that did not record its neighbours
        with house.database.write() as tx:
            tx.exec_driver_sql(OLDER)
    assert house.again() == Reproduction(9, 9)
    # Another message moves it away, and another deploy is told of late.
    put(house, started_at=START - 3000, finished_at=START - 3000)
    put(house, id="d-3", identity="3", started_at=START, finished_at=START, received_at=START)
    with house.database.write() as tx:
        tx.exec_driver_sql("delete from deploys where id = 'd-3'" if older else "select 1")
    assert house.again().whole is not older
    with house.database.write() as tx:
        tx.exec_driver_sql("delete from deploys where id = 'd-2'")
    assert house.again().whole is not older


def test_a_look_at_no_harm_records_no_neighbours(house: House) -> None:
    put(house, started_at=START + 20, finished_at=START + 40)
    house.look(3)
    record = last_of(house).record
    assert record is not None
    assert (record.neighbours, record.decided, record.version) == ((), (), __version__)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sentence = 'All is well.'", "said 'All is well.', now "),
        ("""record = json_set(record, '$.decided', json('["conversion"]'))""", "decided by conversion, now by orders"),
        ("""record = json_set(record, '$.decided', json('[]'))""", "decided by no signal, now by orders"),
    ],
)
def test_a_stored_decision_that_was_changed_is_found(house: House, change: str, said: str) -> None:
    harm(house)
    house.look(9)
    at = last_of(house).at
    with house.database.write() as tx:
        tx.exec_driver_sql(f"update looks set {change} where at = ?", (at,))
    found = house.again()
    assert found.difference is not None
    assert said in found.difference


def test_the_words_of_another_version_may_be_others(house: House) -> None:
    harm(house)
    house.look(9)
    with house.database.write() as tx:
        tx.exec_driver_sql("update looks set sentence = 'In other words.', record = json_set(record, '$.version', '0')")
    assert house.again().whole
    with house.database.write() as tx:
        tx.exec_driver_sql(OLDER)
    assert house.again().whole


def test_the_command_says_it_in_one_line(house: House, tmp_path: Path) -> None:
    house.look(4)
    arguments = ["explain", "--replay", "--config", str(configuration(tmp_path, "http://127.0.0.1:9"))]
    done = CliRunner().invoke(cli, [*arguments, "d-1"])
    assert (done.exit_code, done.stdout) == (0, "w-1 checkout v2: every look reproduced (4), bit for bit.\n")
    with house.database.write() as tx:
        tx.exec_driver_sql("update looks set score = score + 1 where at = ?", (START + 120,))
    differs = CliRunner().invoke(cli, [*arguments, "w-1"])
    assert differs.exit_code == 5
    assert "1 of 4 looks reproduced; then the look at " in differs.stdout
    assert CliRunner().invoke(cli, [*arguments, "w-2"]).exit_code == 5
    assert CliRunner().invoke(cli, ["explain", "--replay", "w-1"]).exit_code == 2


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    config = str(configuration(tmp_path, "http://127.0.0.1:9"))
    done = CliRunner().invoke(cli, ["explain", "--replay", "--config", config, "w-1"])
    assert done.exit_code == 5
    assert done.stderr.endswith("watcher.db: there is no such store\n")
    assert not list(tmp_path.glob("*.db"))
