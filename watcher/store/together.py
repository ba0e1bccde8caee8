"""Group commit: many small writes in one transaction, each of which returns only once that transaction is durable.

A durable commit costs one flush of the disk, however much is in it. While one flush goes on, others queue up; the next
transaction takes all of them. See D. DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from watcher.errors import StoreUnavailableError
from watcher.kit import clock

T = TypeVar("T")

_MOST = 64  # a transaction
_PATIENCE = 3.0  # seconds in which a lost connection is tried again
_PAUSE = 0.2


class Together:
    """`write` opens a transaction of the store; safe to use from several threads."""

    def __init__(self, write: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._write = write
        self._waiting: deque[_Job[Any]] = deque()
        self._turn = Lock()

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once what it wrote is durable.

        `work` may be run again from the start, also after a transaction whose end is not known, and shares its
        transaction with others': what it writes must be the same when it is done twice, and it must not end the
        transaction.

        Raises:
            StoreUnavailableError: nothing is known to be stored.
        """
        job = _Job(work)
        self._waiting.append(job)
        with self._turn:  # whoever is first works for all that wait
            while not job.done:
                self._commit([self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))])
        return job.outcome()

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        deadline = clock.monotonic() + _PATIENCE
        while True:
            try:
                with self._write() as tx:
                    results = [job.work(tx) for job in jobs]
            except StoreUnavailableError as error:
                if not error.permanent and clock.monotonic() < deadline:
                    clock.wait(Event(), _PAUSE)
                    continue
                for job in jobs:
                    job.fail(StoreUnavailableError(str(error), permanent=error.permanent))
            except Exception as error:  # noqa: BLE001  # it is raised where its work was asked for
                if len(jobs) == 1:
                    jobs[0].fail(error)
                    return
                for job in jobs:  # one that fails must not undo the others
                    self._commit([job])
            else:
                for job, result in zip(jobs, results, strict=True):
                    job.succeed(result)
            return


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.done = False
        self._result: Any = None
        self._error: Exception | None = None

    def succeed(self, result: T) -> None:
        self._result, self.done = result, True

    def fail(self, error: Exception) -> None:
        self._error, self.done = error, True

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result
