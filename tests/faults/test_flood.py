"""Deploys at 300 a second for a few seconds and `kill -9` at the end; `tests/soak` has the full minute."""

from __future__ import annotations

from pathlib import Path

from support.flood import flood

SECONDS = 5.0


def test_what_was_acknowledged_survives_a_kill_under_load(tmp_path: Path) -> None:
    flooded = flood(tmp_path, SECONDS)
    print(flooded)
    assert flooded.acknowledged > 50
    assert flooded.lost == 0
    assert not flooded.refused
