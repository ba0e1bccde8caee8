"""How much one client may ask of us, and how often it may be wrong about a secret; in a table that cannot grow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

from watcher.errors import UnauthenticatedError

_MOST_CLIENTS = 10_000  # about 3 MB; who was not heard of for longest is forgotten first


@dataclass(frozen=True, slots=True)
class Rates:
    """What a client may do in a minute, all at once or spread over it.

    Attributes:
        requests: of any kind.
        failures: proofs that were wrong: a token, a signature, a sign-in.
    """

    requests: int = 30_000
    failures: int = 30


@dataclass(slots=True)
class _Bucket:
    """Token buckets: each fills evenly in a minute. `at` is when they were last filled, monotonic seconds."""

    requests: float
    failures: float
    at: float
    told: bool = False


class TooManyFailuresError(Exception):
    """A proof is not looked at; `seconds` until the next one would be."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:.0f} s")
        self.seconds = seconds


class Limiter:
    """Counts by client; safe to use from several threads. `rates` may be changed at any time."""

    def __init__(self, rates: Rates, most_clients: int = _MOST_CLIENTS) -> None:
        self.rates = rates
        self._most = most_clients
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, client: str, now: float, *, proves: bool) -> float:
        """Counts a request; seconds until it may be made, 0 if it may be made now.

        `proves`: it carries a secret, which is not even looked at after too many wrong ones.
        """
        with self._lock:
            bucket = self._bucket(client, now)
            missing = 1 - bucket.requests
            rate = self.rates.requests
            if proves and bucket.failures < 1:
                missing, rate = 1 - bucket.failures, self.rates.failures
            if missing > 0:
                return missing * 60 / rate
            bucket.requests -= 1
            bucket.told = False
            return 0.0

    @contextmanager
    def proving(self, client: str, now: float) -> Iterator[None]:
        """Around the moment in which a proof is looked at. An `UnauthenticatedError` from within counts as a wrong one.

        One proof at a time, whoever's: of any number that come at once none is looked at before the last was counted.

        Raises:
            TooManyFailuresError: it was not looked at, as too many were wrong.
        """
        with self._lock:
            bucket = self._bucket(client, now)
            if bucket.failures < 1:
                raise TooManyFailuresError((1 - bucket.failures) * 60 / self.rates.failures)
            try:
                yield
            except UnauthenticatedError:
                bucket.failures -= 1
                raise

    def first_refusal(self, client: str, now: float) -> bool:
        """Whether the client's last request was not refused yet: what is to be logged once."""
        with self._lock:
            bucket = self._bucket(client, now)
            first = not bucket.told
            bucket.told = True
            return first

    def _bucket(self, client: str, now: float) -> _Bucket:
        bucket = self._buckets.get(client)
        if bucket is None:
            while len(self._buckets) >= self._most:
                self._buckets.popitem(last=False)
            bucket = self._buckets[client] = _Bucket(self.rates.requests, self.rates.failures, now)
        self._buckets.move_to_end(client)
        passed = max(now - bucket.at, 0.0) / 60
        bucket.requests = min(bucket.requests + passed * self.rates.requests, self.rates.requests)
        bucket.failures = min(bucket.failures + passed * self.rates.failures, self.rates.failures)
        bucket.at = now
        return bucket
