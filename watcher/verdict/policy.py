"""From findings to a decision: what each signal says under the policy, and which of the things said comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from watcher.model.decision import Decision, Outcome, Reason
from watcher.model.finding import Cause, Finding, Findings, State
from watcher.model.service import FEW_EVENTS, Role, Signal
from watcher.verdict import explain
from watcher.verdict.assessment import Assessment, shows_harm
from watcher.verdict.context import Context
from watcher.verdict.guards import veto

# Which reason an inconclusive watch is given, first one first: harm that may not be blamed on the deploy tells more
# than data that were not there, and data that were not there tell more than data that were too few.
PRECEDENCE = (
    Reason.AMBIGUOUS_DEPLOYS,
    Reason.PRE_EXISTING,
    Reason.SHARED_WITH_CONTROL,
    Reason.SUSPECT,
    Reason.SOURCE_FAILED,
    Reason.NO_DATA,
    Reason.BAD_VALUES,
    Reason.FROZEN_DATA,
    Reason.STALE_DATA,
    Reason.GAPS,
    Reason.TOO_LITTLE_HISTORY,
    Reason.TOO_LITTLE_TRAFFIC,
)
_HARM = frozenset(PRECEDENCE[: PRECEDENCE.index(Reason.SUSPECT) + 1])
# A source that failed explains these better than they explain themselves.
_ABSENCE = frozenset({Reason.NO_DATA, Reason.STALE_DATA, Reason.GAPS, Reason.TOO_LITTLE_HISTORY})
_UNMEASURABLE: Mapping[Cause, Reason] = MappingProxyType(
    {
        Cause.STALE_DATA: Reason.STALE_DATA,
        Cause.GAPS: Reason.GAPS,
        Cause.FROZEN_DATA: Reason.FROZEN_DATA,
        Cause.BAD_VALUES: Reason.BAD_VALUES,
        Cause.TOO_LITTLE_HISTORY: Reason.TOO_LITTLE_HISTORY,
        Cause.TOO_LITTLE_TRAFFIC: Reason.TOO_LITTLE_TRAFFIC,
    }
)


def standing(outcomes: Iterable[Outcome]) -> Outcome:
    """The one outcome of several watches: the worst. Nothing judged at all is inconclusive, never healthy."""
    order = list(Outcome)
    return min(outcomes, key=order.index, default=Outcome.INCONCLUSIVE)


def decide(context: Context, findings: Findings) -> Decision:
    """What this look decides; `outcome` None while the watch must go on.

    Harm is called at once, at the first look whose score reaches the threshold and which no guard forbids. Everything
    else waits for the look that ends the window: healthy needs every required signal measured to the end, without
    harm, and able to show a harm of `must_see`. `Decision.score` is the findings' score after the guards.
    """
    return conclude(context, findings, assess(context, findings))


def conclude(context: Context, findings: Findings, assessments: tuple[Assessment, ...]) -> Decision:
    """`decide`, for who has made the assessments already."""
    score = allowed_score(context, findings, assessments)
    if score >= context.threshold:
        return _regressed(context, findings, assessments, score)
    if not context.final:
        return _undecided(context, findings, assessments, score)
    against = [each for each in assessments if _blocks(each)]
    if not against and not any(each.reason is Reason.NO_HARM for each in assessments):
        against = list(assessments)  # only supporting signals, and none could be judged: nothing was watched
    if against or not assessments:
        return _inconclusive(context, findings, assessments, sorted(against, key=_rank), score)
    return Decision(
        outcome=Outcome.HEALTHY,
        reason=Reason.NO_HARM,
        sentence=explain.healthy(context, assessments),
        at=findings.at,
        score=score,
        signals=tuple(each.signal.name for each in assessments if each.reason is Reason.NO_HARM),
    )


def assess(context: Context, findings: Findings) -> tuple[Assessment, ...]:
    """What each watched signal says by itself, in the order of the policy."""
    given = {finding.name: finding for finding in findings.signals}
    absent = (Finding(signal.name, State.UNMEASURABLE, Cause.NO_DATA) for signal in context.watched)
    return tuple(
        _assessed(context, signal, given.get(signal.name, missing), findings)
        for signal, missing in zip(context.watched, absent, strict=True)
    )


def _assessed(context: Context, signal: Signal, finding: Finding, findings: Findings) -> Assessment:
    if not shows_harm(finding):
        reason = shortfall(context, signal, finding) or Reason.NO_HARM
        return Assessment(signal, finding, reason, score=finding.score)
    forbidden = veto(context, signal, finding, findings.at)
    alarmed = finding.state is State.ALARM and findings.score >= context.threshold
    if forbidden is None:
        reason = _kind_of_harm(signal, finding) if alarmed else Reason.SUSPECT
        return Assessment(signal, finding, reason, score=finding.score, harmed=True)
    # Two deploys can only be confused over harm that is certain; a mere suspicion stays one.
    unclear = forbidden.reason is Reason.AMBIGUOUS_DEPLOYS and not alarmed
    reason = Reason.SUSPECT if unclear else forbidden.reason
    return Assessment(signal, finding, reason, harmed=True, vetoed=True, others=forbidden.others)


def _kind_of_harm(signal: Signal, finding: Finding) -> Reason:
    if signal.is_tickets:
        return Reason.TICKET_SURGE
    return Reason.SPIKE if finding.cause is Cause.SPIKE else Reason.LEVEL_SHIFT


def allowed_score(context: Context, findings: Findings, assessments: Iterable[Assessment]) -> float:
    """The findings' score, less what the guards forbid.

    A score never falls, so one that an earlier look was forbidden to use must not count again at a look at which
    no signal is harmed any more. What signals pay for being several is seen in the highest of them.
    """
    harmed = [each for each in assessments if each.harmed]
    free = [each for each in harmed if not each.vetoed]
    if not harmed:
        return findings.score if findings.score < context.threshold else 0.0
    if len(free) == len(harmed):
        return findings.score
    price = max(max(each.finding.score for each in harmed) - findings.score, 0.0)
    score = max(min(findings.score, max((each.score for each in free), default=0.0) - price), 0.0)
    certain = any(each.finding.state is State.ALARM for each in free)
    return score if certain or score < context.threshold else 0.0


def allowance(context: Context, signal: Signal) -> int:
    """How many buckets of the window may be missing: one in twenty, at least two, at most one in five."""
    expected = int((context.end(signal) - context.started_at - context.warm_up) / signal.step)
    return min(max(2, expected // 20), expected // 5)


def shortfall(context: Context, signal: Signal, finding: Finding) -> Reason | None:
    """Why a signal without harm cannot vouch for the deploy; None if it can. Before a final look only what is plain."""
    reason = _unmeasured(context, signal, finding)
    if reason in _ABSENCE and signal.name in context.failed_sources:
        return Reason.SOURCE_FAILED
    if reason is None and context.final and not _sees_enough(signal, finding):
        return Reason.TOO_LITTLE_TRAFFIC
    return reason


def _sees_enough(signal: Signal, finding: Finding) -> bool:
    """Whether the window shows a harm of `must_see`; a share of what hardly ever happens is no measure of harm."""
    if finding.detectable is None:
        return False
    few = finding.detectable_events is not None and finding.detectable_events <= FEW_EVENTS
    return few or finding.detectable <= signal.must_see


def _unmeasured(context: Context, signal: Signal, finding: Finding) -> Reason | None:
    if finding.state is State.UNMEASURABLE:
        reason = _UNMEASURABLE.get(finding.cause, Reason.NO_DATA)
        never = reason is Reason.STALE_DATA and finding.complete_until is None
        return Reason.NO_DATA if never else reason
    if not context.final:
        return None
    if finding.complete_until is None:
        return Reason.NO_DATA
    few = allowance(context, signal)
    if context.end(signal) - finding.complete_until >= (1 + few) * signal.step:
        return Reason.STALE_DATA
    return Reason.GAPS if finding.missing > few else None


def _blocks(assessment: Assessment) -> bool:
    required = assessment.signal.role is Role.REQUIRED
    return assessment.reason in _HARM or (required and assessment.reason is not Reason.NO_HARM)


def _rank(assessment: Assessment) -> tuple[int, bool, float]:
    place = PRECEDENCE.index(assessment.reason) if assessment.reason in PRECEDENCE else len(PRECEDENCE)
    return place, assessment.signal.role is not Role.REQUIRED, -assessment.finding.score


def _regressed(context: Context, findings: Findings, assessments: tuple[Assessment, ...], score: float) -> Decision:
    harmed = [each for each in assessments if each.harmed and not each.vetoed]
    alarmed = [each for each in harmed if each.finding.state is State.ALARM] or harmed
    culprits = sorted(alarmed, key=lambda each: (-each.score, each.signal.is_tickets))
    first = culprits[0]
    return Decision(
        outcome=Outcome.REGRESSED,
        reason=_kind_of_harm(first.signal, first.finding),
        sentence=explain.regressed(context, culprits, score),
        at=findings.at,
        score=score,
        signals=tuple(each.signal.name for each in culprits),
    )


def _undecided(context: Context, findings: Findings, assessments: tuple[Assessment, ...], score: float) -> Decision:
    harmed = sorted((each for each in assessments if each.harmed), key=_rank)
    return Decision(
        outcome=None,
        reason=Reason.SUSPECT if harmed else Reason.WATCHING,
        sentence=explain.undecided(context, assessments, harmed, findings.at),
        at=findings.at,
        score=score,
        signals=tuple(each.signal.name for each in harmed),
    )


def _inconclusive(
    context: Context,
    findings: Findings,
    assessments: tuple[Assessment, ...],
    against: list[Assessment],
    score: float,
) -> Decision:
    reason = against[0].reason if against else Reason.NO_DATA
    return Decision(
        outcome=Outcome.INCONCLUSIVE,
        reason=reason,
        sentence=explain.inconclusive(context, assessments, against),
        at=findings.at,
        score=score,
        signals=tuple(each.signal.name for each in against if each.reason is reason),
    )
