"""The one plain sentence of a decision, for somebody who reads it at night: what changed, by how much, against what
was expected, since when, how sure, and why that does or does not mean this deploy; or what could not be seen and what
would help; or what was watched and how small a harm would have shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from watcher.kit.text import duration, percent
from watcher.model.decision import Reason
from watcher.model.finding import Finding
from watcher.model.service import Kind, Role, Signal
from watcher.verdict.assessment import Assessment
from watcher.verdict.context import Context, Nearby
from watcher.verdict.phrases import brief_change, chance, change, direction, listed, pace, sentence, since, visible
from watcher.verdict.rivals import MOST, scope_of

# A reason in a few words: a heading, or the end of "could not be judged: ...".
TITLES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.LEVEL_SHIFT: "worse since the deploy",
        Reason.SPIKE: "a burst of harm after the deploy",
        Reason.TICKET_SURGE: "a surge of tickets since the deploy",
        Reason.PRE_EXISTING: "harm older than the deploy",
        Reason.SHARED_WITH_CONTROL: "harm beyond the deploy's reach as well",
        Reason.AMBIGUOUS_DEPLOYS: "another deploy may be the cause",
        Reason.SUSPECT: "suspicious, but not certain",
        Reason.NO_DATA: "no data",
        Reason.STALE_DATA: "the data ended early",
        Reason.GAPS: "too many gaps in the data",
        Reason.FROZEN_DATA: "the data stand still",
        Reason.BAD_VALUES: "values that cannot be true",
        Reason.SOURCE_FAILED: "its source failed",
        Reason.TOO_LITTLE_HISTORY: "too little history",
        Reason.TOO_LITTLE_TRAFFIC: "too little traffic",
        Reason.NO_HARM: "no harm",
        Reason.INTERNAL_ERROR: "an error of the watcher itself",
        Reason.WATCHING: "watching",
        Reason.UNKNOWN: "a newer version of the watcher knows",
    }
)


def internal_error(what: str) -> str:
    """For a watch that the watcher itself could not judge; `what` is safe to show."""
    return f"The watcher itself failed while judging ({what}); nothing can be said of this deploy, look at it yourself."


def regressed(context: Context, culprits: Sequence[Assessment], score: float) -> str:
    """Harm that is blamed on the deploy; `culprits` the clearest first."""
    first = culprits[0]
    others = [f"{each.signal.name} {brief_change(each.signal, each.finding)}" for each in culprits[1:]]
    reasons = [f"{chance(score)} looks like this"]
    if first.finding.onset is not None and first.finding.onset >= context.started_at - first.signal.step:
        reasons.append("it was not there before the deploy")
    reasons += _alone(context, first)
    return sentence(
        [
            change(first.signal, first.finding) + since(context.started_at, first.signal, first.finding),
            f"with it {listed(others)}" if others else "",
            f"{listed(reasons)}, so this deploy is the likely cause",
        ]
    )


def _alone(context: Context, first: Assessment) -> list[str]:
    """What is to be said of other deploys, none of which is a rival (`rivals`)."""
    other = "no other deploy" if context.depends_on is None else "no other deploy that can reach it"
    if all(scope_of(context, each) is None for each in context.nearby):
        return [f"{other} is known near it"]
    # Nothing can be nearer to an onset that is not known.
    return [] if first.finding.onset is None else [f"{other} fits the time better"]


def _window(context: Context, signal: Signal | None = None) -> str:
    return duration((context.end(signal) if signal else context.until) - context.finished_at)


def undecided(context: Context, assessments: Sequence[Assessment], harmed: Sequence[Assessment], at: float) -> str:
    """A look in the middle of a watch; `harmed` the most telling first."""
    progress = _progress(context, at)
    blind = [each for each in assessments if not each.harmed and each.reason is not Reason.NO_HARM]
    if harmed:
        first = harmed[0]
        seen = change(first.signal, first.finding) + since(context.started_at, first.signal, first.finding)
        return sentence([f"{progress}: {seen}", f"{_why_not(context, first)}; the watch goes on", _unjudged(blind)])
    fine = [each.signal.name for each in assessments if each.reason is Reason.NO_HARM]
    state = f"no harm in {listed(fine)} so far" if fine else "nothing could be measured so far"
    return sentence([f"{progress}: {state}", _unjudged(blind)])


def _progress(context: Context, at: float) -> str:
    if at < context.started_at + context.warm_up:
        return (
            f"{duration(at - context.started_at)} into the {duration(context.warm_up)} of warm-up, which are not judged"
        )
    if at < context.finished_at:
        return f"{duration(at - context.started_at)} into the rollout"
    if at < context.until:
        return f"{duration(at - context.finished_at)} into the {_window(context)} window"
    if context.ticket_until > context.until:
        return (
            f"The metric window is over and tickets are watched for {duration(max(context.ticket_until - at, 0))} more"
        )
    return "The window is over and the last data are awaited"


def healthy(context: Context, assessments: Sequence[Assessment]) -> str:
    """No harm, and how small a harm would have shown."""
    fine = [each for each in assessments if each.reason is Reason.NO_HARM]
    blind = [each for each in assessments if each.reason is not Reason.NO_HARM]
    limits = [
        f"{visible(direction(each.signal), each.finding.detectable, each.finding.detectable_events)}"
        f" in {each.signal.name}"
        for each in sorted(fine, key=lambda each: each.signal.role is not Role.REQUIRED)
        if each.finding.detectable is not None
    ]
    # A change that is certain, and too small for the policy, is not "no worse".
    small = [
        f"{each.signal.name} {brief_change(each.signal, each.finding)} ({each.finding.note})"
        for each in fine
        if each.finding.note
    ]
    calm = [each.signal.name for each in fine if not each.finding.note]
    lacking = context.started_at + context.warm_up - context.finished_at
    cold = f", its first {duration(lacking)} left out" if context.warm_up and lacking > 0 else ""
    return sentence(
        [
            f"{listed(calm)} did no worse than expected for {_window(context)} after the deploy{cold}" if calm else "",
            f"{listed(small)}, which is no harm" if small else "",
            f"{listed(limits, 'or')} would have been seen four times in five" if limits else "",
            _unjudged(blind),
        ]
    )


def inconclusive(context: Context, assessments: Sequence[Assessment], against: Sequence[Assessment]) -> str:
    """Why nothing can be said; `against` is what stands against healthy, the most telling first."""
    if not against:
        return "No signal was watched, so nothing can be said of this deploy; add a signal to the service."
    first = against[0]
    same = [each for each in against if each.reason is first.reason]
    rest = [each for each in assessments if each.reason not in {first.reason, Reason.NO_HARM}]
    if first.harmed:
        seen = change(first.signal, first.finding) + since(context.started_at, first.signal, first.finding)
        also = [f"{each.signal.name} {brief_change(each.signal, each.finding)}" for each in same[1:]]
        return sentence(
            [
                seen,
                f"likewise {listed(also)}" if also else "",
                f"{_why_not(context, first)}{_advice(context, first)}",
                _unjudged([each for each in rest if not each.harmed]),
            ]
        )
    return sentence([_blind(context, first), _unjudged([*same[1:], *rest])])


def _why_not(context: Context, assessment: Assessment) -> str:
    """Why harm that is seen is not blamed on the deploy."""
    match assessment.reason:
        case Reason.PRE_EXISTING:
            return "this began before the deploy, so the deploy did not cause it"
        case Reason.SHARED_WITH_CONTROL:
            controls = [signal.name for signal in context.signals if signal.role is Role.CONTROL]
            where = assessment.signal.control or (controls[0] if len(controls) == 1 else "a control")
            return f"{where}, which the deploy cannot touch, moved with it, so its cause lies elsewhere"
        case Reason.AMBIGUOUS_DEPLOYS if assessment.others:
            return _ambiguous(context, assessment.others)
        case _:
            return f"{chance(assessment.finding.score)} looks like this, too often to blame the deploy"


def _ambiguous(context: Context, others: Sequence[Nearby]) -> str:
    """`search 7.1 was deployed 20 s after this deploy and 2 other deploys fit as well, so any may be the cause`."""
    named, more = _named(context, others[0]), len(others) - 1
    if not more:
        return f"{named}, so either may be the cause"
    count = f"at least {more}" if len(others) >= MOST else f"{more}"
    verb = "deploy fits" if more == 1 else "deploys fit"
    return f"{named} and {count} other {verb} as well, so any of them may be the cause"


def _named(context: Context, other: Nearby) -> str:
    offset = other.started_at - context.started_at
    what = f"{other.service} {other.version}".strip()
    if abs(offset) < 1:
        return f"{what} was deployed at the same time"
    when = f"{duration(abs(offset))} {'after' if offset > 0 else 'before'} this deploy"
    return f"{what} was deployed {when}"


def _advice(context: Context, assessment: Assessment) -> str:
    match assessment.reason:
        case Reason.PRE_EXISTING:
            return "; whether the deploy made it worse cannot be seen until it is over"
        case Reason.SHARED_WITH_CONTROL:
            return "; whether the deploy adds to it cannot be seen until it is over"
        case Reason.AMBIGUOUS_DEPLOYS:
            return "; nothing is rolled back by itself: choose which one to take back"
        case _:
            window = _window(context, assessment.signal)
            return f"; look at it yourself; a window longer than {window} would tell more"


_BLIND: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NO_DATA: "{name} had no data after the deploy{note}, so harm may have gone unseen;"
        " check its query and its source",
        Reason.BAD_VALUES: "{name} had values that cannot be true{note}, so it was not judged; check what it measures",
        Reason.FROZEN_DATA: "{name} stood still{note}, as it does when its exporter hangs;"
        " check that it is still measured",
        Reason.STALE_DATA: "The data of {name} ended {early}{note}, and harm after that would have gone unseen;"
        " check that it is still measured",
        Reason.GAPS: "{name} lacks {missing} since the deploy{note}, too many to rule harm out;"
        " check why its source has gaps",
        Reason.TOO_LITTLE_HISTORY: "{name} has too little history to say what is normal{note};"
        " it can be judged once it was measured for longer, or its past is imported",
        Reason.SOURCE_FAILED: "{name} could not be measured to the end because {source} failed{failure},"
        " so harm may have gone unseen; it can be judged again once {source} answers",
    }
)


def _blind(context: Context, assessment: Assessment) -> str:
    """What could not be seen of one signal, and what would help."""
    signal, finding = assessment.signal, assessment.finding
    if assessment.reason is Reason.TOO_LITTLE_TRAFFIC:
        return _too_weak(context, signal, finding)
    failure = context.failed_sources.get(signal.name, "")
    counted = assessment.reason is Reason.GAPS and finding.missing > 0
    return _BLIND[assessment.reason].format(
        name=signal.name,
        source=signal.source,
        note=f" ({finding.note})" if finding.note and not counted else "",
        failure=f" ({failure})" if failure else "",
        early=_how_early(context, assessment),
        missing=f"{finding.missing} of {finding.points + finding.missing} points" if counted else "points",
    )


def _how_early(context: Context, assessment: Assessment) -> str:
    last = assessment.finding.complete_until
    early = context.end(assessment.signal) - (context.started_at if last is None else last)
    return f"{duration(max(early, 0))} before the end of the window"


def _too_weak(context: Context, signal: Signal, finding: Finding) -> str:
    window = _window(context, signal)
    harm = direction(signal)
    counted = signal.kind in {Kind.COUNT, Kind.RATE}
    if counted and finding.expected:
        subject = f"{signal.name}, at about {pace(signal, finding.expected)},"
    else:
        subject = signal.name
    wanted = f"a {percent(signal.must_see)} {harm} in {window}"
    if finding.note and finding.detectable is None:
        return f"{subject} cannot show {wanted} ({finding.note}); a longer window or a busier signal would help"
    if finding.detectable is None:
        limit = f"how small a {harm} would be seen is not known"
    elif harm == "loss" and finding.detectable >= 1:
        limit = "not even a total loss would surely be seen"
    else:
        limit = f"the smallest visible {harm} is {percent(finding.detectable)}"
        if finding.detectable_events is not None:
            limit += f", {math.ceil(finding.detectable_events)} more"
    calmer = "a busier" if counted or signal.kind is Kind.RATIO else "a steadier"
    return f"{subject} cannot show {wanted}; {limit}; a longer window or {calmer} signal would help"


def _unjudged(blind: Sequence[Assessment]) -> str:
    """The signals that could not be judged, each with the reason in a few words."""
    parts = [f"{each.signal.name} ({TITLES[each.reason]})" for each in blind]
    return f"not judged: {listed(parts)}" if parts else ""
