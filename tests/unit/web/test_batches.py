"""Requests that write at once: few commits, each its own end, whoever has gone meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import event
from support.made import deploy
from support.seeded_store import Seeded

from watcher.store import deploys
from watcher.store.database import Tx
from watcher.web.batches import Batches


def test_those_who_come_while_one_is_being_written_share_the_next_commit(seeded: Seeded) -> None:
    busy, commits = threading.Event(), list[None]()
    event.listen(seeded.database._engine, "commit", lambda _connection: commits.append(None))

    def first(_tx: Tx) -> str:
        busy.wait(5)
        return "first"

    async def run() -> list[str]:
        batches = Batches(seeded.database)
        tasks = [asyncio.create_task(batches.run(first))]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(batches.run(_put(number))) for number in range(20)]
        await asyncio.sleep(0.05)
        busy.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == ["first", *(f"n-{number}" for number in range(20))]
    assert len(commits) == 2
    with seeded.database.read() as tx:
        assert {f"n-{number}" for number in range(20)} <= {one.identity for one in deploys.recent(tx, 100)}


def test_each_has_its_own_end_and_one_who_has_gone_stops_nobody(seeded: Seeded) -> None:
    def fail(_tx: Tx) -> str:
        raise ValueError("broken")

    async def run() -> None:
        batches = Batches(seeded.database)
        gone, broken = asyncio.create_task(batches.run(_put(1))), asyncio.create_task(batches.run(fail))
        await asyncio.sleep(0)
        gone.cancel()
        assert await batches.run(_put(2)) == "n-2"
        with pytest.raises(ValueError, match="broken"):
            await broken
        assert await batches.run(_put(3)) == "n-3", "it goes on after a failure"

    asyncio.run(run())
    with seeded.database.read() as tx:
        kept = {one.identity for one in deploys.recent(tx, 100)}
    assert {"n-1", "n-2", "n-3"} <= kept


def _put(number: int) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        deploys.put(tx, deploy(id=f"d-{number}", identity=f"n-{number}"))
        return f"n-{number}"

    return work
