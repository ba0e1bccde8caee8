"""What forbids blaming a deploy for harm that is real: it is older, everybody has it, or another deploy fits as well.

A guard never hides harm: the watch ends as inconclusive with the guard's reason, and nothing is rolled back by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.model.decision import Reason
from watcher.model.finding import Cause, Finding
from watcher.model.service import Signal
from watcher.verdict.context import Context, Nearby


@dataclass(frozen=True, slots=True)
class Veto:
    """Why one signal's harm is not to be blamed on this deploy; `other` is the deploy that it may come from."""

    reason: Reason
    other: Nearby | None = None


def veto(context: Context, signal: Signal, finding: Finding, at: float) -> Veto | None:
    """The first guard that forbids to blame this deploy for what `finding` shows; None if none does."""
    if finding.cause is Cause.PRE_EXISTING or _over_before(context, signal, finding):
        return Veto(Reason.PRE_EXISTING)
    if finding.cause is Cause.SHARED_WITH_CONTROL:
        return Veto(Reason.SHARED_WITH_CONTROL)
    other = rival(context, finding, at)
    return Veto(Reason.AMBIGUOUS_DEPLOYS, other) if other else None


def _over_before(context: Context, signal: Signal, finding: Finding) -> bool:
    """Whether the change surely came before the deploy; one bucket of slack, as its first bucket may straddle it."""
    return finding.onset_high is not None and finding.onset_high + signal.step < context.started_at


def rival(context: Context, finding: Finding, at: float) -> Nearby | None:
    """Another deploy that may be the cause as well.

    That is a newer deploy of the same service and environment which began before the onset's interval ends, or any
    deploy inside that interval which began nearer to the onset than ours. An onset that could not be located may lie
    anywhere up to `at`.
    """
    low = finding.onset_low if finding.onset_low is not None else finding.onset
    high = finding.onset_high if finding.onset_high is not None else finding.onset
    for other in context.nearby:
        if _own(context, other) and context.started_at < other.started_at < (at if high is None else high):
            return other
        if finding.onset is None or low is None or high is None or not low <= other.started_at <= high:
            continue
        if abs(other.started_at - finding.onset) < abs(context.started_at - finding.onset):
            return other
    return None


def _own(context: Context, other: Nearby) -> bool:
    return (other.service, other.environment) == (context.service, context.environment)
