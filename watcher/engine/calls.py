"""One call to a rollback target, and what its failure means: certain, or to be asked, tried again, left to a person."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.errors import ExternalError, Fault
from watcher.model.order import RollbackOrder, RollbackState, Standing
from watcher.ports import Checks, RollbackTarget

_EARLIER = "an earlier attempt may have been carried out"
_BACKOFF = (2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0)  # seconds before the next attempt
_STANDINGS = {
    Standing.DONE: (RollbackState.VERIFIED, "the target says that it was carried out"),
    Standing.RUNNING: (RollbackState.ACCEPTED, "the target says that it is being carried out"),
    Standing.NOT_DONE: (RollbackState.FAILED, "the target says that it was not carried out"),
}
# Permanent as they are, these answers are no refusals: a form that was taken is answered by a redirect.
_NO_REFUSALS = frozenset({Fault.REDIRECT, Fault.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Result:
    """How an order stands after a call; `wait`: seconds until it is taken up again, None if it is settled."""

    state: RollbackState
    detail: str
    reference: str = ""
    wait: float | None = None


def call(payload: RollbackOrder, target: RollbackTarget, attempts: int, most: int, *, out: bool) -> Result:
    """Makes the call; `attempts` counts this one, of at most `most`. `out`: an earlier one may have been received."""
    try:
        receipt = target.trigger(payload)
    except ExternalError as error:
        return _failed(payload, target, error, attempts, most, out=out)
    if not receipt.accepted and out:
        return reconcile(payload, target, f"{receipt.detail}; {_EARLIER}", attempts, most)
    state = RollbackState.ACCEPTED if receipt.accepted else RollbackState.FAILED
    return Result(state, receipt.detail, receipt.reference)


def reconcile(payload: RollbackOrder, target: RollbackTarget, why: str, attempts: int, most: int) -> Result:
    """What became of a call whose outcome is not known because of `why`, as far as the target can say."""
    if not isinstance(target, Checks) or not target.can_check:
        return Result(RollbackState.UNKNOWN, why)
    try:
        standing = target.check(payload)
    except ExternalError as error:
        detail = f"{why}; asked what became of it: {error}"
        if attempts >= most or error.permanent:
            return Result(RollbackState.UNKNOWN, detail)
        return Result(RollbackState.ATTEMPTED, detail, wait=_pause(attempts, error))
    state, said = _STANDINGS[standing]
    return Result(state, f"{why}; {said}")


def _failed(
    payload: RollbackOrder, target: RollbackTarget, error: ExternalError, attempts: int, most: int, *, out: bool
) -> Result:
    """A call that failed: is it certain that nothing happened, and may it be tried again?"""
    this_one = error.sent and (not error.permanent or error.fault in _NO_REFUSALS)
    out = out or this_one
    if not error.permanent and attempts < most and (target.idempotent or not out):
        # `planned` again only if nothing ever was sent: whoever finds `attempted` must think that a call was made.
        state = RollbackState.ATTEMPTED if out else RollbackState.PLANNED
        return Result(state, str(error), wait=_pause(attempts, error))
    if out:
        why = str(error) if this_one else f"{error}; {_EARLIER}"
        return reconcile(payload, target, why, attempts, most)
    return Result(RollbackState.FAILED, str(error))


def _pause(attempts: int, error: ExternalError) -> float:
    return max(_BACKOFF[min(attempts - 1, len(_BACKOFF) - 1)], error.retry_after or 0.0)
