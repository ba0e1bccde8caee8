"""Hears of changes in the store: polled about once a second, only while somebody listens, once for all who do."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from threading import Event

from starlette.concurrency import run_in_threadpool

from watcher.errors import StoreUnavailableError
from watcher.kit import clock
from watcher.store import deploys, looks, orders, watches
from watcher.store.database import Database, Tx

_POLL_SECONDS = 1.0
_FRESH_SECONDS = 0.8  # a reading that young serves the next listener too
_KEPT = 256
_LISTED = 60  # a little more than the first page shows


@dataclass(slots=True)
class _Reading:
    revision: str = ""
    at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Live:
    """Revisions of what is shown: a text that changes when it does. One instance an application, in its event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readings: dict[str, _Reading] = {}
        self.stopping = Event()
        self.listeners = 0

    async def revision(self, watch_id: str = "") -> str:
        """Of one watch, or of the list of all."""
        if len(self._readings) > _KEPT:
            self._readings.clear()
        reading = self._readings.setdefault(watch_id, _Reading())
        async with reading.lock:
            if clock.monotonic() - reading.at > _FRESH_SECONDS:
                read = self._read_watch if watch_id else self._read_list
                reading.revision = await run_in_threadpool(read, watch_id)
                reading.at = clock.monotonic()
            return reading.revision

    async def changes(self, watch_id: str, seconds: float) -> AsyncIterator[str | None]:
        """The revision now, then each new one, and None about once a second while nothing changes; for `seconds`."""
        end = clock.monotonic() + seconds
        last = None
        self.listeners += 1
        try:
            while not self.stopping.is_set():
                try:
                    revision = await self.revision(watch_id)
                except StoreUnavailableError:  # its return is a change, or none: the listener stays
                    revision = last or ""
                yield None if revision == last else revision
                last = revision
                left = end - clock.monotonic()
                if left <= 0:
                    return
                await asyncio.sleep(min(_POLL_SECONDS, left))
        finally:
            self.listeners -= 1

    def _read_watch(self, any_id: str) -> str:
        with self._database.read() as tx:
            facts = [
                (watch, orders.rollback_of(tx, watch.id), len(watches.events_of(tx, watch.id)), _made_at(tx, watch.id))
                for watch in watches.find(tx, any_id)
            ]
        return _digest(facts)

    def _read_list(self, _nothing: str) -> str:
        with self._database.read() as tx:
            return _digest((watches.listing(tx, limit=_LISTED), deploys.recent(tx, _LISTED)))


def _made_at(tx: Tx, watch_id: str) -> float | None:
    look = looks.last(tx, watch_id)
    return look.made_at if look else None


def _digest(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
