"""Keeps the leases of what this process works on: a slow source does not lose them, a dead process does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, current_thread
from typing import TypeVar

from watcher.kit import clock
from watcher.store import claims, memory, orders
from watcher.store.database import Database
from watcher.store.memory import Held

LEASE_SECONDS = 10.0  # a dead process's work is taken over after this and one poll: within 15 s
RENEW_SECONDS = 2.5
_HUNG_SECONDS = 300.0  # a look that has not ended after this is left to another; an order ends by its own limits
_LONGEST_CALL = 3900.0  # a command may be allowed an hour

Key = TypeVar("Key")
# What is in use and since when, in monotonic seconds, by whoever uses it: a watch that one worker has given back may be
# another's again before the first has ended with the rest of what it took.
_Kept = dict[object, tuple[Key, float]]


class Keeper:
    """The leases of one process; `owner` is its name in the store."""

    lease_seconds = LEASE_SECONDS

    def __init__(self, database: Database, owner: str, beat: Callable[[str], None] = lambda _loop: None) -> None:
        """`beat` is told of every loop that carries out an order: calls have limits of their own, beyond a loop's."""
        self.owner = owner
        self._beat = beat
        self._calling: _Kept[str] = {}
        self._database = database
        self._watches: _Kept[str] = {}
        self._orders: _Kept[str] = {}
        self._named: _Kept[Held] = {}
        self._lock = Lock()
        self._renewed = clock.monotonic()

    @contextmanager
    def keeping_watch(self, watch_id: str) -> Iterator[None]:
        """The watch's lease is renewed while the block runs, unless it hangs."""
        with self._keeping(self._watches, watch_id):
            yield

    @contextmanager
    def keeping_order(self, order_id: str) -> Iterator[None]:
        """The order's lease is renewed while the block runs."""
        with self._keeping(self._orders, order_id), self._keeping(self._calling, current_thread().name):
            yield

    def hold(self, name: str) -> Held | None:
        """Takes or renews the lease `name`; None while another process holds it."""
        with self._database.write(alone=False) as tx:
            return memory.hold(tx, name, self.owner, LEASE_SECONDS)

    @contextmanager
    def keeping(self, held: Held) -> Iterator[None]:
        """The named lease is renewed while the block runs, unless it hangs; what the block writes needs it."""
        with self._keeping(self._named, held), memory.under(held):
            yield

    def step(self, _now: float) -> bool:
        """Prolongs every lease in use; a loop calls it every `RENEW_SECONDS`."""
        limit = clock.monotonic() - _HUNG_SECONDS
        with self._lock:
            held_watches = {watch_id for watch_id, since in self._watches.values() if since > limit}
            named = {held for held, since in self._named.values() if since > limit}
            held_orders = {order_id for order_id, _ in self._orders.values()}
            calling = [loop for loop, since in self._calling.values() if since > clock.monotonic() - _LONGEST_CALL]
        for loop in calling:
            self._beat(loop)
        if held_watches or held_orders or named:
            with self._database.write(alone=False) as tx:
                claims.renew(tx, self.owner, held_watches, LEASE_SECONDS)
                orders.renew(tx, self.owner, held_orders, LEASE_SECONDS)
                for held in named:
                    memory.renew(tx, held, LEASE_SECONDS)
        self._renewed = clock.monotonic()
        return False

    def since_renewal(self) -> float:
        """Seconds since the leases were renewed, or there were none to renew."""
        return clock.monotonic() - self._renewed

    def let_go(self) -> None:
        """Ends the named leases of this process, so that another takes over at once."""
        with self._database.write(alone=False) as tx:
            memory.let_go(tx, self.owner)

    @contextmanager
    def _keeping(self, kept: _Kept[Key], key: Key) -> Iterator[None]:
        mine = object()
        with self._lock:
            kept[mine] = key, clock.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del kept[mine]
