"""Time in which a required signal could not be measured: counted, said, and after a while told to somebody. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from watcher.engine.notes import deliver, note
from watcher.engine.respond import Response
from watcher.kit import text
from watcher.model.decision import Decision, Outcome
from watcher.model.finding import Finding, Findings, State
from watcher.model.order import Topic
from watcher.model.service import Role
from watcher.model.watch import Watch

_LIMIT = 900.0  # or a quarter of the window, unless the policy says when


def blind_time(watch: Watch, findings: Findings, failures: Mapping[str, str], at: float) -> float:
    """Seconds of the metric window since the last look, if a required signal could not be measured or asked."""
    required = {signal.name for signal in watch.policy.signals if signal.role is Role.REQUIRED}
    since = max(watch.last_look_at or watch.finished_at, watch.finished_at, watch.plan.judged_from)
    found = {finding.name: finding for finding in findings.signals}
    unmeasurable = {name for name, finding in found.items() if finding.state is State.UNMEASURABLE}
    if required & unmeasurable:
        begin = since
    else:  # what failed just now may have been measured for a while
        ends = [found[name].complete_until if name in found else None for name in required & set(failures)]
        begin = min((max(since, end or since) for end in ends), default=math.inf)
    return max(min(at, watch.until) - begin, 0.0)


def with_blind_time(decision: Decision, blind: float) -> Decision:
    """What the watch says at its end; the look itself keeps the bare decision, which can be computed again."""
    if decision.outcome is not Outcome.INCONCLUSIVE or not blind:
        return decision
    return replace(decision, sentence=f"{decision.sentence} Not fully measured for {text.duration(blind)} in all.")


def told(before: Watch, response: Response, findings: Findings, blind: float, now: float, base_url: str) -> Response:
    """Counts blind time; once it has grown too long, somebody is told, once a watch."""
    if not blind:
        return response
    watch = replace(response.watch, blind_seconds=before.blind_seconds + blind)
    limit = before.policy.blind_after or min(_LIMIT, before.policy.window / 4)
    if watch.ended or not before.blind_seconds < limit <= watch.blind_seconds:
        return replace(response, watch=watch)
    unseen = _unseen(findings.signals) or "its sources do not answer"
    sentence = f"Not measured for {text.duration(watch.blind_seconds)}: {unseen}."
    message = note(watch, Topic.BLIND, sentence, now, base_url)
    return replace(
        response,
        watch=watch,
        orders=(*response.orders, *deliver(message, watch.policy, now)),
        events=(*response.events, ("blind", sentence)),
    )


def _unseen(findings: Sequence[Finding]) -> str:
    return ", ".join(
        f"{finding.name} ({finding.cause.value.replace('_', ' ')})"
        for finding in findings
        if finding.state is State.UNMEASURABLE
    )
