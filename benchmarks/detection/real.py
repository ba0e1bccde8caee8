"""Real series from a folder: placebo deploys on quiet stretches, and harm put into them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.cases import Case, held_out
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

MARGIN = 3600.0  # seconds about a labelled anomaly that no deploy is put into


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A real series on its regular grid."""

    name: str
    kind: Kind
    step: float
    times: Floats
    values: Floats
    labels: tuple[tuple[float, float], ...]


def recordings(folder: Path, *, held: bool | None) -> Iterator[Recording]:
    """Every usable series under `folder` (`index.json` beside CSV files); `held` picks one half of them."""
    for index in sorted(folder.rglob("index.json")):
        document = json.loads(index.read_text())
        for entry in document["series"]:
            if held is None or held_out(entry["id"]) is held:
                found = _recording(index.parent / entry["file"], entry)
                if found is not None:
                    yield found


def _recording(path: Path, entry: dict[str, Any]) -> Recording | None:
    with path.open() as lines:
        rows = [(float(row["timestamp"]), float(row["value"] or "nan")) for row in csv.DictReader(lines)]
    step = float(entry["step_seconds"])
    at = np.array([row[0] for row in rows])
    values = np.array([row[1] for row in rows])
    places = np.rint((at - at[0]) / step).astype(np.int64)
    grid = np.full(places[-1] + 1, np.nan)
    grid[places] = values
    known = grid[~np.isnan(grid)]
    if len(known) < 500 or len(np.unique(known)) < 20 or len(known) < 0.7 * len(grid) or np.median(known) == 0:
        return None
    labels = tuple((each["start"], each.get("end", each["start"] + 600)) for each in entry["labels"])
    return Recording(entry["id"], Kind(entry["kind"]), step, at[0] + step * np.arange(len(grid)), grid, labels)


def placebos(recording: Recording, days: float, looks: int, wanted: int, rng: np.random.Generator) -> list[Case]:
    """Watches at random times without a label nearby; history of `days` before each; they may not overlap."""
    size = int(days * 86400 / recording.step)
    last = len(recording.values) - looks
    if last <= size:
        return []
    starts = np.arange(size + int(rng.integers(looks)), last, looks)
    rng.shuffle(starts)
    out: list[Case] = []
    for first in starts:
        begin, end = recording.times[first] - recording.step, recording.times[first + looks - 1]
        touched = any(low - MARGIN <= end and high + MARGIN >= begin for low, high in recording.labels)
        watch = recording.values[first : first + looks]
        if touched or np.isnan(watch).mean() > 0.1 or not np.nanmedian(watch) > 0:
            continue
        part = slice(first - size, first + looks)
        harm = Harm.UP if recording.kind is Kind.LATENCY else Harm.DOWN
        kind = recording.kind
        if kind is Kind.COUNT and not np.all(np.nan_to_num(recording.values[part]) % 1 == 0):
            kind = Kind.RATE
        out.append(
            Case(recording.name, kind, harm, recording.times[part], recording.values[part], size, looks, recording.step)
        )
        if len(out) >= wanted:
            break
    return out


def split(case: Case, rng: np.random.Generator) -> Case:
    """One real series as two regions: what belongs to neither alone is shared, as control series share a day."""
    share = 0.5 * np.exp(0.03 * rng.standard_normal(len(case.values)))
    control = case.values * (1 - np.clip(share, 0, 0.9))
    own = case.values * np.clip(share, 0, 0.9)
    if case.kind is Kind.COUNT:
        own, control = np.floor(own + rng.random(len(own))), np.floor(control + rng.random(len(own)))
    return Case(
        case.group + " (split)", case.kind, case.harm, case.times, own, case.first, case.looks, case.step,
        control=control, control_kind=case.kind,
    )  # fmt: skip
