"""Group commit: many small writes in one transaction, none of which is done before that transaction is durable.

A durable commit costs one flush of the disk, however much is in it. See D. DeWitt et al., "Implementation Techniques
for Main Memory Database Systems", 1984.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import Any

from sqlalchemy import Connection

from watcher.errors import StoreUnavailableError
from watcher.kit import clock

Work = Callable[[Connection], Any]

_PATIENCE = 3.0  # seconds in which a lost connection is tried again
_PAUSE = 0.2


def together(write: Callable[[], AbstractContextManager[Connection]], works: Sequence[Work]) -> list[Any]:
    """What each of `works` returned, or the exception that it raised, once what they wrote is durable.

    `write` opens a transaction. Work may be run again from the start, also after a transaction whose end is not known,
    and shares its transaction with others': what it writes must be the same when it is done twice, and it must not end
    the transaction. Where nothing is known to be stored, that is a `StoreUnavailableError`.
    """
    deadline = clock.monotonic() + _PATIENCE
    while True:
        try:
            with write() as tx:
                return [work(tx) for work in works]
        except StoreUnavailableError as error:
            if error.permanent or clock.monotonic() >= deadline:
                return [StoreUnavailableError(str(error), permanent=error.permanent) for _ in works]
            clock.wait(Event(), _PAUSE)
        except Exception as error:  # noqa: BLE001  # it is raised where its work was asked for
            if len(works) == 1:
                return [error]
            return [together(write, [work])[0] for work in works]  # one that fails must not undo the others
