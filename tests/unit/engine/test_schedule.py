"""When looks fall, and which is the last."""

from __future__ import annotations

import pytest
from support.made import NOW, service, signal, tickets, watch

from watcher.engine import schedule
from watcher.model.series import empty_series
from watcher.model.watch import Watch, WatchState

BOTH = service(signals=(signal(), tickets()))


def looks(of: Watch, count: int) -> list[float]:
    at = of.finished_at
    found = []
    for _ in range(count):
        at = schedule.next_look(of, at)
        found.append(at - NOW)
    return found


def test_a_look_falls_on_the_end_of_the_window() -> None:
    assert looks(watch(until=NOW + 150, ticket_until=NOW + 150), 3) == [60, 120, 150]


def test_while_late_points_are_awaited_looks_come_soon() -> None:
    assert looks(watch(until=NOW + 60, ticket_until=NOW + 60), 3) == [60, 65, 70]


def test_between_the_windows_looks_keep_their_step() -> None:
    decided = watch(until=NOW + 60, ticket_until=NOW + 200, decided_at=NOW + 60)
    assert looks(decided, 4) == [60, 120, 180, 200]


def test_recovery_is_watched_at_the_same_step() -> None:
    assert looks(watch(state=WatchState.RECOVERING, until=NOW + 60, ticket_until=NOW + 60), 3) == [60, 120, 180]


@pytest.mark.parametrize(
    ("at", "complete_until", "last"),
    [
        (NOW + 3540, NOW + 3600, False),
        (NOW + 3600, NOW + 3600, True),
        (NOW + 3600, NOW + 3540, False),
        (NOW + 3600 + 179, NOW + 3540, False),
        (NOW + 3600 + 180, NOW + 3540, True),  # three steps later it is no longer waited for
    ],
)
def test_the_last_look_has_its_points_or_has_waited_long_enough(at: float, complete_until: float, last: bool) -> None:
    recent = {"conversion": empty_series(60.0, complete_until)}
    assert schedule.is_last_look(watch(), at, recent) is last


def test_a_supporting_signal_is_not_waited_for_but_tickets_end_the_watch() -> None:
    both = watch(policy=BOTH, ticket_until=NOW + 7200)
    recent = {"conversion": empty_series(60.0, NOW + 3600)}
    assert schedule.is_last_look(both, NOW + 3600, recent)
    assert not schedule.is_last_ticket_look(both, NOW + 7200, recent)
    recent["tickets"] = empty_series(60.0, NOW + 7200)
    assert schedule.is_last_ticket_look(both, NOW + 7200, recent)
    assert not schedule.is_last_ticket_look(both, NOW + 7100, recent)


def test_missed_looks_follow_at_once_but_those_that_only_wait_take_their_time() -> None:
    late = NOW + 90_000
    assert schedule.due(watch(), NOW + 60, late) == NOW + 120
    assert schedule.due(watch(), NOW + 3600, NOW + 3600.5) == NOW + 3605, "in time"
    assert schedule.due(watch(), NOW + 3600, late) == late + 5
    rolled_back = watch(state=WatchState.RECOVERING)
    assert schedule.due(rolled_back, NOW + 3600, late) == NOW + 3660


def test_what_passed_while_nobody_looked_was_no_waiting() -> None:
    late = NOW + 90_000
    waits = watch(last_look_at=NOW + 3600, next_look_at=NOW + 3605)
    assert schedule.time_of(waits, late) == NOW + 3605
    assert schedule.time_of(waits, NOW + 3605.4) == NOW + 3605
    assert schedule.time_of(waits, NOW + 3605 + 61) == NOW + 3605
    assert schedule.time_of(waits, NOW + 3605 + 59) == NOW + 3605 + 55, "a busy machine did look"
    assert not schedule.gives_up(waits, late)
    since = watch(last_look_at=NOW + 3600 + 176, next_look_at=late)  # it came back three minutes ago
    assert (schedule.time_of(since, late + 1), schedule.gives_up(since, late + 1)) == (NOW + 3600 + 181, True)
    assert schedule.time_of(watch(last_look_at=NOW + 600, next_look_at=NOW + 660), late) == NOW + 660
    assert schedule.time_of(watch(next_look_at=NOW + 60), late) == NOW + 60
