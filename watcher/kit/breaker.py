"""A circuit breaker: what fails again and again is left alone for a while, then tried once. Pure but for its lock."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from threading import Lock

FAILURES = 5  # in a row
_SHORTEST, _LONGEST = 5.0, 60.0  # seconds until it is tried again, doubled after each trial that fails
_MOST_ASKED = 3600.0  # a longer `Retry-After` is a mistake, or a clock that is off
_TRIAL = 310.0  # a trial that has said nothing for so long is given up: no request lasts longer


class State(StrEnum):
    """Whether questions pass."""

    CLOSED = "closed"  # all of them
    HALF_OPEN = "half_open"  # one, to see whether it answers again
    OPEN = "open"  # none


class Breaker:
    """Safe to use from several threads. Times are monotonic seconds."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """`jitter` draws a factor around 1 for every wait, so that several processes do not come back together."""
        self._jitter = jitter
        self._lock = Lock()
        self._failures = 0
        self._wait = _SHORTEST
        self._until: float | None = None  # open until then
        self._trial: float | None = None  # when the one question of a half-open breaker was let through

    def admit(self, at: float) -> float:
        """0: ask, and tell what came of it; else the seconds for which nothing is asked."""
        with self._lock:
            if self._until is None:
                return 0.0
            if at < self._until:
                return self._until - at
            if self._trial is not None and at - self._trial < _TRIAL:
                return _SHORTEST
            self._trial = at
            return 0.0

    def succeeded(self) -> None:
        """It answered."""
        with self._lock:
            self._failures, self._wait = 0, _SHORTEST
            self._until = self._trial = None

    def failed(self, at: float, retry_after: float | None) -> None:
        """It did not; `retry_after`: seconds that it asked to be left alone, which opens the breaker at once."""
        with self._lock:
            self._failures += 1
            again = self._trial is not None
            if retry_after is None and self._failures < FAILURES and not again:
                return
            self._wait = min(2 * self._wait, _LONGEST) if again else self._wait
            # Never sooner than it asked for.
            asked = 0.0 if retry_after is None else min(retry_after, _MOST_ASKED) * max(self._jitter(), 1.0)
            until = at + max(self._wait * self._jitter(), asked)
            # A question that was under way when the breaker opened must not shorten the wait.
            self._until = until if again or self._until is None else max(self._until, until)
            self._trial = None

    def abandoned(self) -> None:
        """The question was not put to the end, for reasons of our own: nothing is known."""
        with self._lock:
            self._trial = None

    def state(self, at: float) -> State:
        with self._lock:
            if self._until is None:
                return State.CLOSED
            return State.OPEN if at < self._until else State.HALF_OPEN
