"""Keeps the leases of what this process works on: a slow source does not lose them, a dead process does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from watcher.store import memory, orders, watches
from watcher.store.database import Database

LEASE_SECONDS = 15.0  # a dead process's work is taken over after this
RENEW_SECONDS = 4.0


class Keeper:
    """The leases of one process; `owner` is its name in the store."""

    lease_seconds = LEASE_SECONDS

    def __init__(self, database: Database, owner: str) -> None:
        self.owner = owner
        self._database = database
        self._watches: set[str] = set()
        self._orders: set[str] = set()
        self._lock = Lock()

    @contextmanager
    def keeping_watch(self, watch_id: str) -> Iterator[None]:
        """The watch's lease is renewed while the block runs."""
        with self._keeping(self._watches, watch_id):
            yield

    @contextmanager
    def keeping_order(self, order_id: str) -> Iterator[None]:
        """The order's lease is renewed while the block runs."""
        with self._keeping(self._orders, order_id):
            yield

    def step(self, _now: float) -> bool:
        """Prolongs every lease in use; a loop calls it every `RENEW_SECONDS`."""
        with self._lock:
            held_watches, held_orders = list(self._watches), list(self._orders)
        if not held_watches and not held_orders:
            return False
        with self._database.write() as tx:
            watches.renew(tx, self.owner, held_watches, LEASE_SECONDS)
            orders.renew(tx, self.owner, held_orders, LEASE_SECONDS)
        return False

    def let_go(self) -> None:
        """Ends the named leases of this process, so that another takes over at once."""
        with self._database.write() as tx:
            memory.let_go(tx, self.owner)

    @contextmanager
    def _keeping(self, held: set[str], row_id: str) -> Iterator[None]:
        with self._lock:
            held.add(row_id)
        try:
            yield
        finally:
            with self._lock:
                held.discard(row_id)
