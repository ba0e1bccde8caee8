"""What is decided about a watch: outcomes and reasons are closed lists (docs/reasons.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a deploy did, worst first: the order of this list is the precedence."""

    REGRESSED = "regressed"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    HEALTHY = "healthy"


class Reason(StrEnum):
    """Why; at once the log's word, the metric's label and the test's name."""

    # regressed
    LEVEL_SHIFT = "level_shift"
    SPIKE = "spike"
    TICKET_SURGE = "ticket_surge"
    # inconclusive: harm that is not (surely) this deploy's
    PRE_EXISTING = "pre_existing"
    SHARED_WITH_CONTROL = "shared_with_control"
    AMBIGUOUS_DEPLOYS = "ambiguous_deploys"
    SUSPECT = "suspect"
    # inconclusive: cannot tell
    NO_DATA = "no_data"
    STALE_DATA = "stale_data"
    GAPS = "gaps"
    FROZEN_DATA = "frozen_data"
    BAD_VALUES = "bad_values"
    SOURCE_FAILED = "source_failed"
    TOO_LITTLE_HISTORY = "too_little_history"
    TOO_LITTLE_TRAFFIC = "too_little_traffic"
    # healthy
    NO_HARM = "no_harm"
    # error
    INTERNAL_ERROR = "internal_error"
    # not an outcome yet
    WATCHING = "watching"
    # of a newer version of this program, which knows its name
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a look decided.

    Attributes:
        outcome: None while the watch must go on before anything can be said.
        reason: why.
        sentence: one plain sentence: what changed, by how much, against what was expected, since when, and why that
            does or does not mean this deploy.
        at: the look's time, unix seconds.
        score: as in `Findings`.
        signals: names of the signals that the decision rests on.
    """

    outcome: Outcome | None
    reason: Reason
    sentence: str
    at: float
    score: float = 0.0
    signals: tuple[str, ...] = ()
