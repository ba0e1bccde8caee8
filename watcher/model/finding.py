"""What the mathematics says of the signals at one look; it knows no policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from watcher.model.series import Floats


class State(StrEnum):
    """A signal at one look."""

    ALARM = "alarm"  # harm, at the watch's false-rollback probability
    SUSPECT = "suspect"  # harm at five times that probability
    QUIET = "quiet"
    UNMEASURABLE = "unmeasurable"


class Cause(StrEnum):
    """Why a signal is in its state; the verdict turns it into a reason."""

    NO_HARM = "no_harm"
    LEVEL_SHIFT = "level_shift"
    SPIKE = "spike"
    PRE_EXISTING = "pre_existing"  # harm, and it tests as older than the deploy
    SHARED_WITH_CONTROL = "shared_with_control"
    NO_DATA = "no_data"
    STALE_DATA = "stale_data"
    GAPS = "gaps"
    FROZEN_DATA = "frozen_data"
    BAD_VALUES = "bad_values"
    TOO_LITTLE_HISTORY = "too_little_history"
    TOO_LITTLE_TRAFFIC = "too_little_traffic"


@dataclass(frozen=True, slots=True)
class Finding:
    """One signal at one look. Effects are relative to the expected (-0.2: a fifth less); None if unknown, never NaN.

    Attributes:
        score: -log10 of the smallest per-watch false-rollback probability at which this signal alone would have been
            called harmed by now, after its vetoes; 0 never, capped at 12; it never falls from look to look.
        effect: change in the direction of its sign since the onset (or over the window, when quiet).
        effect_low, effect_high: its 95 % interval.
        onset: unix seconds of the change's first bucket start; `onset_low`, `onset_high` its 95 % interval.
        expected, observed: mean over the part that `effect` speaks of, in the signal's unit (a ratio's quotient).
        detectable: smallest relative harm that the whole window shows with 80 % probability.
        detectable_events: how many more single events in the whole window that is; None where none are counted, or
            harm is not up.
        points: points judged since the deploy; `missing`: buckets that should be there and are not.
        complete_until: time of the newest point that was judged.
        note: one clause for people where `cause` alone does not say enough.
    """

    name: str
    state: State
    cause: Cause
    score: float = 0.0
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    onset: float | None = None
    onset_low: float | None = None
    onset_high: float | None = None
    expected: float | None = None
    observed: float | None = None
    detectable: float | None = None
    detectable_events: float | None = None
    points: int = 0
    missing: int = 0
    complete_until: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All signals at one look.

    Attributes:
        at: the look's time; no point later than it was used.
        score: of all signals together at their shared budget: harm is called exactly when
            `score >= -log10(false_rollback_probability)`; it never falls from look to look.
        signals: one finding a signal (controls left out), in the order of the service.
    """

    at: float
    score: float
    signals: tuple[Finding, ...]

    def of(self, name: str) -> Finding:
        return next(finding for finding in self.signals if finding.name == name)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """What was expected of a signal, to be drawn: arrays of shape (n,), NaN where nothing can be said."""

    times: Floats
    expected: Floats
    low: Floats
    high: Floats


class Recovery(StrEnum):
    """After a rollback."""

    RECOVERED = "recovered"
    NOT_YET = "not_yet"
    UNMEASURABLE = "unmeasurable"


Recoveries = Mapping[str, Recovery]
