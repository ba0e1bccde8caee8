"""A chart's band is what the looks would have written, whoever makes it and whenever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from support.made import deploy, service, signal, watch
from support.sqlite_store import sqlite_store

from watcher import detect
from watcher.engine.bands import Bands
from watcher.model.finding import Band
from watcher.model.series import Series
from watcher.model.service import Kind, Signal
from watcher.store import deploys, looks, watches

STEP = 60.0
START = 1_800_000_000.0 // STEP * STEP + 20  # within a bucket
SIGNALS = (
    signal("conversion", kind=Kind.RATIO),
    signal("orders", kind=Kind.COUNT),
    signal("queue", kind=Kind.GAUGE),
    signal("p95", kind=Kind.LATENCY),
)
WATCH = watch(
    started_at=START,
    finished_at=START,
    until=START + 1800,
    ticket_until=START + 1800,
    policy=service(signals=SIGNALS, window=1800.0, step=STEP),
)


def measured(kind: Kind, start: float, end: float) -> Series:
    times = np.arange(start // STEP + 1, end // STEP + 1) * STEP
    rng = np.random.default_rng(7)
    day = 1 + 0.3 * np.sin(times / 86400 * 2 * np.pi)
    totals = rng.poisson(300 * day).astype(float) if kind is Kind.RATIO else None
    values = rng.poisson(200 * day).astype(float) if totals is None else np.floor(totals * 0.05)
    values[len(values) // 2] = np.nan
    return Series(times, values if kind is not Kind.LATENCY else values / 1000, STEP, end, totals)


@pytest.fixture(scope="module")
def calibration() -> detect.Calibration:
    return detect.calibrate(WATCH.plan, {each.name: measured(each.kind, START - 86400, START) for each in SIGNALS})


@pytest.mark.parametrize("each", SIGNALS, ids=lambda each: each.kind.value)
def test_made_at_once_or_piece_by_piece_it_is_the_same(
    each: Signal, calibration: detect.Calibration, tmp_path: Path
) -> None:
    name, kind = each.name, each.kind
    before, since = measured(kind, START - 7200, START), measured(kind, START, START + 1800)
    database = sqlite_store(tmp_path)
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, WATCH)
        looks.keep_calibration(tx, WATCH.id, START, calibration.to_bytes())
        looks.add_points(tx, WATCH.id, name, before, detect.band(calibration, name, before))
        looks.append_points(tx, WATCH.id, {name: (since, None)})
    pieces: list[Band] = [detect.band(calibration, name, since.between(at - STEP, at + STEP / 2)) for at in since.times]
    with database.read() as tx:
        stored = looks.chart(tx, WATCH.id, name)
        shown = Bands()(tx, WATCH, name, stored)
    later = shown.times > START
    assert np.isnan(stored.expected[later]).all()
    assert np.isfinite(shown.expected[later]).all()
    for part in ("expected", "low", "high"):
        assert getattr(shown, part)[later].tolist() == [float(getattr(piece, part)[0]) for piece in pieces]
        np.testing.assert_array_equal(getattr(shown, part)[~later], getattr(stored, part)[~later])
    with database.write() as tx:
        looks.keep_band(tx, WATCH.id, name, detect.band(calibration, name, since))
        tx.execute(text("update calibrations set data = x'00'"))  # as another engine's
        assert looks.chart(tx, WATCH.id, name).high.tolist() == shown.high.tolist()
    database.close()


def test_without_the_calibration_the_chart_is_what_is_stored(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    since = measured(Kind.COUNT, START, START + 600)
    with database.write() as tx:
        deploys.put(tx, deploy())
        watches.open_watch(tx, WATCH)
        looks.append_points(tx, WATCH.id, {"orders": (since, None)})
        stored = looks.chart(tx, WATCH.id, "orders")
        assert Bands()(tx, WATCH, "orders", stored) is stored
        looks.keep_calibration(tx, WATCH.id, START, b"of another engine")
        assert Bands()(tx, WATCH, "orders", stored) is stored
    database.close()
