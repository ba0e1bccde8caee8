"""Of a quiet case one look tells what all do: the short way and the long one come to the same result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from watcher.engine.cases import parse_case
from watcher.engine.replay import every_look, prepared, telling_looks

STEP, START, LOOKS, PAST = 60, 1_700_006_400, 30, 600


def a_case(seed: int) -> dict[str, Any]:
    """Sometimes with harm that is hardly seen, gaps, a burst before the deploy, harm that has passed, few events."""
    rng = np.random.default_rng(seed)
    size = PAST + LOOKS
    mean = float(rng.choice([0.05, 2.0, 30.0, 400.0]))
    level = np.full(size, mean)
    level[PAST + int(rng.integers(LOOKS)) :] *= 1 - rng.choice([0.0, 0.0, 0.1, 0.3, 0.6])
    level[size - int(rng.integers(1, 15)) :] = mean
    level[PAST - 40 : PAST - int(rng.integers(1, 40))] *= rng.choice([1.0, 1.0, 0.6])
    values: list[float | None] = rng.poisson(level).astype(float).tolist()
    for place in rng.integers(0, size, int(rng.choice([0, 5, 60]))).tolist():
        values[place] = None
    signal = {"name": "orders", "kind": "count", "harm": "down", "step": STEP, "values": values}
    signal["times"] = [START + STEP * (place - PAST + 1) for place in range(size)]
    return {"id": seed, "deployed_at": START, "until": START + LOOKS * STEP, "signals": [signal]}


def test_the_last_look_tells_what_all_do() -> None:
    lengths = []
    for seed in range(130):
        case = parse_case(a_case(seed))
        ready = prepared(case, 0.05)
        few, every = list(telling_looks(case, *ready)), list(every_look(case, *ready))
        lengths.append(len(few))
        assert [seen.called for seen in few].count(True) == [seen.called for seen in every].count(True), seed
        assert (few[-1].decision.outcome, few[-1].decision.reason) == (
            every[-1].decision.outcome,
            every[-1].decision.reason,
        ), seed
        highest = [max(seen.decision.score for seen in each) for each in (few, every)]
        assert highest[0] == pytest.approx(highest[1], abs=1e-9), seed
    assert lengths.count(1) > 10
    assert lengths.count(LOOKS) > 35, "both ways are taken"
    assert set(lengths) == {1, LOOKS}


def test_a_case_with_a_control_is_looked_at_every_time() -> None:
    case = a_case(0)
    control = {**case["signals"][0], "name": "elsewhere", "role": "control", "harm": "either"}
    parsed = parse_case(case | {"signals": [*case["signals"], control]})
    assert len(list(telling_looks(parsed, *prepared(parsed, 0.01)))) == LOOKS
