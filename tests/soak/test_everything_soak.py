"""Deploys, faults and restarts at random, for `SOAK_MINUTES`: memory and file handles stay flat, no thread is lost, no
error goes unlogged, every bad deploy is rolled back once, and no good one is.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from support.everything import PAUSE, Chaos
from support.fleet import names, surroundings
from support.replicas import replicas

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.timeout(int(MINUTES * 60 + 600))
def test_faults_at_random(tmp_path: Path) -> None:
    number = int(2 * MINUTES * 60 / PAUSE) + 1  # half a pause is the least that a step takes
    with surroundings() as around, replicas(tmp_path, around.config(names(number)), 3) as fleet:
        chaos = Chaos(fleet, around, random.Random(7))
        chaos.rages(MINUTES * 60)
        print(f"\n{MINUTES:g} minutes, {chaos.all_is_well()}; the replica that lived: {chaos.watched}")
    watched = chaos.watched
    assert watched.growth(watched.memory) < 15.0
    assert watched.growth(watched.files) <= 8
    assert watched.growth(watched.threads) <= 4
