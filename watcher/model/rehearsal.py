"""What placebo deploys over a service's own history have shown: the promise, measured before it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Share:
    """How often something happened in placebos, with its 95 % interval.

    Attributes:
        hits: how often it happened in `trials` placebos.
        independent: how many of them count as independent; the interval rests on these.
        low, high: the Clopper-Pearson interval, shares of one.
    """

    hits: int
    trials: int
    independent: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share itself; None without a trial."""
        return self.hits / self.trials if self.trials else None


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """A probability beyond what was measured, read off the tail of the scores; the 95 % interval is the fit's alone."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One placebo without harm: where it was, the score that it came to, and whether it was called."""

    start: float
    score: float
    called: bool


@dataclass(frozen=True, slots=True)
class Pooled:
    """The placebos of this rehearsal and of earlier ones of the same policy and engine, each place counted once.

    Attributes:
        rehearsals: how many there were.
        false_calls: over all of them.
        resolved: as in `Rehearsal`.
    """

    rehearsals: int
    false_calls: Share
    resolved: float | None


@dataclass(frozen=True, slots=True)
class ShapeRehearsal:
    """What one shape of harm must come to, to be called within the window.

    Attributes:
        name: `step` (all of it from the deploy on), `ramp` (growing over half the window), `late` (a step after a third
            of it) or `spike` (a twentieth of it, after a quarter).
        detectable: the smallest relative harm found in 80 % of the placebos; None: not even the largest, `tried`.
        seen: how often a harm as large as policy says must be seen (`must_see`) is called.
    """

    name: str
    detectable: float | None
    tried: float
    seen: Share


@dataclass(frozen=True, slots=True)
class SignalRehearsal:
    """One signal over all placebos.

    Attributes:
        false_calls: placebos without harm in which this signal was called harmed, of those that could judge it.
        unmeasured: cause -> placebos in which the signal could not be judged for it.
        detectable: smallest lasting relative harm found in the window in 80 % of the placebos; None: not even the
            largest that was tried.
        tried: the harm at which the time and the veto were measured: `detectable`, or the largest.
        looks, seconds: median until that harm was called, among those in which it was; None if in none.
        vetoed: how often the claim "it was there before the deploy" was made of the harm `tried`, or of as much as
            policy says must be seen.
        advice: what would help, in plain words.
        shapes: each shape of harm; empty if the signal could not be judged.
        basis: how the newest placebo was judged and against what, in plain words; empty if none could be.
    """

    name: str
    false_calls: Share
    unmeasured: Mapping[str, int]
    detectable: float | None
    tried: float | None
    looks: float | None
    seconds: float | None
    vetoed: Share
    advice: tuple[str, ...] = ()
    shapes: tuple[ShapeRehearsal, ...] = ()
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal of one service. Times are unix seconds, durations seconds.

    Attributes:
        engine, numpy: what the mathematics was.
        false_rollback_probability: as set; `false_calls` is what was measured, over all looks and all signals.
        history: how much history there was; `window` as in the policy.
        placebos: how many were judged, of `planned`; fewer if the time limit cut it short.
        windows: independent windows that the usable part of the history holds.
        resolved: smallest probability that the placebos judged could have told from a larger one; `resolvable` the
            same of all `windows`. None without any.
        extrapolated: the probability at the threshold that is set, if the scores allow to read it off their tail.
        outcomes: outcome -> placebos without harm that ended so.
        cost: seconds that it took.
        policy: a digest of what was rehearsed; only rehearsals that share it are pooled.
        judged: each placebo without harm.
        pooled: with earlier rehearsals; None if there are none of the same policy and engine.
    """

    service: str
    made_at: float
    engine: str
    numpy: str
    false_rollback_probability: float
    window: float
    history: float
    placebos: int
    planned: int
    windows: int
    false_calls: Share
    resolved: float | None
    resolvable: float | None
    extrapolated: Extrapolated | None
    outcomes: Mapping[str, int]
    signals: tuple[SignalRehearsal, ...]
    cost: float
    sentences: tuple[str, ...] = field(default=())
    policy: str = ""
    judged: tuple[Judged, ...] = ()
    pooled: Pooled | None = None

    @property
    def known_false(self) -> Share:
        """All that is known of false calls: pooled, where there is something to pool."""
        return self.pooled.false_calls if self.pooled is not None else self.false_calls

    @property
    def known_resolved(self) -> float | None:
        """The smallest probability that all of that could have told from a larger one."""
        return self.pooled.resolved if self.pooled is not None else self.resolved
