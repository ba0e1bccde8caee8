"""When to look, and which look is the last. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from watcher.model.decision import Outcome
from watcher.model.series import Series
from watcher.model.service import Role, Signal
from watcher.model.watch import Watch, WatchState

_SOON = 5.0  # seconds until the next look while only the last points are still to come
_AWAITED = frozenset({Role.REQUIRED, Role.CONTROL})
_PATIENCE = 30.0  # least seconds that late points are waited for
_LATE = 10.0  # seconds by which a look is no longer in time


def grace(watch: Watch) -> float:
    """How long after a window's end its last points are waited for, in seconds."""
    signals = watch.policy.signals
    return max(3 * max(signal.step for signal in signals), _PATIENCE) + max(signal.settle for signal in signals)


def is_last_look(watch: Watch, at: float, recent: Mapping[str, Series]) -> bool:
    """Whether this look ends the metric window: it is over, and its points are in or no longer waited for."""
    # Without its control a signal is judged otherwise: that is waited for as well.
    needed = [signal for signal in watch.policy.signals if signal.role in _AWAITED and not signal.is_tickets]
    return at >= watch.until and (
        at >= watch.until + grace(watch) or all(_complete(signal, recent, watch.until) for signal in needed)
    )


def is_last_ticket_look(watch: Watch, at: float, recent: Mapping[str, Series]) -> bool:
    """Whether this look ends the ticket window, and with it the watch."""
    tickets = [signal for signal in watch.policy.signals if signal.is_tickets]
    return (
        at >= watch.ticket_until
        and is_last_look(watch, at, recent)
        and (
            at >= watch.ticket_until + grace(watch)
            or all(_complete(signal, recent, watch.ticket_until) for signal in tickets)
        )
    )


def next_look(watch: Watch, at: float) -> float:
    """When to look after the look at `at`: a step later, but never past a window's end without a look on it."""
    step = watch.policy.step
    after = at + step
    if watch.state is WatchState.RECOVERING or watch.outcome is Outcome.REGRESSED:
        return after
    for end in (watch.until, watch.ticket_until):
        if at < end < after:
            return end
        if at >= end and (watch.decided_at is None or end == watch.ticket_until):
            after = min(after, at + _SOON)
    return after


def awaits_points(watch: Watch, at: float) -> bool:
    """Whether a window is over at `at`, and only its last points are still to come."""
    if watch.state is WatchState.RECOVERING or watch.outcome is Outcome.REGRESSED:
        return False
    return at >= watch.ticket_until or (at >= watch.until and watch.decided_at is None)


def due(watch: Watch, at: float, now: float) -> float:
    """When the look after the one at `at` is to be made, if that was made at `now`.

    Looks that were missed follow at once, but not those that only wait for late points: whoever comes back after a
    window gives its sources the same grace as if it had been there.
    """
    after = next_look(watch, at)
    return max(after, now + _SOON) if awaits_points(watch, at) and now - at > _LATE else after


def time_of(watch: Watch, now: float) -> float:
    """Of the next look at a watch, which is made at `now`: when it is due.

    One that waits for late points goes on from the last look instead: what passed while nobody looked, which is to
    say for a third of the grace, was no waiting.
    """
    at = now if watch.next_look_at is None else watch.next_look_at
    last = watch.last_look_at
    if last is None or not awaits_points(watch, last):
        return at
    late = max(now - at, 0.0)
    waited = late // _SOON * _SOON if late <= grace(watch) / 3 else 0.0
    return min(at, next_look(watch, last)) + waited


def gives_up(watch: Watch, now: float) -> bool:
    """Whether histories that could not be read are no longer waited for at the next look."""
    return time_of(watch, now) >= watch.until + grace(watch)


def newest(watch: Watch, at: float, since: float) -> float:
    """The newest time of a look up to `since`, in steps from the look at `at`; `at` itself if it is later."""
    step = watch.policy.step
    return at + max(math.floor((since - at) / step), 0) * step


def _complete(signal: Signal, recent: Mapping[str, Series], end: float) -> bool:
    series = recent.get(signal.name)
    last_bucket = math.floor(end / signal.step) * signal.step
    return series is not None and series.complete_until >= last_bucket
