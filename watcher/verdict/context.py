"""What a verdict must know beside the mathematics: the deploy, its window, the policy, and who else deployed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from watcher.model.service import Role, Signal


@dataclass(frozen=True, slots=True)
class Nearby:
    """Another deploy around the time of ours. Times are unix seconds; `finished_at` None while it goes on."""

    service: str
    environment: str
    version: str
    started_at: float
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The facts of one look at one watch. Times are unix seconds.

    Attributes:
        until: end of the metric window; `ticket_until`: end of the window of ticket signals, never earlier.
        signals: the whole policy, controls included.
        failed_sources: signal name -> short text of what its source's last answer was, for those that failed now.
        nearby: other deploys around this one.
        depends_on: services whose deploys can harm this one too; None: all.
        warm_up: seconds from `started_at` on in which nothing is judged.
        last_look: the look that ends the metric window: all data are in, or are no longer waited for.
        last_ticket_look: the same of the ticket window; after it nothing changes any more.
    """

    service: str
    environment: str
    version: str
    started_at: float
    finished_at: float
    until: float
    ticket_until: float
    false_rollback_probability: float
    signals: tuple[Signal, ...]
    failed_sources: Mapping[str, str]
    nearby: tuple[Nearby, ...] = ()
    depends_on: tuple[str, ...] | None = None
    warm_up: float = 0.0
    last_look: bool = False
    last_ticket_look: bool = False

    @property
    def final(self) -> bool:
        """Whether this look must say something."""
        return self.last_look or self.last_ticket_look

    @property
    def threshold(self) -> float:
        """The score from which on harm is called."""
        return -math.log10(self.false_rollback_probability)

    @property
    def watched(self) -> tuple[Signal, ...]:
        """The signals that can speak; a control only serves to compare with."""
        return tuple(signal for signal in self.signals if signal.role is not Role.CONTROL)

    def end(self, signal: Signal) -> float:
        """Up to when `signal` must have been measured at a final look."""
        return self.ticket_until if signal.is_tickets and self.last_ticket_look else self.until
