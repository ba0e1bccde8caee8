"""Which other deploys may be the cause as well: by whom they can harm, and by how near they are to the onset.

Whatever comes late after a deploy comes later still after an older one, so the nearest deploy is the likeliest cause.
But points tell of whole buckets: two deploys whose distances from the onset differ by less than one cannot be told
apart, and then neither is rolled back by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from watcher.model.finding import Finding, Findings
from watcher.model.service import Signal
from watcher.verdict.assessment import shows_harm
from watcher.verdict.context import Context, Nearby

MOST = 10  # rivals of one signal that a decision is given: a whole fleet may have deployed at once


class Scope(IntEnum):
    """How another deploy can harm this service, most surely first."""

    OWN = 0  # it is this service again
    NAMED = 1  # `depends_on` names it
    ANY = 2  # nobody said what this service depends on


@dataclass(frozen=True, slots=True)
class _Onset:
    """When the harm began, unix seconds: `at`, and surely after `low` and before `high`."""

    at: float
    low: float
    high: float


def rivals(context: Context, signal: Signal, finding: Finding, at: float) -> tuple[Nearby, ...]:
    """Other deploys that may have done what `finding` shows by `at`, likeliest first: by scope, then by distance.

    The distance is that of the rollout, [`started_at`, `finished_at`], from the onset; 0 inside of it, ours alike. None
    that began after the 95 % interval of the onset is one. Of the others these are:

    - nearer to the onset than ours, or farther by less than a bucket: whoever may harm this service;
    - inside the interval: this service again, and what it depends on, however near ours is, for they harm it more
      surely than a stranger does;
    - newer than ours: this service again, for then it is no longer ours that users meet.

    The interval has a bucket of slack on both sides: onsets are told as the beginning of a bucket, that of the first
    one as our own start, and what begins late in a bucket shows with the next.

    An onset that could not be located (too few points) may lie anywhere from our start to `at`: what the service
    depends on need only have been deployed in that time, and a stranger is one if it was deployed with ours, within a
    bucket. Else every deploy of the hour would forbid to blame ours.
    """
    onset = _onset(context, signal, finding, at)
    limit = _distance(onset, context.started_at, context.finished_at) + signal.step
    found = []
    for other in context.nearby:
        scope = scope_of(context, other)
        if scope is None or other.started_at >= onset.high:
            continue
        distance = _distance(onset, other.started_at, other.finished_at)
        inside = _end(other) > onset.low
        newer = scope is Scope.OWN and other.started_at > context.started_at
        if distance < limit or newer or (inside and scope is not Scope.ANY):
            found.append((scope, distance, other.started_at, other.service, other))
    return tuple(each[-1] for each in sorted(found, key=lambda each: each[:-1]))


def scope_of(context: Context, other: Nearby) -> Scope | None:
    """How `other` can harm the service; None if it cannot."""
    if other.environment != context.environment:
        return None
    if other.service == context.service:
        return Scope.OWN
    if context.depends_on is None:
        return Scope.ANY
    return Scope.NAMED if other.service in context.depends_on else None


def telling(context: Context, findings: Findings, others: Sequence[Nearby]) -> tuple[Nearby, ...]:
    """Those of `others` that a decision on `findings` can rest on: few, however many there are.

    They are the first rivals of every signal that is harmed; if there are none, any one, to say that others deployed.
    """
    able = tuple(dict.fromkeys(other for other in others if scope_of(context, other) is not None))
    whole = replace(context, nearby=able)
    signals = {signal.name: signal for signal in context.watched}
    chosen = {
        rival
        for finding in findings.signals
        if finding.name in signals and shows_harm(finding)
        for rival in rivals(whole, signals[finding.name], finding, findings.at)[:MOST]
    }
    return tuple(other for other in able if other in chosen) or able[:1]


def _onset(context: Context, signal: Signal, finding: Finding, at: float) -> _Onset:
    if finding.onset is None:
        return _Onset(context.started_at, context.started_at - signal.step, at)
    low = finding.onset if finding.onset_low is None else finding.onset_low
    high = finding.onset if finding.onset_high is None else finding.onset_high
    # Nothing that came after `at` can be what was seen by then.
    return _Onset(finding.onset, low - signal.step, min(high + signal.step, at))


def _distance(onset: _Onset, start: float, finish: float | None) -> float:
    end = start if finish is None else max(finish, start)
    return max(start - onset.at, onset.at - end, 0.0)


def _end(other: Nearby) -> float:
    """One that never said that it had finished counts as of its start: many a pipeline never does."""
    return other.started_at if other.finished_at is None else max(other.finished_at, other.started_at)
