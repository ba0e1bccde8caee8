"""Real faults, injected into running systems at known times: a watch of the touched service from each of them on.

Such runs are short, and their faults follow one another within minutes, so what came before a fault is no quiet
history. The history of a watch is therefore the part of the same run in which no fault was injected and load was as
before, moved in time to end where the half hour before the fault begins. That half hour is the real one, earlier faults
of the service left out. Placebos are made the same way, of stretches of the fault-free part, with the rest of it as
history. A run some of whose faults lie outside its series is left out: its clock is not to be trusted.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.cases import Case
from benchmarks.detection.real import entries, read_grid
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

LOOKS = 8  # minutes until the next fault
LEAD = 30  # real minutes before the fault
LASTS = 480.0  # seconds for which a fault is left out of what came before a later one
USUAL = 0.1  # of the median load: below, a run is over
LEAST = 60  # minutes of fault-free history
SIGNALS = {
    "PodServerLatencyP95": (Kind.LATENCY, Harm.UP),
    "PodWorkload": (Kind.RATE, Harm.DOWN),
    "CpuUsageRate": (Kind.GAUGE, Harm.UP),
}


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """One service in one run; series of SIGNALS on one grid, shape (signals, n)."""

    name: str
    times: Floats
    values: Floats
    names: tuple[str, ...]
    faults: tuple[tuple[float, str], ...]  # (unix seconds, kind) of its own
    quiet: slice  # where no fault of any service was injected, and there was load


def services(folder: Path) -> Iterator[Service]:
    """Every service that a fault was injected into, of which enough of the run is fault-free."""
    runs: defaultdict[str, dict[str, dict[str, tuple[Path, dict[str, Any]]]]] = defaultdict(dict)
    faulty: defaultdict[str, set[float]] = defaultdict(set)
    for path, entry in entries(folder, with_faults=True):
        if entry["labels"]:
            run, service, metric = entry["id"].split("__")
            faulty[run] |= {each["start"] for each in entry["labels"]}
            if metric in SIGNALS:
                runs[run].setdefault(service, {})[metric] = path, entry
    for run, found in sorted(runs.items()):
        for service, metrics in sorted(found.items()):
            made = _service(f"{run} {service}", metrics, sorted(faulty[run]))
            if made is not None:
                yield made


def _service(name: str, metrics: dict[str, tuple[Path, dict[str, Any]]], faulty: list[float]) -> Service | None:
    grids = {metric: read_grid(path, 60.0) for metric, (path, _) in metrics.items()}
    if "PodWorkload" not in grids:
        return None
    times = grids["PodWorkload"][0]
    names = tuple(metric for metric in SIGNALS if metric in grids and len(grids[metric][0]) == len(times))
    values = np.array([grids[metric][1] for metric in names])
    load = values[names.index("PodWorkload")]
    load = np.nan_to_num(load)
    loaded = np.flatnonzero(load > USUAL * np.median(load[load > 0])) if np.any(load > 0) else np.empty(0, np.int64)
    if not len(loaded) or not times[0] <= faulty[0] <= faulty[-1] <= times[-1]:
        return None
    edges = [times[0] - LASTS, *faulty, float(times[loaded[-1]]) + 60.0]  # load ends before some runs do
    gaps = [(after - before, before) for before, after in itertools.pairwise(edges)]
    length, begin = max(gaps)
    first = int(np.searchsorted(times, begin + LASTS))
    last = int(np.searchsorted(times, begin + length))
    if last - first < LEAST + LEAD + LOOKS:
        return None
    labels = next(iter(metrics.values()))[1]["labels"]
    own = sorted({(float(each["start"]), str(each["inject_type"])) for each in labels})
    return Service(name, times, values, names, tuple(own), slice(first, last))


def faults(service: Service) -> list[Case]:
    """A watch of each fault that is far enough from the ends of the run."""
    out = []
    for at, kind in service.faults:
        first = int(np.searchsorted(service.times, at, side="right"))
        if service.times[0] <= at and first + LOOKS <= len(service.times) and not _is_in(service.quiet, first):
            values = service.values.copy()
            for other, _ in service.faults:
                if other < at:
                    values[:, (service.times > other) & (service.times <= min(other + LASTS, at))] = np.nan
            lead = min(LEAD, first)
            history = service.values[:, service.quiet]
            out.append(replace(_case(service, history, values, first, lead), change=math.nan, label=kind))
    return out


def placebos(service: Service, wanted: int, rng: np.random.Generator) -> list[Case]:
    """Watches of the fault-free part, none over another."""
    begin, end = service.quiet.start, service.quiet.stop
    starts = np.arange(begin + LEAD, end - LOOKS + 1, LOOKS)
    rng.shuffle(starts)
    out = []
    for first in starts[:wanted]:
        rest = [service.values[:, begin : first - LEAD], service.values[:, first + LOOKS : end]]
        out.append(_case(service, np.concatenate(rest, axis=1), service.values, int(first), LEAD))
    return out


def _is_in(part: slice, place: int) -> bool:
    return bool(part.start <= place < part.stop)


def _case(service: Service, history: Floats, values: Floats, first: int, lead: int) -> Case:
    """`history`, then the minutes before and of the watch."""
    watch = np.concatenate([history, values[:, first - lead : first + LOOKS]], axis=1)
    end = float(service.times[first + LOOKS - 1])
    times = end - 60.0 * np.arange(watch.shape[1] - 1, -1, -1, dtype=np.float64)
    signals = [
        Case(service.name, *SIGNALS[name], times, row, watch.shape[1] - LOOKS, LOOKS, 60.0)
        for name, row in zip(service.names, watch, strict=True)
    ]
    return replace(signals[0], beside=tuple(signals[1:]))
