"""A rehearsal from the sources to the store: what the store knows of the past is kept out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.made import deploy, service, signal, watch
from support.made_history import END, STEP, counts
from support.sqlite_store import sqlite_store

from watcher.engine.rehearsing import rehearse_service
from watcher.model.decision import Outcome
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, watches
from watcher.store.database import Database

DAY, HOUR = 86400.0, 3600.0
POLICY = service(signals=(signal("orders", kind=Kind.COUNT),), window=1800.0, step=STEP, history=2 * DAY)


@dataclass(frozen=True)
class Past:
    """A source that has one history."""

    series: Series

    def fetch(self, _signal: Signal, window: Window) -> Series:
        return self.series.between(window.start, window.end)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(sqlite_store(tmp_path)) as store:
        yield store


def past(number: int, opened: float, ended: float, outcome: Outcome) -> Watch:
    return watch(
        id=f"w-{number}",
        deploy_id=f"d-{number}",
        policy=POLICY,
        created_at=opened,
        started_at=opened,
        ended_at=ended,
        state=WatchState.DONE,
        outcome=outcome,
    )


def keep(database: Database, *made: Watch) -> None:
    with database.write() as tx:
        for one in made:
            deploys.put(tx, deploy(id=one.deploy_id, identity=one.deploy_id))
            watches.open_watch(tx, one)


def test_harm_of_long_ago_is_no_quiet_past_however_many_deploys_came_since(database: Database) -> None:
    """A service that is deployed every few minutes, several times at once, has had many watches since."""
    bad = END - DAY
    keep(database, past(0, bad, END - 2 * HOUR, Outcome.REGRESSED))
    keep(database, *(past(number, END - HOUR - number // 3, END, Outcome.HEALTHY) for number in range(1, 450)))
    made = rehearse_service(database, {"prom": Past(counts(2, 200.0))}, POLICY, END, placebos=8)
    starts = {each.start for each in made.judged}
    assert starts == {END - 0.5 * HOUR * number for number in range(1, 5)}
