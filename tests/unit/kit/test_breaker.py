from __future__ import annotations

import pytest

from watcher.kit.breaker import FAILURES, Breaker, State


def opened(retry_after: float | None = None, jitter: float = 1.0) -> Breaker:
    breaker = Breaker(lambda: jitter)
    for _ in range(1 if retry_after is not None else FAILURES):
        breaker.failed(0.0, retry_after)
    return breaker


def test_a_few_failures_close_nothing_and_a_success_forgets_them() -> None:
    breaker = Breaker(lambda: 1.0)
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.failed(0.0, None)
        assert breaker.state(0.0) is State.CLOSED
        assert breaker.admit(0.0) == 0
        breaker.succeeded()


def test_it_opens_then_lets_one_question_through_and_closes_if_that_is_answered() -> None:
    breaker = opened()
    assert (breaker.state(0.0), breaker.admit(1.0)) == (State.OPEN, 4.0)
    assert breaker.state(5.0) is State.HALF_OPEN
    assert breaker.admit(5.0) == 0
    assert breaker.admit(5.0) > 0, "one is enough to see"
    breaker.succeeded()
    assert (breaker.state(5.0), breaker.admit(5.0)) == (State.CLOSED, 0)


def test_the_wait_doubles_up_to_a_minute_and_begins_anew_after_a_success() -> None:
    breaker, at, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.admit(at))
        at += waits[-1]
        assert breaker.admit(at) == 0
        breaker.failed(at, None)
    assert waits == [5, 10, 20, 40, 60, 60]
    breaker.succeeded()
    for _ in range(FAILURES):
        breaker.failed(at, None)
    assert breaker.admit(at) == pytest.approx(5)


@pytest.mark.parametrize("jitter", [0.8, 1.0, 1.2])
def test_what_it_asked_for_is_never_undercut_and_an_absurd_wish_is_not_granted(jitter: float) -> None:
    assert 300 <= opened(300.0, jitter).admit(0.0) <= 360
    assert opened(1e9, jitter).admit(0.0) <= 3600 * 1.2
    assert opened(0.0, jitter).admit(0.0) >= 4, "nor is it asked again at once"


def test_waits_are_not_alike_in_two_processes() -> None:
    assert opened(None, 0.8).admit(0.0) < opened(None, 1.2).admit(0.0)


def test_a_question_under_way_when_it_opened_does_not_shorten_the_wait() -> None:
    breaker = opened(100.0)
    breaker.failed(1.0, None)
    assert breaker.admit(1.0) == pytest.approx(99)


def test_a_trial_that_never_comes_back_is_given_up() -> None:
    breaker = opened()
    assert breaker.admit(5.0) == 0
    assert breaker.admit(100.0) > 0
    assert breaker.admit(400.0) == 0
