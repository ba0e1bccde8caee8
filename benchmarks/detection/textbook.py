"""Textbook streams, product and best possible test side by side, in numbers that tell 1.0 % from 1.2 %.

A history serves many watches, drawn afresh to follow it, and the same histories serve every harm: so a cell of ten
thousand watches costs two hundred calibrations. What a history taught wrongly, all its watches share; intervals are as
much wider as that makes them (`table.design_effect`).
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.detection.product import Watch
from benchmarks.detection.streams import DAYS, LOOKS, Stream
from benchmarks.detection.table import design_effect, per_hundred, show

A_HISTORY = 50  # watches without harm
MOVED = 5  # with each harm


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One history, and how many watches of it: `quiet` without harm, `moved` with each harm."""

    stream: Stream
    number: int
    quiet: int
    moved: int


@dataclass(frozen=True, slots=True)
class Found:
    """Of one history: whether each quiet watch alarmed, and for each harm the look of each alarm (None: none)."""

    alarmed: list[bool]
    looks: dict[float, list[int | None]]


def run(batch: Batch) -> Found:
    stream = batch.stream
    rng = np.random.default_rng(zlib.crc32(f"{stream.name} {batch.number}".encode()))
    history = stream.draw(rng, (DAYS * 1440,), 0.0)
    first = Watch.of(stream.case(np.concatenate([history, stream.draw(rng, (LOOKS,), 0.0, history[-1])]), 0.0))

    def following(change: float) -> Watch:
        case = stream.case(np.concatenate([history, stream.draw(rng, (LOOKS,), change, history[-1])]), change)
        begin = first.calibration.recent_from
        return replace(first, series={name: each.between(begin, np.inf) for name, each in case.series.items()})

    alarmed = [following(0.0).first_alarm() is not None for _ in range(batch.quiet)]
    return Found(
        alarmed,
        {change: [following(change).first_alarm() for _ in range(batch.moved)] for change in stream.changes},
    )


def textbook(pool: Executor, quiet: int, streams: Sequence[Stream], title: str) -> None:
    """A row a stream and harm; `quiet` watches without harm a stream, a tenth of that with each harm."""
    histories = -(-quiet // A_HISTORY)
    began = time.perf_counter()
    batches = [Batch(each, n, A_HISTORY, MOVED) for each in streams for n in range(histories)]
    found = list(pool.map(run, batches))
    print(f"{title}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    alarms: list[list[tuple[Hashable, bool]]] = []
    out: list[list[str]] = []
    for place, stream in enumerate(streams):
        part = found[place * histories : (place + 1) * histories]
        alarms.append([((stream.name, n), hit) for n, each in enumerate(part) for hit in each.alarmed])
        out += _rows(stream, part)
    together = [each for part in alarms for each in part]
    pooled = design_effect(together)
    false = [
        [stream.name, str(len(part)), per_hundred(part, max(design_effect(part), pooled))]
        for stream, part in zip(streams, alarms, strict=True)
    ]
    false.append(["all", str(len(together)), per_hundred(together)])
    note = f"{histories} histories of {DAYS} days a stream, {A_HISTORY} watches after each, drawn afresh to follow it."
    show(f"{title}: false rollbacks", ("stream", "watches", "false per 100"), false, note)
    head = ("stream", "harm", "found", "best sequential", "fixed-d bound", "delay", "best's delay")
    moved = histories * MOVED
    show(f"{title}: harm found", head, out, f"{moved} watches a row, after the same histories; delays in looks.")


def _rows(stream: Stream, part: Sequence[Found]) -> list[list[str]]:
    """One for each harm, and the mean distance from the best test where that finds half to nearly all."""
    out, losses, delays = [], [], []
    for change in stream.changes:
        looks = [look for each in part for look in each.looks[change]]
        share = float(np.mean([look is not None for look in looks]))
        delay = float(np.mean([LOOKS if look is None else look for look in looks]))
        rng = np.random.default_rng(zlib.crc32(stream.name.encode()))
        best, best_delay, fixed = stream.best(change, rng)
        if 0.5 <= best <= 0.99:
            losses.append(best - share)
            delays.append(delay / best_delay)
        numbers = [f"{100 * share:.0f}", f"{100 * best:.0f}", f"{100 * fixed:.0f}", f"{delay:.1f}", f"{best_delay:.1f}"]
        out.append([stream.name, f"{change:+.0%}", *numbers])
    if losses:
        far, times = f"{-100 * np.mean(losses):+.1f} points", f"x {np.mean(delays):.2f}"
        out.append([stream.name, "mean where the best finds 50-99", far, "", "", times, ""])
    return out
