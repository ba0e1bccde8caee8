"""Fifty watches at once by the benchmark's own way, on a real Prometheus: its figures are printed, few are asserted."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import capacity

WATCHES = 50
SECONDS = 12.0  # a little more than a bucket


@pytest.mark.prometheus
def test_many_watches_are_all_looked_at_with_few_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets of ten seconds and a history of hours, so that it is over soon."""
    small = capacity._CONFIG.replace("scrape_interval: 1m", "scrape_interval: 10s")
    small = small.replace("history: 3d", "history: 2h").replace("window: 2h", "window: 30m")
    monkeypatch.setattr(capacity, "_CONFIG", small.replace("{source: prom,", "{source: prom, step: 10s,"))
    monkeypatch.setattr(capacity, "_PAST", 2 * 3600)
    monkeypatch.setattr(capacity, "_STEP", 10)
    monkeypatch.setattr(capacity, "_STEP_OF_LOOKS", 5.0)
    monkeypatch.setattr(capacity, "_SETTLED", 2.0)
    row = capacity._measured(tmp_path, WATCHES, Namespace(begin=WATCHES, seconds=SECONDS))
    print(capacity._table([row]))
    assert row.load.first == WATCHES  # it goes on only once each was looked at
    assert 0 < row.queries < 1
