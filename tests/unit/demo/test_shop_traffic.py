from itertools import pairwise

import numpy as np
import pytest

from watcher.demo.metrics import Totals
from watcher.demo.shop import STEP, Shop
from watcher.demo.traffic import (
    CONVERSION,
    ERROR_SHARE,
    QUESTIONS_PER_SECOND,
    SESSIONS_PER_SECOND,
    VERSIONS,
    WANDERING,
    Traffic,
    wave,
)

NOW = 1_780_000_001.3


def _lived(version: str, seconds: float, tick: float) -> tuple[Totals, int, int]:
    traffic, totals, questions, complaints = Traffic(seed=7), Totals(), 0, 0
    for index in range(round(seconds / tick)):
        seen = traffic.tick(NOW + index * tick, tick, VERSIONS[version])
        totals = totals.plus(seen)
        questions += seen.questions
        complaints += seen.complaints
    return totals, questions, complaints


def test_the_law_has_the_means_that_it_names() -> None:
    totals, questions, _ = _lived("v1", 7200, 2.0)
    assert totals.sessions / 7200 == pytest.approx(SESSIONS_PER_SECOND, rel=0.15)
    assert totals.orders / totals.sessions == pytest.approx(CONVERSION, rel=0.02)
    assert totals.errors / totals.requests.sum() == pytest.approx(ERROR_SHARE, rel=0.03)
    assert questions / 7200 == pytest.approx(QUESTIONS_PER_SECOND, rel=0.1)
    assert 0.7 < wave(NOW) < 1.3


def test_short_ticks_of_the_present_obey_the_same_law_as_long_ones_of_the_past() -> None:
    past, _, _ = _lived("v1", 1200, STEP)
    present, _, _ = _lived("v1", 1200, 0.2)
    assert present.sessions == pytest.approx(past.sessions, rel=0.08)
    assert present.orders / present.sessions == pytest.approx(past.orders / past.sessions, rel=0.05)
    assert present.errors / present.requests.sum() == pytest.approx(past.errors / past.requests.sum(), rel=0.06)


def test_v2_changes_nothing_and_v3_hurts() -> None:
    good, _, quiet = _lived("v2", 1200, 2.0)
    bad, _, loud = _lived("v3", 1200, 2.0)
    assert VERSIONS["v2"] == VERSIONS["v1"]
    lost = 1 - (bad.orders / bad.sessions) / (good.orders / good.sessions)
    assert 0.35 < lost < 0.41
    assert bad.errors / bad.requests.sum() > 1.25 * good.errors / good.requests.sum()
    assert bad.seconds_spent / bad.requests.sum() > 1.08 * good.seconds_spent / good.requests.sum()
    assert loud > 5 * quiet > 0


def test_what_wanders_has_the_spread_that_is_named_whatever_the_tick() -> None:
    for seconds in (0.3, 2.0):
        traffic = Traffic(seed=9)
        drawn = np.log([traffic._wander(seconds)["latency"] for _ in range(4000)])
        assert drawn.std() == pytest.approx(WANDERING["latency"][0], rel=0.2)


def test_a_seed_gives_the_same_past_and_another_seed_another() -> None:
    def orders(seed: int) -> str:
        return Shop(NOW, seed=seed, past=60).history(NOW)

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)


def test_the_live_counters_go_on_from_the_end_of_the_past() -> None:
    shop = Shop(NOW, seed=3, past=600)
    end = shop._samples[-1][1]
    shop.advance(NOW + 10)
    assert shop._totals.sessions - end.sessions == pytest.approx(SESSIONS_PER_SECOND * 11.3, rel=0.3)
    rates = np.diff([totals.sessions for _, totals in shop._samples])
    assert rates.min() > 0.5 * rates.mean()
    assert rates.max() < 1.7 * rates.mean()


def test_points_of_the_past_stand_on_whole_steps() -> None:
    shop = Shop(NOW, seed=3, past=600)
    shop.advance(NOW + 0.7)
    shop.advance(NOW + 7)
    times = [at for at, _ in shop._samples]
    assert {later - sooner for sooner, later in pairwise(times)} == {STEP}
    assert times[0] % STEP == 0
    assert len(times) == 301
