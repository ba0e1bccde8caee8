"""The true daemon, which ends itself by SIGKILL at a point of its path: `python -m support.crashing POINT run ...`.

A point is a side of a commit and what that transaction writes, such as `before:decision`. The product knows nothing of
it: statements and commits are watched from outside.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from watcher.__main__ import main
from watcher.store.prepared import Prepared

Statements = list[tuple[str, str]]  # text and parameters


def _wrote(*words: str) -> Any:
    """Whether one statement begins with the first and has the others among its parameters."""
    start, *parameters = words
    return lambda said: any(
        statement.lower().startswith(start) and all(repr(word) in given for word in parameters)
        for statement, given in said
    )


_LOOK, _ORDER = _wrote("insert into looks"), _wrote("insert into orders")
# What of the path a transaction is, in the order of the path.
TRANSACTIONS: dict[str, Any] = {
    "accept": _wrote("insert into deliveries"),
    "claim": lambda said: _wrote("update watches set owner")(said) and _wrote("select watches.id")(said),
    "look": lambda said: _LOOK(said) and not _ORDER(said),
    "decision": lambda said: _LOOK(said) and _ORDER(said),
    "intent": _wrote("insert into events", "rollback_attempted"),
    "settle": _wrote("insert into events", "rollback_accepted"),
    "note": _wrote("update orders set state", "sent"),
    "recovery": _wrote("insert into events", "recovered"),
}
POINTS = [f"{side}:{name}" for name in TRANSACTIONS for side in ("before", "after")]


def crash_at(point: str) -> None:
    """From now on this process ends at `point`."""
    side, _, name = point.partition(":")
    is_it = TRANSACTIONS[name]
    here = threading.local()  # each thread is in one transaction at a time

    @event.listens_for(Engine, "begin")
    def _begin(_connection: Any) -> None:
        here.said = []

    @event.listens_for(Engine, "before_cursor_execute")
    def _say(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if hasattr(here, "said"):
            here.said.append((statement, repr(parameters)))

    run = Prepared._run

    def _run(prepared: Prepared, tx: Any, compiled: Any, result: Any, given: Any) -> Any:  # past SQLAlchemy's events
        here.said.append((compiled.text, repr(given)))
        return run(prepared, tx, compiled, result, given)

    Prepared._run = _run  # type: ignore[assignment, method-assign]
    commit = DefaultDialect.do_commit

    def _commit(dialect: Any, connection: Any) -> None:
        hit = is_it(getattr(here, "said", []))
        if hit and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = _commit  # type: ignore[method-assign]


if __name__ == "__main__":
    crash_at(sys.argv.pop(1))
    main()
