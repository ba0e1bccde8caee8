"""Who claims, and when: late by little, and never by more than the steps of what is watched allow."""

from __future__ import annotations

import pytest

from watcher.engine.rhythm import Rhythm
from watcher.kit import clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: at[0])
    return at


@pytest.mark.parametrize(
    ("steps", "full", "wait"),
    [
        ([30.0] * 9, False, 1.5),
        ([30.0, 1.0, 60.0], False, 0.5),  # the shortest step counts
        ([3600.0], False, 2.0),
        ([], False, 0.5),
        ([30.0] * 100, True, 0.0),
    ],
)
def test_the_next_claim_waits_for_company(now: list[float], steps: list[float], full: bool, wait: float) -> None:
    rhythm = Rhythm(0.5, 2.0)
    assert rhythm.admits()
    assert not rhythm.admits(), "one of the workers is enough"
    rhythm.claimed(steps, full=full)
    now[0] += wait - 0.01 if wait else 0.0
    assert rhythm.admits() is (wait == 0)
    now[0] += 0.02
    assert rhythm.admits() is (wait > 0)


def test_a_worker_that_failed_to_claim_stops_nobody_for_long(now: list[float]) -> None:
    rhythm = Rhythm(0.5, 2.0)
    assert rhythm.admits()
    now[0] += 0.5
    assert rhythm.admits()


def test_without_a_rhythm_everybody_may_always() -> None:
    rhythm = Rhythm()
    for _ in range(3):
        assert rhythm.admits()
        rhythm.claimed([30.0], full=False)
