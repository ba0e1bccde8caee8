"""What a team wants watched, compiled from the configuration: the policy that a watch keeps from start to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """How a signal's values behave."""

    GAUGE = "gauge"
    COUNT = "count"  # events per bucket
    RATE = "rate"  # events per second
    RATIO = "ratio"  # numerator of totals
    LATENCY = "latency"


class Harm(StrEnum):
    """In which direction a change hurts users."""

    UP = "up"
    DOWN = "down"
    EITHER = "either"


FEW_EVENTS = 5.0  # more in a window: whoever sees so few of what hardly ever happens sees enough


class Role(StrEnum):
    """What a signal counts for."""

    REQUIRED = "required"  # healthy needs it measured to the end
    SUPPORTING = "supporting"  # may show harm, is not needed for healthy
    CONTROL = "control"  # a series that the deploy cannot touch


class Mode(StrEnum):
    """What the watcher may do about a regressed deploy."""

    OBSERVE = "observe"
    ASK = "ask"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing to watch.

    Attributes:
        source: name of the metric source or ticket system that measures it.
        is_tickets: whether `source` names a ticket system.
        step: bucket width in seconds.
        settle: seconds that a point needs until it is final, beyond what the source itself says.
        min_effect: relative change below which no harm is called (0.03 is 3 %).
        default_effect: nobody has set `min_effect`: of a share near everything it is a change of what that leaves out.
        must_see: relative harm that the window must be able to show, or the signal is too weak for `healthy`; of rare
            events that are harm, FEW_EVENTS more will do.
        control: name of a control signal of the same service, or None.
        query: what the adapter is asked; its own `Query` model has validated it.
    """

    name: str
    kind: Kind
    harm: Harm
    source: str
    step: float
    is_tickets: bool = False
    role: Role = Role.REQUIRED
    settle: float = 0.0
    min_effect: float = 0.0
    default_effect: bool = False
    must_see: float = 0.3
    control: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)


def default_must_see(min_effect: float, harm: Harm) -> float:
    """What a window must be able to show if nobody says: what just passes `min_effect` is measured below it half of the
    time. Nothing falls by more than all of it.
    """
    wanted = max(0.3, round(1.5 * min_effect, 6))
    return min(wanted, 1.0) if harm is Harm.DOWN else wanted


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing is rolled back without a person, on the clocks of `zone` (an IANA name).

    `start` and `end` are both `18:00` (every day), `fri 17:00` (every week) or `2026-12-20 18:00` (once);
    `verdict.freezes` reads them. `why` is for people.
    """

    start: str
    end: str
    zone: str = "UTC"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """The policy for one service. Durations are seconds.

    Attributes:
        match: attribute of a deploy event -> glob pattern; all must match.
        window: length of the metric window after the deploy has finished.
        ticket_window: length of the ticket window; at least `window`.
        step: time between looks.
        history: how far back the service's own history is read.
        false_rollback_probability: per watch, over all looks and signals.
        rollback: name of the rollback target, or None.
        recovery_window: how long after a rollback the signals may take to be seen to recover.
        approval_timeout: how long an approval is waited for in mode `ask`.
        notify: names of notifiers.
        rollbacks_per_hour: how many may go without a person's word; beyond that only an approval is asked for.
        freeze: when only an approval is asked for.
        blind_after: how long a required signal may go unmeasured until somebody is told; None: as the engine sees fit.
        warm_up: how long from a deploy's beginning on nothing is judged, as the new version starts cold.
        zone: IANA name of the time zone that users live in; None: nobody says.
        depends_on: names of services whose deploys can harm this one too; None: all of the same environment.
    """

    name: str
    match: Mapping[str, str]
    signals: tuple[Signal, ...]
    mode: Mode = Mode.OBSERVE
    window: float = 3600.0
    ticket_window: float = 3600.0
    step: float = 60.0
    history: float = 14 * 86400.0
    false_rollback_probability: float = 0.01
    rollback: str | None = None
    recovery_window: float = 1800.0
    approval_timeout: float = 1800.0
    notify: tuple[str, ...] = ()
    rollbacks_per_hour: int = 1
    freeze: tuple[Freeze, ...] = ()
    blind_after: float | None = None
    depends_on: tuple[str, ...] | None = None
    warm_up: float = 0.0
    zone: str | None = None

    def signal(self, name: str) -> Signal:
        return next(signal for signal in self.signals if signal.name == name)
