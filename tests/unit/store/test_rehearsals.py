from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.made_rehearsal import rehearsal
from support.sqlite_store import sqlite_store

from watcher.store import rehearsals


def test_the_newest_of_each_service_comes_back_whole(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    old, new, other = rehearsal(made_at=1.0), rehearsal(made_at=2.0), rehearsal(service="search", made_at=1.5)
    with database.write() as tx:
        for each in (new, old, other):
            rehearsals.add(tx, each)
    with database.read() as tx:
        assert rehearsals.latest(tx, "checkout") == new
        assert rehearsals.latest(tx, "basket") is None
        assert rehearsals.latest_of_all(tx) == {"checkout": new, "search": other}
    database.close()


def test_one_of_an_older_version_is_read_and_pooled_with_none(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    new = ("policy", "judged", "pooled")
    old = {key: value for key, value in asdict(rehearsal()).items() if key not in new}
    for signal in old["signals"]:
        del signal["shapes"], signal["basis"]
    with database.write() as tx:
        rehearsals.add(tx, rehearsal())
        tx.exec_driver_sql("update rehearsals set data = ?", (json.dumps(old),))
    with database.read() as tx:
        (found,) = rehearsals.recent(tx, "checkout")
    assert found == replace(
        rehearsal(), signals=tuple(replace(each, shapes=(), basis="") for each in rehearsal().signals)
    )
    assert (found.judged, found.known_false) == ((), found.false_calls)
    database.close()


@pytest.mark.parametrize("count", [3, 40])
def test_only_the_newest_few_are_kept(tmp_path: Path, count: int) -> None:
    database = sqlite_store(tmp_path)
    with database.write() as tx:
        for number in range(count):
            rehearsals.add(tx, rehearsal(made_at=float(number)))
            rehearsals.add(tx, replace(rehearsal(made_at=float(number)), cost=9.0))
    with database.read() as tx:
        kept = tx.exec_driver_sql("select made_at from rehearsals order by made_at").scalars().all()
        found = rehearsals.latest(tx, "checkout")
    assert kept == [float(number) for number in range(max(count - 30, 0), count)]
    assert found is not None
    assert found.cost == 9.0
    database.close()
