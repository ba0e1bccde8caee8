"""What judging costs: a look, a calibration, a replay, a rehearsal, beside what others take for the same points.

All in processor time, which does not mind what else the machine does, but for the cases a second of a replay.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ruptures import KernelCPD
from scipy import stats

from benchmarks.detection import otava
from watcher import detect
from watcher.engine.rehearse import rehearse
from watcher.engine.replay import replay_line
from watcher.model.series import Series
from watcher.model.service import Harm, Kind, Service, Signal
from watcher.model.watch import WatchPlan

Row = tuple[str, str, str]

_LOOKS = 60
_POINTS = 180  # what the others are given: two hours before, and the watch
_WEEK, _FORTNIGHT = 7, 14
_CASES = 80
_REPEAT = 9
_SERVICES = 7  # a look at one that is suspected costs more than at a quiet one, and of every twenty one is


def engine() -> list[Row]:
    """A row a figure, with its aim; the ratios to the others' of the same run last."""
    calibrated, look, stored = _calibrated(_FORTNIGHT)
    week, _, _ = _calibrated(_WEEK)
    cases, per_case = _replayed()
    rehearsed, placebos = _rehearsed()
    rows = [
        (f"calibration of one signal, {_WEEK} days of minutes (ms)", f"{week * 1e3:.1f}", "15"),
        (f"calibration of one signal, {_FORTNIGHT} days of minutes (ms)", f"{calibrated * 1e3:.1f}", ""),
        (f"one look, one signal, mean of {_LOOKS} (ms)", f"{look * 1e3:.2f}", "0.5"),
        ("calibration as stored (kB)", f"{stored / 1e3:.1f}", ""),
        (f"watcher replay, {_WEEK} days of minutes, {os.cpu_count()} cores (cases a second)", f"{cases:.1f}", "20"),
        ("  processor time a case (ms)", f"{per_case * 1e3:.0f}", ""),
        (f"rehearsal of one signal, {_FORTNIGHT} days, {placebos} placebos (CPU s)", f"{rehearsed:.2f}", "0.5"),
    ]
    for name, seconds in _others():
        if isinstance(seconds, str):
            rows.append((name, seconds, ""))
            continue
        rows += [
            (f"{name}, {_POINTS} points once (ms)", f"{seconds * 1e3:.2f}", ""),
            ("  in looks of ours", f"{seconds / look:.2f}", ""),
            (
                f"  {_LOOKS} times, in watches of ours with their calibration",
                f"{_watches(seconds, week, look):.2f}",
                "",
            ),
        ]
    return rows


def _watches(seconds: float, calibrated: float, look: float) -> float:
    return seconds * _LOOKS / (calibrated + look * _LOOKS)


def _orders(days: int, seed: int = 1) -> Series:
    """A shop's orders, about 30 a minute over day and night, and the watch."""
    rng = np.random.default_rng(seed)
    times = np.arange(60.0, (days * 1440 + _LOOKS + 1) * 60.0, 60.0)
    values = rng.poisson(30 * (1 + 0.4 * np.sin(times / 86400 * 2 * np.pi))).astype(np.float64)
    return Series(times, values, 60.0, float(times[-1]))


def _calibrated(days: int) -> tuple[float, float, int]:
    """Seconds of a calibration and of a look, and the bytes that a calibration takes: medians over services."""
    made = zip(*(_one_calibrated(days, seed) for seed in range(_SERVICES)), strict=True)
    calibrated, look, stored = (statistics.median(each) for each in made)
    return calibrated, look, int(stored)


def _one_calibrated(days: int, seed: int) -> tuple[float, float, int]:
    """The same of one service, medians over runs."""
    series = _orders(days, seed)
    start = float(series.times[-_LOOKS - 1])
    until = start + _LOOKS * 60
    plan = WatchPlan((Signal("orders", Kind.COUNT, Harm.DOWN, "shop", 60.0),), start, until, until, 0.01)
    history = {"orders": series.between(-math.inf, start)}
    calibration = detect.calibrate(plan, history)
    recent = series.between(calibration.recent_from, until)

    def looks() -> None:
        previous = None
        for number in range(1, _LOOKS + 1):
            at = start + number * 60
            previous = detect.look(calibration, {"orders": recent.between(-math.inf, at)}, at, previous)

    looks()  # imports are no part of the cost
    return (
        _median(lambda: detect.calibrate(plan, history)),
        _median(looks) / _LOOKS,
        len(calibration.to_bytes()),
    )


def _median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_REPEAT):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def _replayed() -> tuple[float, float]:
    """Cases a second of the command itself, its start-up included; and processor seconds a case, without it."""
    lines = [_case(number) for number in range(_CASES)]
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases.jsonl"
        cases.write_text("\n".join(lines) + "\n")
        began = time.perf_counter()
        command = [sys.executable, "-m", "watcher", "replay", str(cases), "--out", str(Path(folder) / "out.jsonl")]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        rate = _CASES / (time.perf_counter() - began)
    return rate, _median(lambda: replay_line(lines[0], 0.01))


def _case(number: int) -> str:
    series = _orders(_WEEK, number)
    start = float(series.times[-_LOOKS - 1])
    points = {"times": series.times.tolist(), "values": series.values.tolist()}
    signal = {"name": "orders", "kind": "count", "harm": "down", "step": 60, **points}
    return json.dumps({"id": str(number), "deployed_at": start, "until": start + _LOOKS * 60, "signals": [signal]})


def _rehearsed() -> tuple[float, int]:
    """Processor seconds of a rehearsal of one signal, and how many placebos it judged."""
    series = _orders(_FORTNIGHT)
    service = Service("shop", {}, (Signal("orders", Kind.COUNT, Harm.DOWN, "shop", 60.0),))
    began = time.process_time()
    made = rehearse(service, {"orders": series}, float(series.times[-1]), elapsed=lambda: 0.0)
    return time.process_time() - began, made.placebos


def _others() -> list[tuple[str, float | str]]:
    """Name and seconds of one evaluation of a series of `_POINTS` points without a change, or why there is none."""
    values = np.random.default_rng(5).normal(100, 10, _POINTS)
    before, now = values[: _POINTS - _LOOKS], values[_POINTS - _LOOKS :]
    column = values[:, None]
    stats.mannwhitneyu(now, before)
    why = otava.install()
    found: list[tuple[str, float | str]] = [
        ("Otava", _otava(values) if why is None else f"not installed: {why}"),
        ("scipy.stats.mannwhitneyu", _median(lambda: stats.mannwhitneyu(now, before))),
        ("ruptures.KernelCPD", _median(lambda: KernelCPD(kernel="linear", min_size=2).fit(column).predict(n_bkps=1))),
    ]
    return found


def _otava(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """By its own clock."""
    otava.change_points(values)
    taken = []
    for _ in range(_REPEAT):
        before = otava.spent()
        otava.change_points(values)
        taken.append(otava.spent() - before)
    otava.close()
    return statistics.median(taken)
