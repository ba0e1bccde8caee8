"""What one signal says at one look, under the policy: the step between the mathematics and the decision."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Cause, Finding, State
from watcher.model.service import Signal
from watcher.verdict.context import Nearby

_REGRESSED = frozenset({Reason.LEVEL_SHIFT, Reason.SPIKE, Reason.TICKET_SURGE})


@dataclass(frozen=True, slots=True)
class Assessment:
    """One signal's own verdict.

    Attributes:
        reason: a kind of harm, `no_harm`, or why the signal can say neither.
        score: the finding's score after the guards.
        harmed: whether harm is seen now, certain or suspected, this deploy's or not.
        vetoed: whether a guard forbids to blame this deploy for it.
        others: the deploys that the harm may come from as well, likeliest first.
    """

    signal: Signal
    finding: Finding
    reason: Reason
    score: float = 0.0
    harmed: bool = False
    vetoed: bool = False
    others: tuple[Nearby, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What the reason amounts to if the watch ended now with this signal alone."""
        if self.reason is Reason.NO_HARM:
            return Outcome.HEALTHY
        return Outcome.REGRESSED if self.reason in _REGRESSED else Outcome.INCONCLUSIVE


def shows_harm(finding: Finding) -> bool:
    """Whether harm is seen now, certain or suspected, this deploy's or not."""
    vetoed = finding.cause in {Cause.PRE_EXISTING, Cause.SHARED_WITH_CONTROL}
    return vetoed or finding.state in {State.ALARM, State.SUSPECT}
