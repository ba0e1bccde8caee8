"""Services deployed about together over one signal, by the true mathematics: who is blamed for what befalls it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.signals import DEPLOY, day_curve, times

from watcher.engine.replay import run_case

MINUTES = 60.0
STEP = 60.0


def drop(at: float, seed: int) -> dict[str, Any]:
    """Orders a minute that fall by 30 % at the moment `at`."""
    ends = times()
    hit = np.clip((ends - at) / STEP, 0.0, 1.0)
    counts = np.random.default_rng(seed).poisson(100.0 * day_curve(ends) * (1 - 0.3 * hit)).astype(float)
    shape = {"name": "orders", "kind": "count", "harm": "down", "step": STEP, "min_effect": 0.03}
    return shape | {"times": ends.tolist(), "values": counts.tolist()}


def results(offset: float, guilty: float, seed: int = 7, phase: float = 0.0) -> tuple[dict[str, Any], dict[str, Any]]:
    """What becomes of `checkout`, deployed first, and of `search`, deployed `offset` seconds later."""
    first = DEPLOY + phase
    services = {"checkout": first, "search": first + offset}
    orders = drop(first + guilty, seed)

    def judged(name: str) -> dict[str, Any]:
        others = [{"id": "7", "service": other, "deployed_at": at} for other, at in services.items() if other != name]
        case = {"id": name, "service": name, "deployed_at": services[name], "until": DEPLOY + 60 * MINUTES}
        return run_case(case | {"signals": [orders], "deploys": others})

    return judged("checkout"), judged("search")


@pytest.mark.parametrize("offset", [0.0, 20.0, 59.0])
def test_deployed_together_neither_is_blamed_and_each_names_the_other(offset: float) -> None:
    checkout, search = results(offset, 0.0)
    for result, other in ((checkout, "search 7"), (search, "checkout 7")):
        assert (result["outcome"], result["reason"]) == ("inconclusive", "ambiguous_deploys"), result["sentence"]
        assert f"{other} was deployed" in result["sentence"]
        assert result["score"] < 2


@pytest.mark.parametrize("phase", [0.0, 20.0, 45.0])
@pytest.mark.parametrize("offset", [20.0, 59.0])
@pytest.mark.parametrize("late", [False, True])
def test_whichever_did_it_and_however_buckets_lie_neither_is_rolled_back(
    offset: float, late: bool, phase: float
) -> None:
    """The second one may be acquitted, for what came before it; it is never blamed."""
    outcomes = [result["outcome"] for result in results(offset, offset if late else 0.0, phase=phase)]
    assert outcomes == ["inconclusive"] * 2


@pytest.mark.parametrize(
    ("guilty", "expected"), [(0.0, ["regressed", "inconclusive"]), (30.0, ["inconclusive", "regressed"])]
)
def test_half_an_hour_apart_the_right_one_is_called(guilty: float, expected: list[str]) -> None:
    found = results(30 * MINUTES, guilty * MINUTES)
    assert [result["outcome"] for result in found] == expected
    blamed = found[expected.index("regressed")]
    assert "no other deploy fits the time better" in blamed["sentence"]
