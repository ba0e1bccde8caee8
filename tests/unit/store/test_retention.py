"""What is raw goes after its time; decisions, looks at which something changed, and the audit log stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs
from support.made import NOW, decision, deploy, watch
from support.orders import an_order
from support.sqlite_store import sqlite_store

from watcher.engine.housekeeping import EVERY, Housekeeper
from watcher.errors import StoreUnavailableError
from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Findings
from watcher.model.memory import Point
from watcher.model.order import RollbackState
from watcher.model.series import Series
from watcher.model.watch import WatchState
from watcher.store import deploys, looks, memory, orders, records, watches
from watcher.store.database import Database, Tx

DAY = 86400.0
RETENTION = 30 * DAY


def old_watch(database: Database, number: int, ended_at: float | None) -> str:
    """A watch that has everything a watch can have."""
    watch_id, deploy_id = f"w-{number}", f"d-{number}"
    times = np.array([NOW, NOW + 60])
    series = Series(times, times, 60.0, NOW + 60)
    state = WatchState.WATCHING if ended_at is None else WatchState.DONE
    with database.write() as tx:
        deploys.put(tx, deploy(id=deploy_id, identity=deploy_id))
        values = {"id": watch_id, "deploy_id": deploy_id, "state": state, "ended_at": ended_at}
        watches.open_watch(tx, watch(**values, outcome=Outcome.HEALTHY, reason=Reason.NO_HARM))
        watches.log(tx, watch_id, NOW, "opened", "a line")
        looks.add_points(tx, watch_id, "conversion", series, None)
        looks.keep_calibration(tx, watch_id, NOW, b"calibration")
        records.keep_provisional(tx, watch_id, NOW, b"provisional")
        records.keep_replaced(tx, watch_id, "conversion", Series(times, times * 2, 60.0, NOW + 60), NOW)
        said = decision(Outcome.HEALTHY, Reason.NO_HARM)
        looks.add(tx, looks.Look(watch_id, NOW + 60, NOW + 60, Findings(NOW, 0.0, ()), said, {}))
    return watch_id


def clean(database: Database, now: float, owner: str = "a") -> list[dict[str, object]]:
    with capture_logs() as logged:
        housekeeper = Housekeeper(database, RETENTION, 0.0, owner, structlog.get_logger())
        while housekeeper.step(now):
            pass
    return [dict(line) for line in logged]


def test_raw_points_go_after_thirty_days_and_decisions_stay(database: Database) -> None:
    now = NOW + 40 * DAY
    old = [old_watch(database, number, now - RETENTION - 1 - number) for number in range(12)]
    new = old_watch(database, 99, now - RETENTION + 60)
    running = old_watch(database, 100, None)
    (line,) = clean(database, now)
    assert (line["event"], line["points"]) == ("points_dropped", 24)
    with database.read() as tx:
        for watch_id in old:
            assert not len(looks.chart(tx, watch_id, "conversion").times)
            assert looks.calibration(tx, watch_id) is None
            assert not records.calibrations_of(tx, watch_id)
            assert not records.replaced_of(tx, watch_id, "conversion")
            kept = watches.get(tx, watch_id)
            assert kept is not None
            assert kept.outcome is Outcome.HEALTHY
            assert looks.last(tx, watch_id) is not None
            assert watches.events_of(tx, watch_id)
        for watch_id in (new, running):
            assert len(looks.chart(tx, watch_id, "conversion").times) == 2
            assert looks.calibration(tx, watch_id) is not None
    assert not clean(database, now, owner="b")  # nothing is left to do, and no other replica may just now


def test_remembered_points_and_answers_go_in_small_pieces(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcher.engine.housekeeping._POINTS", 7)
    now = NOW + 40 * DAY
    for owner in ("sources:a", "sources:b"):
        kept = memory.StoreMemory(database, owner)
        kept.append({name: [Point(NOW + step, 1.0) for step in range(20)] for name in ("x", "y")})
        kept.append({"x": [Point(now - DAY, 2.0)]})
    with database.write() as tx:
        for number in range(10):
            deploys.remember_delivery(tx, f"old-{number}", NOW, {})
        deploys.remember_delivery(tx, "new", now - DAY, {"deploy_id": "d-1"})
    (line,) = clean(database, now)
    assert (line["remembered"], line["deliveries"]) == (80, 10)
    for owner in ("sources:a", "sources:b"):
        kept = memory.StoreMemory(database, owner)
        assert list(kept.range("x", 0.0, now)) == [Point(now - DAY, 2.0)]
    with database.read() as tx:
        assert deploys.delivery(tx, "new") == {"deploy_id": "d-1"}
        assert deploys.delivery(tx, "old-1") is None


def test_one_replica_cleans_up_and_another_does_once_it_is_gone(database: Database) -> None:
    now = NOW + 40 * DAY
    old_watch(database, 1, NOW)
    assert clean(database, now, owner="a")
    old_watch(database, 2, NOW)
    assert not clean(database, now + EVERY, owner="b")
    with database.write() as tx:
        memory.let_go(tx, "a")
    assert clean(database, now + EVERY, owner="b")


def test_of_old_looks_those_stay_at_which_something_changed(database: Database) -> None:
    now = NOW + 40 * DAY
    old, young = old_watch(database, 1, now - RETENTION - 1), old_watch(database, 2, now - RETENTION + 60)
    quiet, bad, worse = (None, Reason.NO_HARM), (None, Reason.SUSPECT), (Outcome.REGRESSED, Reason.SPIKE)
    said = [*[quiet] * 5, *[bad] * 3, *[quiet] * 4, *[worse] * 6, *[(Outcome.REGRESSED, Reason.LEVEL_SHIFT)] * 2]
    with database.write() as tx:
        for watch_id in (old, young):
            for number, (outcome, reason) in enumerate(said, start=2):
                at = NOW + 60 * number
                looks.add(tx, looks.Look(watch_id, at, at, Findings(at, 0.0, ()), decision(outcome, reason, at), {}))
            kept = watches.get(tx, watch_id)
            assert kept is not None
            watches.change(tx, replace(kept, decided_at=NOW + 60 * 16))
    (line,) = clean(database, now)
    # The first (healthy, of `old_watch`), every change, the one that decided, the last.
    assert [round((at - NOW) / 60) for at in times(database, old)] == [1, 2, 7, 10, 14, 16, 20, 21]
    assert line["looks"] == 21 - 8
    assert len(times(database, young)) == 21
    assert clean(database, now + RETENTION)[0]["looks"] == 13, "each in its time"
    assert len(times(database, old)) == 8


def times(database: Database, watch_id: str) -> list[float]:
    with database.read() as tx:
        return [look.at for look in looks.listing(tx, watch_id)]


def test_old_drills_go_but_for_the_newest_of_a_service(database: Database) -> None:
    now = NOW + 40 * DAY
    ages = {"d-1": 35.0, "d-2": 33.0, "d-3": 1.0, "e-1": 39.0, "e-2": 38.0, "waits": 39.5}
    with database.write() as tx:
        for drill_id, age in ages.items():
            at = now - age * DAY
            service = "search" if drill_id.startswith("e") else "checkout"
            payload = replace(an_order(rollback_id=drill_id), dry_run=True, service=service)
            due = at if drill_id == "waits" else None
            orders.add(tx, orders.Order(drill_id, "", service, payload, RollbackState.ACCEPTED, at, at, due))
    (line,) = clean(database, now)
    assert line["drills"] == 3
    with database.read() as tx:
        assert [drill.id for drill in orders.drills(tx, "checkout")] == ["d-3", "waits"]
        assert [drill.id for drill in orders.drills(tx, "search")] == ["e-2"]


def test_much_is_cleaned_up_in_steps_that_are_short(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcher.engine.housekeeping._SLICE", 0.0)
    now = NOW + 40 * DAY
    old = [old_watch(database, number, now - RETENTION - 1 - number) for number in range(30)]
    held: list[float] = []
    with capture_logs() as logged:
        housekeeper = Housekeeper(database, RETENTION, 0.0, "a", structlog.get_logger())
        while housekeeper.step(now + len(held)):
            held.append(lease(database))
            with database.write() as tx:
                assert memory.hold(tx, "housekeeping", "b", EVERY / 2) is None
    assert len(held) > 12, "five watches a transaction, of points and of looks, and what else there is"
    assert sorted(held) == held, "the lease is prolonged by each step"
    assert held[-1] > held[0]
    (line,) = logged
    assert (line["event"], line["points"]) == ("points_dropped", 60)
    assert not any(times_of_points(database, watch_id) for watch_id in old)
    assert not housekeeper.step(now + 600), "for an hour"


def lease(database: Database) -> float:
    with database.read() as tx:
        return float(tx.exec_driver_sql("select lease_until from leases where name = 'housekeeping'").scalar_one())


def times_of_points(database: Database, watch_id: str) -> list[float]:
    with database.read() as tx:
        return list(looks.chart(tx, watch_id, "conversion").times)


class Failing(Database):
    """Its third transaction that writes fails, as when the database is restarted."""

    writes = 0

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[Tx]:
        self.writes += 1
        if self.writes == 3:
            raise StoreUnavailableError("the store failed: gone")
        with super().write(alone=alone) as tx:
            yield tx


def test_a_store_that_was_away_for_a_moment_is_cleaned_up_at_once_after_it(tmp_path: Path) -> None:
    now = NOW + 40 * DAY
    with closing(sqlite_store(tmp_path)) as database:
        old = [old_watch(database, number, now - RETENTION - 1 - number) for number in range(12)]
        with closing(Failing(database.url)) as failing:
            housekeeper = Housekeeper(failing, RETENTION, 0.0, "a", structlog.get_logger())
            with pytest.raises(StoreUnavailableError):
                housekeeper.step(now)
            while housekeeper.step(now + 2.0):
                pass
        assert not any(times_of_points(database, watch_id) for watch_id in old)
