"""Deploys at 300 a second for a minute and `kill -9` at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.flood import flood

SECONDS = 60.0


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_was_acknowledged_survives_a_kill_under_load(tmp_path: Path) -> None:
    flooded = flood(tmp_path, SECONDS)
    print(f"\nload: {flooded}")
    assert flooded.lost == 0
    assert not flooded.refused
