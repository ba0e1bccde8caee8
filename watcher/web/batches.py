"""Messages that come while one transaction is being written share the next: a thread and a flush for each batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from watcher.store.database import Database, Tx
from watcher.store.together import Work

T = TypeVar("T")

_MOST = 64  # a transaction


class Batches:
    """Writes of requests. One instance an application, in its event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Work, asyncio.Future[object]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[Tx], T]) -> T:
        """What `work` returns, once what it wrote is durable; it may be run again, as `store.together` says.

        Raises:
            StoreUnavailableError: nothing is known to be stored.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))  # type: ignore[arg-type]  # each future gets what its own work returned
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await done

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                works = [work for work, _ in batch]
                try:
                    results = await run_in_threadpool(self._database.together, works)
                except Exception as error:  # noqa: BLE001  # no thread could be had, for one: nobody waits for ever
                    results = [error] * len(batch)
                for (_, done), result in zip(batch, results, strict=True):
                    if done.done():  # whoever asked has gone
                        continue
                    if isinstance(result, Exception):
                        done.set_exception(result)
                    else:
                        done.set_result(result)
        finally:
            self._writing = None
