"""Real series from a folder: placebo deploys on quiet stretches, harm put into them, and labelled anomalies."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.cases import Case, held_out
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

MARGIN = 3600.0  # seconds about a labelled anomaly that no deploy is put into
LEAD = 12  # buckets before a labelled change in which no other may be


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A real series on its regular grid."""

    name: str
    kind: Kind
    step: float
    times: Floats
    values: Floats
    labels: tuple[tuple[float, float], ...]
    changes: tuple[float, ...]


def entries(folder: Path, *, with_faults: bool) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every series under `folder`: its CSV file, and what the `index.json` beside it says of it.

    Sets whose labels are faults that somebody injected are one thing, anomalies that somebody saw another.
    """
    for index in sorted(folder.rglob("index.json")):
        found = json.loads(index.read_text())["series"]
        if any(each.get("type") == "fault" for entry in found for each in entry["labels"]) is with_faults:
            yield from ((index.parent / entry["file"], entry) for entry in found)


def recordings(folder: Path, *, held: bool | None) -> Iterator[Recording]:
    """Every usable series of the sets without injected faults; `held` picks one half of them."""
    for path, entry in entries(folder, with_faults=False):
        if held is None or held_out(entry["id"]) is held:
            found = _recording(path, entry)
            if found is not None:
                yield found


def read_grid(path: Path, step: float) -> tuple[Floats, Floats]:
    """Times and values on a regular grid, shape (n,); missing ones are NaN."""
    with path.open() as lines:
        rows = [(float(row["timestamp"]), float(row["value"] or "nan")) for row in csv.DictReader(lines)]
    at = np.array([row[0] for row in rows])
    places = np.rint((at - at[0]) / step).astype(np.int64)
    grid = np.full(places[-1] + 1, np.nan)
    grid[places] = [row[1] for row in rows]
    return at[0] + step * np.arange(len(grid)), grid


def _recording(path: Path, entry: dict[str, Any]) -> Recording | None:
    step = float(entry["step_seconds"])
    times, grid = read_grid(path, step)
    known = grid[~np.isnan(grid)]
    if len(known) < 500 or len(np.unique(known)) < 20 or len(known) < 0.7 * len(grid) or np.median(known) == 0:
        return None
    labels = tuple((each["start"], each.get("end", each["start"] + 600)) for each in entry["labels"])
    changes = tuple(entry.get("label_points", [start for start, _ in labels]))
    return Recording(entry["id"], Kind(entry["kind"]), step, times, grid, labels, changes)


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
        out.append(_case(recording, int(first), size, looks))
        if len(out) >= wanted:
            break
    return out


def labelled(recording: Recording, days: float, looks: int) -> list[Case]:
    """A watch of each labelled change, from its first bucket on, harm either way; nothing labelled just before it."""
    size = int(days * 86400 / recording.step)
    out: list[Case] = []
    for change in recording.changes:
        first = int(np.searchsorted(recording.times, change - recording.step / 2))
        if first < size or first + looks > len(recording.values):
            continue
        before = recording.times[first] - LEAD * recording.step
        troubled = any(before <= other < change for other in recording.changes)
        if not troubled and np.isnan(recording.values[first : first + looks]).mean() <= 0.1:
            case = _case(recording, first, size, looks)
            out.append(replace(case, harm=Harm.EITHER, change=math.nan, label="labelled"))
    return out


def _case(recording: Recording, first: int, size: int, looks: int) -> Case:
    part = slice(first - size, first + looks)
    harm = Harm.UP if recording.kind is Kind.LATENCY else Harm.DOWN
    kind = recording.kind
    if kind is Kind.COUNT and not np.all(np.nan_to_num(recording.values[part]) % 1 == 0):
        kind = Kind.RATE
    return Case(recording.name, kind, harm, recording.times[part], recording.values[part], size, looks, recording.step)


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
