"""Textbook streams, product and best possible test side by side, in numbers that tell 1.0 % from 1.2 %.

A history serves many watches, drawn afresh to follow it, and the same histories serve every harm: so a cell of ten
thousand watches costs two hundred calibrations. What a history taught wrongly, all its watches share; intervals are as
much wider as that makes them (`table.design_effect`). The peers are slower, so they judge only some of these watches.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.detection.cases import Case
from benchmarks.detection.product import Watch
from benchmarks.detection.runs import Result, judge, tell_methods, tell_parts
from benchmarks.detection.streams import DAYS, LOOKS, Stream
from benchmarks.detection.table import design_effect, per_hundred, show

A_HISTORY = 50  # watches without harm
MOVED = 5  # with each harm
BESIDE = 1  # of either sort that the peers judge as well; harms take turns
BY = (15, 30, 60)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One history, and how many watches of it: `quiet` without harm, `moved` with each harm.

    Of either sort the peers judge `beside` as well, at most `quiet` and `moved`.
    """

    stream: Stream
    number: int
    quiet: int
    moved: int
    beside: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Of one history: whether each quiet watch alarmed, and for each harm the look of each alarm (None: none).

    `beside` has what all methods made of those watches that the peers judged as well.
    """

    alarmed: list[bool]
    looks: dict[float, list[int | None]]
    beside: list[Result]


def run(batch: Batch) -> Found:
    stream = batch.stream
    rng = np.random.default_rng(zlib.crc32(f"{stream.name} {batch.number}".encode()))
    history = stream.draw(rng, (DAYS * 1440,), 0.0)
    began = time.process_time()
    first = Watch.of(stream.case(np.concatenate([history, stream.draw(rng, (LOOKS,), 0.0, history[-1])]), 0.0))
    taught = time.process_time() - began

    def following(change: float) -> tuple[Case, Watch]:
        case = stream.case(np.concatenate([history, stream.draw(rng, (LOOKS,), change, history[-1])]), change)
        begin = first.calibration.recent_from
        series = {name: each.between(begin, np.inf) for name, each in case.series.items()}
        return replace(case, group=f"{stream.name} {batch.number}"), replace(first, series=series)

    quiet = [following(0.0) for _ in range(batch.quiet)]
    moved = {change: [following(change) for _ in range(batch.moved)] for change in stream.changes}
    turns = [stream.changes[(batch.number * batch.beside + turn) % len(moved)] for turn in range(batch.beside)]
    chosen = [*quiet[: batch.beside], *(moved[change][turn] for turn, change in enumerate(turns))]
    return Found(
        [watch.first_alarm() is not None for _, watch in quiet],
        {change: [watch.first_alarm() for _, watch in each] for change, each in moved.items()},
        [judge(case, watch, taught) for case, watch in chosen],
    )


def textbook(pool: Executor, quiet: int, streams: Sequence[Stream], title: str) -> None:
    """A row a stream and harm; `quiet` watches without harm a stream, a tenth of that with each harm."""
    histories = -(-quiet // A_HISTORY)
    began = time.perf_counter()
    batches = [Batch(each, n, A_HISTORY, MOVED, BESIDE) for each in streams for n in range(histories)]
    found = list(pool.map(run, batches))
    print(f"{title}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    alarms: list[list[tuple[Hashable, bool]]] = []
    out: list[list[str]] = []
    beside: dict[str, list[Result]] = {}
    for place, stream in enumerate(streams):
        part = found[place * histories : (place + 1) * histories]
        alarms.append([((stream.name, n), hit) for n, each in enumerate(part) for hit in each.alarmed])
        beside[stream.name] = [each for history in part for each in history.beside]
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
    _beside(title, beside)


def _beside(title: str, parts: Mapping[str, Sequence[Result]]) -> None:
    """All methods on the watches that the peers judged as well: of all streams together, then stream by stream."""
    note = f"After each history {BESIDE} without harm and {BESIDE} with. A method has one threshold for all streams."
    tell_methods(f"{title}: all methods", [each for part in parts.values() for each in part], BY, note)
    of = min(len(part) for part in parts.values()) // 2
    tell_parts(
        f"{title}: all methods by stream, false per 100/found by {LOOKS}/found at 1 % false of the stream",
        parts,
        lambda got: f"{got.false_share:.0f}/{100 * got.found[LOOKS]:.0f}/{100 * got.matched:.0f}",
        LOOKS,
        f"{of} placebo watches and {of} with harm a stream.",
    )


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
