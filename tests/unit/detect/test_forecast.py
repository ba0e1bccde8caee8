"""What the minutes before say of the next one: for the history at once, and look by look after the deploy."""

from __future__ import annotations

import numpy as np
import pytest

from watcher.detect.forecast import Fitted, Forecast, means, middles
from watcher.detect.memory import Memory

LENGTHS = (1, 3, 8, 21)


@pytest.mark.parametrize("past", [21, 100])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_means_since_the_deploy_are_those_of_the_whole_series(past: int, missing: float) -> None:
    rng = np.random.default_rng(past)
    w = np.where(rng.random(past + 40) < missing, 0.0, rng.uniform(1, 3, past + 40))
    z = rng.standard_normal(past + 40) * (w > 0)
    kappa = np.array([0.1, 0.2, 0.3, 0.4])
    nothing = np.zeros(past)
    fitted = Fitted(Forecast(LENGTHS, np.ones(4), kappa), z[:past], z[:past], w[:past], nothing, nothing, nothing)
    memory = Memory.of(fitted, z[:past], w[:past], w[:past] == 0)
    for looks in (1, 2, 40):
        whole = means(z[: past + looks], w[: past + looks], LENGTHS, kappa, past)
        since = memory.means(z[past : past + looks], w[past : past + looks], LENGTHS, kappa)
        np.testing.assert_allclose(since, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("start", [0, 5, 14, 60])
def test_running_medians_from_the_middle_are_those_of_the_whole(start: int) -> None:
    rng = np.random.default_rng(start)
    z, known = rng.standard_normal(90), rng.random(90) > 0.2
    np.testing.assert_array_equal(middles(z, known, start), middles(z, known)[start:])
