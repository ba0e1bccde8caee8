"""Who has to go when there are too many, or when they hold too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watcher.web.crowd import MOST_CONNECTIONS, MOST_HELD, NEVER_TOO_LARGE, Crowd


def test_the_longest_waited_for_of_the_client_with_most_leaves() -> None:
    crowd: Crowd[int] = Crowd(most=5)
    assert [crowd.join(number, client) for number, client in enumerate("abbba")] == [None] * 5
    crowd.go_on(1)
    assert crowd.join(5, "c") == 0, "of a and b, with two each that wait, who came first"
    crowd.go_on(0)
    assert crowd.join(6, "c") == 2


def test_who_waits_for_us_never_leaves_and_room_for_a_fifth_of_others_remains() -> None:
    crowd: Crowd[int] = Crowd(most=10)
    for number in range(8):
        crowd.join(number, "a")
        crowd.go_on(number)
    at_first = crowd.busy
    assert [crowd.join(8, "b"), crowd.join(9, "b"), crowd.join(10, "c")] == [None, None, 8]
    crowd.leave(8)
    crowd.go_on(9)
    assert (at_first, crowd.busy) == (False, True)
    assert crowd.join(11, "c") is None, "more than ten, but those two have just come"
    assert crowd.join(12, "c") == 10


def test_the_largest_leaves_and_nobody_for_little() -> None:
    crowd: Crowd[str] = Crowd(most_held=100_000)
    for member in ("little", "much", "whole"):
        crowd.join(member, "a")
    assert crowd.hold("whole", 90_000) is None
    crowd.came("whole")
    assert crowd.hold("much", 9_000) is None
    assert crowd.hold("little", 2_000) is None, "too much, but nobody is to blame"
    assert crowd.hold("much", NEVER_TOO_LARGE) == "much"
    crowd.leave("much")
    crowd.release("whole")
    assert crowd.held == 2_000
    assert crowd.hold("much", 10**9) is None, "it has gone"


def test_what_is_never_too_large_fits_for_everybody() -> None:
    assert NEVER_TOO_LARGE * MOST_CONNECTIONS <= MOST_HELD
    assert NEVER_TOO_LARGE >= 32_000


_STEPS = st.tuples(st.sampled_from(["join", "leave", "wait", "go_on", "hold", "came", "release"]), st.integers(0, 9))


@given(st.lists(_STEPS, max_size=80))
def test_it_never_grows_beyond_its_room_and_forgets_whoever_left(steps: list[tuple[str, int]]) -> None:
    crowd: Crowd[int] = Crowd(most=5, most_held=10 * NEVER_TOO_LARGE)
    present: set[int] = set()
    for step, member in steps:
        leaves = None
        if step == "join":
            if member not in present:
                leaves = crowd.join(member, str(member % 3))
                present.add(member)
        elif step == "hold":
            leaves = crowd.hold(member, 2 * NEVER_TOO_LARGE)
        else:
            getattr(crowd, step)(member)
            present -= {member} if step == "leave" else set()
        if leaves is not None:
            assert leaves in present
            crowd.leave(leaves)
            present.discard(leaves)
        assert len(crowd) == len(present)
    for member in present:
        crowd.leave(member)
    assert (len(crowd), crowd.held, crowd.busy) == (0, 0, False)
