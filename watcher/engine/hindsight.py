"""Looks at points that are all known already, as replays and rehearsals make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watcher import detect, verdict
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

    @property
    def plainly_quiet(self) -> bool:
        """Whether nothing was to be seen, and so nothing at any look before, made alone or after others.

        A signal's evidence never falls from look to look, but where a control speaks for it.
        """
        return not self.called and all(
            (finding.cause is Cause.NO_HARM and not finding.note) or finding.cause in _NEVER
            for finding in self.findings.signals
        )


def look(
    calibration: detect.Calibration,
    context: Context,
    series: Mapping[str, Series],
    at: float,
    previous: Findings | None,
) -> Seen:
    """One look at `at`, at the points of `series` that were there by then."""
    recent = {name: each.between(calibration.recent_from, at) for name, each in series.items()}
    findings = detect.look(calibration, recent, at, previous)
    assessments = verdict.assess(context, findings)
    return Seen(findings, assessments, verdict.conclude(context, findings, assessments))


def may_call(calibration: detect.Calibration, context: Context, series: Mapping[str, Series], at: float) -> bool:
    """Whether a look at `at` could call harm; if it cannot, no look before it could, but where a control speaks."""
    recent = {name: each.between(calibration.recent_from, at) for name, each in series.items()}
    return detect.highest(calibration, recent, at) >= context.threshold
