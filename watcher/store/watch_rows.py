"""Watches as rows: what is selected of them, and how a row becomes a watch and a watch a row."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Row, select

from watcher.model.decision import Outcome, Reason
from watcher.model.order import Hold, RollbackOrder, RollbackState
from watcher.model.service import Service
from watcher.model.watch import ENDED, Watch, WatchState
from watcher.store import codec
from watcher.store.schema import orders, spelled, watches
from watcher.store.unknown import word

ROLLBACK = spelled("rollback")
OPEN = [spelled(state.value) for state in WatchState if state not in ENDED]
_POLICIES = 10_000  # some kilobytes each; fewer than the watches under way would be read anew at every look

_rollback = orders.alias("rollback")
SELECT = select(
    watches,
    _rollback.c.id.label("rollback_id"),
    _rollback.c.state.label("rollback_state"),
    _rollback.c.payload.label("rollback_payload"),
    _rollback.c.detail.label("rollback_detail"),
    _rollback.c.held.label("rollback_held"),
).select_from(watches.outerjoin(_rollback, (_rollback.c.watch_id == watches.c.id) & (_rollback.c.kind == ROLLBACK)))


def progress(watch: Watch) -> dict[str, Any]:
    """The columns that looks change."""
    return {
        "state": watch.state.value,
        "next_look_at": watch.next_look_at,
        "last_look_at": watch.last_look_at,
        "outcome": watch.outcome.value if watch.outcome else None,
        "reason": watch.reason.value,
        "sentence": watch.sentence,
        "score": watch.score,
        "decided_at": watch.decided_at,
        "ended_at": watch.ended_at,
        "recovery_until": watch.recovery_until,
        "recovered": None if watch.recovered is None else int(watch.recovered),
        "blind_seconds": watch.blind_seconds,
        "superseded_by": watch.superseded_by,
    }


_WORDS = {"outcome": Outcome, "reason": Reason, "rollback_state": RollbackState, "rollback_held": Hold}


def to_claimed(row: Row[Any]) -> Watch:
    """A row of `SELECT`; `ValueError` if it has a word of a newer version, who alone may go on with it."""
    for column, words in _WORDS.items():
        text = getattr(row, column)
        if text is not None:
            words(text)
    return to_watch(row)


def to_watch(row: Row[Any]) -> Watch:
    """A row of `SELECT`, to be shown; what a newer version alone can name is unknown, or `ValueError`."""
    target = codec.load(RollbackOrder, row.rollback_payload).target_version if row.rollback_payload else None
    return Watch(
        id=row.id,
        deploy_id=row.deploy_id,
        service=row.service,
        environment=row.environment,
        version=row.version,
        previous_version=row.previous_version,
        policy=to_policy(row.policy),
        state=WatchState(row.state),
        started_at=row.started_at,
        finished_at=row.finished_at,
        until=row.until,
        ticket_until=row.ticket_until,
        created_at=row.created_at,
        next_look_at=row.next_look_at,
        last_look_at=row.last_look_at,
        outcome=Outcome(row.outcome) if row.outcome else None,
        reason=word(Reason, row.reason, Reason.UNKNOWN),
        sentence=row.sentence,
        score=row.score,
        decided_at=row.decided_at,
        ended_at=row.ended_at,
        rollback_id=row.rollback_id,
        rollback_state=word(RollbackState, row.rollback_state, RollbackState.UNKNOWN) if row.rollback_state else None,
        target_version=target,
        rollback_detail=row.rollback_detail or "",
        rollback_held=Hold(row.rollback_held) if row.rollback_held in list(Hold) else None,
        recovery_until=row.recovery_until,
        recovered=None if row.recovered is None else bool(row.recovered),
        blind_seconds=row.blind_seconds,
        superseded_by=row.superseded_by,
    )


@lru_cache(_POLICIES)
def to_policy(text: str) -> Service:
    """Read once: it is frozen, and the same for all watches of a service until its configuration changes."""
    return codec.load(Service, text)
