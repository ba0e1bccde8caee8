"""Half a minute of deploys, faults and restarts at random, two replicas; `tests/soak` has twenty minutes of three."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.everything import Chaos
from support.fleet import names, surroundings
from support.replicas import replicas

SECONDS = 25.0


@pytest.mark.postgresql
def test_faults_at_random(tmp_path: Path) -> None:
    seed = random.randrange(1000)
    with surroundings() as around, replicas(tmp_path, around.config(names(200)), 2) as fleet:
        chaos = Chaos(fleet, around, random.Random(seed), bad_share=0.5, together=3)
        chaos.rages(SECONDS, pause=2.0)
        print(f"{SECONDS:g} s, seed {seed}: {chaos.all_is_well()}")
