"""Looks at points that are all known already, as replays and rehearsals make them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from watcher import detect, verdict
from watcher.detect.looking import SUSPECT_TIMES
from watcher.model.decision import Decision, Outcome
from watcher.model.finding import Cause, Findings
from watcher.model.series import Series
from watcher.verdict import Assessment, Context

_NEVER = frozenset({Cause.TOO_LITTLE_HISTORY, Cause.TOO_LITTLE_TRAFFIC})


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: what was found, what each signal says, what was decided."""

    findings: Findings
    assessments: tuple[Assessment, ...]
    decision: Decision

    @property
    def called(self) -> bool:
        return self.decision.outcome is Outcome.REGRESSED


def look(
    calibration: detect.Calibration,
    context: Context,
    series: Mapping[str, Series],
    at: float,
    previous: Findings | None,
    judged: detect.Judged | None = None,
) -> Seen:
    """One look at `at`, at the points of `series` that were there by then; `judged` as in `detect.look`."""
    recent = {name: each.between(calibration.recent_from, at) for name, each in series.items()}
    findings = detect.look(calibration, recent, at, previous, judged)
    assessments = verdict.assess(context, findings)
    return Seen(findings, assessments, verdict.conclude(context, findings, assessments))


def tells_all(
    calibration: detect.Calibration,
    context: Context,
    series: Mapping[str, Series],
    last: Seen,
    judged: detect.Judged | None = None,
) -> bool:
    """Whether a last look shows nothing at all, and so none before it did, made alone or after others.

    A signal's evidence never falls from look to look, but where a control speaks for it. `judged` as in that look.
    """
    plain = not last.called and all(
        (finding.cause is Cause.NO_HARM and not finding.note) or finding.cause in _NEVER
        for finding in last.findings.signals
    )
    # Too little traffic may stand before a suspicion.
    return plain and _highest(calibration, series, last.findings.at, judged) < context.threshold - math.log10(
        SUSPECT_TIMES
    )


def may_call(
    calibration: detect.Calibration,
    context: Context,
    series: Mapping[str, Series],
    at: float,
    judged: detect.Judged | None = None,
) -> bool:
    """Whether a look at `at` could call harm; if it cannot, no look before it could, but where a control speaks."""
    return _highest(calibration, series, at, judged) >= context.threshold


def _highest(
    calibration: detect.Calibration, series: Mapping[str, Series], at: float, judged: detect.Judged | None
) -> float:
    recent = {name: each.between(calibration.recent_from, at) for name, each in series.items()}
    return detect.highest(calibration, recent, at, judged)
