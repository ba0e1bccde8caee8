"""What customers write is enough: a surge of tickets alone, on a real helpdesk, rolls a deploy back."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from support.real_shop import STEP, Shop
from support.request_tracker import PASSWORD, USER, RequestTracker
from support.scene import WINDOW, make_scene

_DESK = """
ticket_systems:
  desk: {{kind: request_tracker, url: "{url}", username: {user}, password: {password}}}
"""
_TICKETS = """
      tickets: {tickets: desk, kind: count, harm: up, step: 30s, query: {queue: General}}
"""
_PER_HOUR = 12
_SURGE = 20


@pytest.mark.prometheus
@pytest.mark.request_tracker
def test_a_surge_of_tickets_alone_is_found(tmp_path: Path) -> None:
    now = time.time()
    deployed_at = (now // STEP) * STEP - WINDOW - 30
    rng = np.random.default_rng(7)
    quiet = np.sort(rng.uniform(now - 6 * 3600, now, 6 * _PER_HOUR))
    surge = np.linspace(deployed_at + 20, now - 20, _SURGE)
    with RequestTracker(tmp_path / "desk") as desk:
        desk.seed([(at, "Where is my parcel?") for at in quiet])
        desk.seed([(at, f"Cannot pay, write to anna{number}@example.org") for number, at in enumerate(surge)])
        extra = _DESK.format(url=desk.url, user=USER, password=PASSWORD)
        with make_scene(tmp_path, [Shop("complained")], deployed_at, extra=extra, signals=_TICKETS) as scene:
            _, answer = scene.announce("complained")
            (watch_id,) = answer["watch_ids"]
            scene.daemon.wait_for(lambda: scene.rollbacks("complained"))
            watch = scene.watch(watch_id)
            assert (watch["outcome"], watch["reason"]) == ("regressed", "ticket_surge"), watch["sentence"]
            page = scene.daemon.text(f"/watches/{watch_id}")
            assert "Cannot pay" in page
            assert "@example.org" not in page
            assert len(scene.rollbacks("complained")) == 1
