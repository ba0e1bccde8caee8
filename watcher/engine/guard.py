"""Stands between the engine and each source: a budget, a circuit breaker, and what is told of how the source fares.

A source that misbehaves must cost neither its other watchers nor the other sources anything, and must never be mistaken
for a deploy that does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from watcher.errors import ExternalError, Fault, WatcherError
from watcher.kit import clock
from watcher.kit.breaker import Breaker, State
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.ports import Collects, FetchesMany, Http, HttpResponse, MetricSource
from watcher.store import budgets
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

T = TypeVar("T")

# The source itself is well: the question was wrong, or was never put.
_OF_THE_QUESTION = frozenset({Fault.QUERY, Fault.TOO_LARGE, Fault.OVER_BUDGET, Fault.FORBIDDEN_ADDRESS, Fault.INTERNAL})
# Nothing else need be asked of this source at this look.
DOWN = frozenset(
    {
        *(Fault.CONNECTION, Fault.TIMEOUT, Fault.TLS, Fault.UNAUTHORIZED, Fault.RATE_LIMITED),
        *(Fault.CLOCK_OFF, Fault.OVER_BUDGET, Fault.CIRCUIT_OPEN),
    }
)

_LATELY = 900.0  # seconds after which a failure no longer says how a source fares


class Guard:
    """One source as this process meets it; safe to use from several threads."""

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        log: Any,
        monotonic: Callable[[], float] = clock.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
    ) -> None:
        self.name = name
        self._metrics = metrics
        self._log = log
        self._monotonic = monotonic
        self._breaker = Breaker(jitter)
        self._state = State.CLOSED
        self._blind_since: float | None = None
        self._down_since: float | None = None
        self._said = ""
        metrics.source_blind.labels(name)
        self._show()

    def ask(self, question: Callable[[], T]) -> T:
        """What `question` answers.

        Raises:
            ExternalError: the source's own, or `circuit_open` without asking it.
        """
        wait = self._breaker.admit(self._monotonic())
        if wait > 0:
            error = ExternalError(
                f"not asked for another {wait:.0f} s: {self._said}",
                fault=Fault.CIRCUIT_OPEN,
                permanent=False,
                sent=False,
                retry_after=wait,
            )
            self._failed(error)
            raise error
        try:
            answer = question()
        except ExternalError as error:
            if error.fault in _OF_THE_QUESTION:
                self._breaker.succeeded()
            else:
                self._said = str(error)
                self._breaker.failed(self._monotonic(), error.retry_after)
            self._failed(error)
            raise
        except WatcherError:  # our own store or lease: nothing is known of the source
            self._breaker.abandoned()
            raise
        except BaseException:
            self._breaker.failed(self._monotonic(), None)
            raise
        self._succeeded()
        return answer

    def down_for(self) -> float:
        """For how many seconds it has not answered; 0 if it does, or nobody has asked it lately."""
        first, last = self._down_since, self._blind_since
        if first is None or last is None or self._monotonic() - last > _LATELY:
            return 0.0
        return self._monotonic() - first

    def count(self, error: ExternalError) -> None:
        """Counts an error that says nothing of the source's health."""
        self._metrics.source_errors.labels(self.name, error.fault.value).inc()

    def _failed(self, error: ExternalError) -> None:
        self.count(error)
        if error.fault not in _OF_THE_QUESTION - {Fault.OVER_BUDGET}:
            self._metrics.source_up.labels(self.name).set(0)
            self._count_blind(ended=False)
        self._show(str(error))

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._metrics.source_up.labels(self.name).set(1)
        self._metrics.source_success.labels(self.name).set(clock.now())
        self._count_blind(ended=True)
        self._show()

    def _count_blind(self, *, ended: bool) -> None:
        now = self._monotonic()
        if self._blind_since is not None:
            self._metrics.source_blind.labels(self.name).inc(max(now - self._blind_since, 0.0))
        self._down_since = None if ended else self._down_since if self._down_since is not None else now
        self._blind_since = None if ended else now

    def _show(self, error: str = "") -> None:
        state = self._breaker.state(self._monotonic())
        for each in State:
            self._metrics.source_breaker.labels(self.name, each.value).set(each is state)
        before, self._state = self._state, state
        if state is State.OPEN and before is State.CLOSED:
            self._log.warning("source_circuit_opened", source=self.name, error=error)
        if state is State.CLOSED and before is not State.CLOSED:
            self._log.info("source_circuit_closed", source=self.name)


class Door:
    """The way out of one source: no request beyond the budget that all replicas share."""

    def __init__(self, http: Http, database: Database, name: str, most: int) -> None:
        self._http = http
        self._database = database
        self._name = name
        self._most = most

    def request(self, method: str, url: str, **more: Any) -> HttpResponse:
        with self._database.write(alone=False) as tx:
            wait = budgets.take(tx, self._name, self._most)
        if wait > 0:
            raise ExternalError(
                f"asked as often as `requests_per_minute` allows; again in {wait:.0f} s",
                fault=Fault.OVER_BUDGET,
                permanent=False,
                sent=False,
                retry_after=wait,
            )
        return self._http.request(method, url, **more)


class Remembering:
    """A source that answers from what it has collected; only the collecting is guarded."""

    def __init__(self, source: MetricSource, guard: Guard) -> None:
        self._source = source
        self._guard = guard

    def fetch(self, signal: Signal, window: Window) -> Series:
        try:
            return self._source.fetch(signal, window)
        except ExternalError as error:
            self._guard.count(error)
            raise


class Guarded:
    """A source behind its guard."""

    def __init__(self, source: MetricSource, guard: Guard) -> None:
        self._source = source
        self._guard = guard

    def fetch(self, signal: Signal, window: Window) -> Series:
        return self._guard.ask(lambda: self._source.fetch(signal, window))


class GuardedMany(Guarded):
    """A source behind its guard that can measure several signals with one question."""

    def __init__(self, source: FetchesMany, guard: Guard) -> None:
        super().__init__(source, guard)  # type: ignore[arg-type]  # every source fetches
        self._many = source

    def kin(self, signal: Signal) -> Hashable | None:
        return self._many.kin(signal)

    def fetch_all(self, signals: Sequence[Signal], window: Window) -> Sequence[Series | ExternalError]:
        found = self._guard.ask(lambda: self._many.fetch_all(signals, window))
        for one in found:
            if isinstance(one, ExternalError):
                self._guard.count(one)
        return found


def guarded(sources: Mapping[str, MetricSource], guards: Mapping[str, Guard]) -> Mapping[str, MetricSource]:
    """Every source behind the guard of its name."""
    return {name: _guarded(source, guards[name]) for name, source in sources.items()}


def _guarded(source: MetricSource, guard: Guard) -> MetricSource:
    if isinstance(source, Collects):
        return Remembering(source, guard)
    return GuardedMany(source, guard) if isinstance(source, FetchesMany) else Guarded(source, guard)
