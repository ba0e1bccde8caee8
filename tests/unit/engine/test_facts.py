"""Who else deployed, as a look at one watch of a batch must know it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event
from support.made import NOW, deploy, service, watch
from support.sqlite_store import sqlite_store

from watcher.engine.facts import NEARBY, Surroundings
from watcher.store import deploys


def test_those_of_the_same_environment_and_time_are_near_oldest_first(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    ours, later = watch(), watch(id="w-2", deploy_id="d-2", started_at=NOW + 3600)

    def put(name: str, at: float, **more: object) -> None:
        with database.write() as tx:
            deploys.put(tx, deploy(id=f"d-{name}", identity=name, version=name, started_at=NOW + at, **more))

    put("1", 0)
    put("search", -100, services=("search", "index"))
    put("staging", -50, environment="staging")
    put("older", 1 - NEARBY)
    put("too-old", -1 - NEARBY)
    put("nobody", 10, services=(), attributes={"repository": "acme/tools"})
    put("own", 20)
    around = Surroundings(database, [ours, later])
    found = [(near.service, near.version) for near in around.of(ours, fresh=False)]
    others = [("search", "search"), ("index", "search"), ("acme/tools", "nobody")]
    assert found == [("checkout", "older"), *others, ("checkout", "own")]
    later_sees = [near.version for near in around.of(later, fresh=False)]
    assert later_sees == ["search", "search", "1", "nobody", "own"]
    database.close()


def test_those_that_cannot_harm_it_are_left_out(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    with database.write() as tx:
        for name in ("checkout", "search", "index"):
            deploys.put(tx, deploy(id=f"d-{name}", identity=name, services=(name, "web"), started_at=NOW))
        unknown = {"services": (), "attributes": {"repository": "acme/tools"}}
        deploys.put(tx, deploy(id="d-tools", identity="tools", started_at=NOW, **unknown))
    ours = watch(policy=service(depends_on=("index", "acme/tools")))
    found = [near.service for near in Surroundings(database, [ours]).of(ours, fresh=False)]
    assert found == ["checkout", "index", "acme/tools"]
    database.close()


def test_a_batch_reads_them_once_but_for_harm_that_is_certain(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    read: list[None] = []
    event.listen(database._engine, "begin", lambda _connection: read.append(None))
    around = Surroundings(database, [watch()])
    assert [around.of(watch(), fresh=False) for _ in range(3)] == [()] * 3
    assert len(read) == 1
    with database.write() as tx:
        deploys.put(tx, deploy(id="d-9", identity="9"))
    assert len(around.of(watch(), fresh=True)) == 1
    database.close()
