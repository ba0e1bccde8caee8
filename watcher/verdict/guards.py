"""What forbids blaming a deploy for harm that is real: it is older, everybody has it, or another deploy fits as well.

A guard never hides harm: the watch ends as inconclusive with the guard's reason, and nothing is rolled back by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.model.decision import Reason
from watcher.model.finding import Cause, Finding
from watcher.model.service import Signal
from watcher.verdict.context import Context, Nearby
from watcher.verdict.rivals import rivals


@dataclass(frozen=True, slots=True)
class Veto:
    """Why one signal's harm is not to be blamed on this deploy; `others` may have done it as well, likeliest first."""

    reason: Reason
    others: tuple[Nearby, ...] = ()


def veto(context: Context, signal: Signal, finding: Finding, at: float) -> Veto | None:
    """The first guard that forbids to blame this deploy for what `finding` shows; None if none does."""
    if finding.cause is Cause.PRE_EXISTING or _over_before(context, signal, finding):
        return Veto(Reason.PRE_EXISTING)
    if finding.cause is Cause.SHARED_WITH_CONTROL:
        return Veto(Reason.SHARED_WITH_CONTROL)
    others = rivals(context, signal, finding, at)
    return Veto(Reason.AMBIGUOUS_DEPLOYS, others) if others else None


def _over_before(context: Context, signal: Signal, finding: Finding) -> bool:
    """Whether the change surely came before the deploy; one bucket of slack, as its first bucket may straddle it."""
    return finding.onset_high is not None and finding.onset_high + signal.step < context.started_at
