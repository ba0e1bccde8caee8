"""Shapes of harm in real series: steps, ramps, late steps and spikes, all methods."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from benchmarks.detection.cases import Case, harmed
from benchmarks.detection.product import THRESHOLD
from benchmarks.detection.runs import PRODUCT, Given, Result, Task, run_all, sum_up, tell_parts
from benchmarks.detection.table import show
from watcher.model.service import Harm

SHAPES = (
    ("step", -0.5), ("step", -0.2), ("ramp", -0.5), ("ramp", -0.3), ("late", -0.5), ("late", -0.3), ("spike", -0.7),
    ("step", 0.5), ("ramp", 0.5), ("late", 0.5), ("spike", 1.0), ("step", 1.0),
)  # fmt: skip
FEWEST = 15  # watches a shape, where there are as many


def shape_tables(
    pool: Executor,
    quiet: Sequence[Case],
    title: str,
    by: Sequence[int],
    shapes: Sequence[tuple[str, float]] = SHAPES,
) -> None:
    """What all methods find of each shape in the whole window, and what the product finds by each look."""
    rng = np.random.default_rng(13)
    some = quiet[:: max(len(quiet) // max(len(quiet) // 4, FEWEST), 1)]
    tasks = [
        Task(Given(harmed(replace(case, harm=Harm.DOWN if change < 0 else Harm.UP), change, label, rng)), 0)
        for label, change in shapes
        for case in some
    ]
    results = run_all(pool, tasks, title)
    parts = {f"{label} {change:+.0%}": _of(results, label, change) for label, change in shapes}
    note = (
        f"{len(some)} watches a shape. Looks count from the harm's onset; an alarm before it counts as found. "
        "Placebos of the same series are in the table of steps."
    )
    look = by[-1]
    tell_parts(f"{title}: found by {look} looks", parts, lambda got: f"{100 * got.found[look]:.0f}", look, note)
    out = []
    for name, part in parts.items():
        got = sum_up(part, PRODUCT, THRESHOLD, by)
        out.append([name, str(len(part)), *(f"{100 * got.found[look]:.0f}" for look in by)])
    show(f"{title}: the product, by look", ("harm", "watches", *(f"by {look}" for look in by)), out)


def _of(results: Sequence[Result], label: str, change: float) -> list[Result]:
    return [each for each in results if (each.label, each.change) == (label, change)]
