"""`python -m benchmarks.detection [--data FOLDER] [--quick]`: every table of docs/detection.md."""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.detection.cases import Case, Maker, harmed
from benchmarks.detection.real import Recording, placebos, recordings, split
from benchmarks.detection.runs import PRODUCT, Result, Task, rows, run_all, sum_up
from benchmarks.detection.streams import LOOKS, STREAMS, TICKETS, Stream, call_centre
from benchmarks.detection.table import share, show
from watcher.model.service import Harm

HEAD = ("method", "false per 100 watches", "by 15", "by 30", "by 60", "delay", "found at 1 % false", "ms a watch")
BY = (15, 30, 60)
HARMS = (
    ("step", -0.5), ("step", -0.2), ("step", -0.1), ("ramp", -0.3), ("late", -0.3), ("spike", -0.7), ("spike", 1.0),
    ("step", 0.5), ("step", 1.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A case that was made already."""

    case: Case

    def __call__(self, _: np.random.Generator) -> Case:
        return self.case


def _seed(*parts: object) -> int:
    return zlib.crc32(repr(parts).encode())


def textbook(pool: Executor, quiet: int, moved: int, streams: Sequence[Stream], title: str) -> None:
    """The product beside the best that anybody could do."""
    out = []
    for stream in streams:
        nothing = run_all(pool, [Task(_made(stream, 0.0), _seed(stream.name, n), peers=False) for n in range(quiet)])
        got = sum_up(nothing, PRODUCT, ())
        losses, delays = [], []
        for change in stream.changes:
            tasks = [Task(_made(stream, change), _seed(stream.name, change, n), peers=False) for n in range(moved)]
            mine = sum_up([*nothing, *run_all(pool, tasks)], PRODUCT, (LOOKS,))
            found, delay, fixed = stream.best(change, np.random.default_rng(_seed(stream.name)))
            if 0.5 <= found <= 0.99:
                losses.append(found - mine.found[LOOKS])
                delays.append(mine.delay * LOOKS / delay)
            out.append(
                [
                    stream.name,
                    f"{change:+.0%}",
                    share(got.false, got.quiet),
                    f"{100 * mine.found[LOOKS]:.0f}",
                    f"{100 * found:.0f}",
                    f"{100 * fixed:.0f}",
                    f"{mine.delay * LOOKS:.1f}",
                    f"{delay:.1f}",
                ]
            )
        if losses:
            out.append(
                [
                    stream.name,
                    "mean",
                    "",
                    f"{-100 * np.mean(losses):+.1f} points",
                    "",
                    "",
                    f"x {np.mean(delays):.2f}",
                    "",
                ]
            )
    head = ("stream", "harm", "false per 100", "found", "best sequential", "fixed-d bound", "delay", "best's delay")
    show(title, head, out)


def _made(stream: Stream, change: float) -> Maker:
    return _Made(stream, change)


@dataclass(frozen=True, slots=True)
class _Made:
    stream: Stream
    change: float

    def __call__(self, rng: np.random.Generator) -> Case:
        return self.stream.maker(self.change)(rng)


@dataclass(frozen=True, slots=True)
class _Centre:
    change: float

    def __call__(self, rng: np.random.Generator) -> Case:
        return call_centre(self.change)(rng)


def centre(pool: Executor, watches: int) -> None:
    tasks = [Task(_Centre(0.0), _seed("centre", n), peers=True) for n in range(watches)]
    for change in (0.2, 0.3, 0.4, 0.6, 0.8):
        tasks += [Task(_Centre(change), _seed("centre", change, n), peers=True) for n in range(watches // 5)]
    show(
        "Simulated call centre, 200 contacts in 5 minutes, +20 to +80 %, 48 looks", HEAD, rows(run_all(pool, tasks), BY)
    )


def real(pool: Executor, found: Sequence[Recording], per_series: int, *, peers: bool) -> None:
    """Real series, by step, with and without a control."""
    for low, high, days, looks, name in ((1, 60, 5.0, 60, "one-minute"), (61, 3600, 12.0, 48, "5 to 60-minute")):
        rng = np.random.default_rng(7)
        series = [each for each in found if low <= each.step <= high]
        quiet = [case for each in series for case in placebos(each, days, looks, per_series, rng)]
        if not quiet:
            continue
        count = len({case.group for case in quiet})
        _real(
            pool,
            quiet,
            f"Real {name} series ({count}), steps of 20 to 100 %",
            ((-0.2, -0.5, -1.0), (0.2, 0.5, 1.0)),
            peers,
        )
        if low == 1:
            halves = [split(case, rng) for case in quiet]
            _real(
                pool,
                halves,
                f"Real {name} series with a control, steps of 10 to 30 %",
                ((-0.1, -0.2, -0.3),) * 2,
                peers,
            )
        either = [replace(case, harm=Harm.EITHER) for case in quiet]
        _real(pool, either, f"Real {name} series, harm in either direction", ((-0.3, 0.3, -0.6, 0.6),) * 2, peers=False)
        _shapes(pool, quiet, f"Real {name} series, shapes of harm")


def _real(
    pool: Executor, quiet: Sequence[Case], title: str, changes: tuple[tuple[float, ...], ...], peers: bool
) -> None:
    rng = np.random.default_rng(11)
    tasks = [Task(Given(case), 0, peers) for case in quiet]
    for place, case in enumerate(quiet):
        sizes = changes[case.harm is Harm.UP]
        tasks.append(Task(Given(harmed(case, sizes[place % len(sizes)], "step", rng)), 0, peers))
    show(title, HEAD, rows(run_all(pool, tasks), BY))


def _shapes(pool: Executor, quiet: Sequence[Case], title: str) -> None:
    rng = np.random.default_rng(13)
    tasks, out = [], []
    for label, change in HARMS:
        for case in quiet[:: len(HARMS) // 2]:
            turned = replace(case, harm=Harm.DOWN if change < 0 else Harm.UP)
            tasks.append(Task(Given(harmed(turned, change, label, rng)), 0, peers=False))
    results = run_all(pool, tasks)
    for label, change in HARMS:
        part: list[Result] = [each for each in results if (each.label, each.change) == (label, change)]
        got = sum_up(part, PRODUCT, BY)
        out.append([label, f"{change:+.0%}", str(len(part)), *(f"{100 * got.found[look]:.0f}" for look in BY)])
    show(title, ("harm", "size", "watches", "by 15", "by 30", "by 60"), out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument(
        "--data", type=Path, help="folder of real series: CSV files and index.json; without it, made ones"
    )
    parser.add_argument("--half", choices=("all", "worked", "held"), default="all", help="which half of the series")
    parser.add_argument("--quick", action="store_true", help="a tenth of the watches")
    parser.add_argument("--watches", type=int, default=0, help="placebo watches a textbook cell")
    options = parser.parse_args()
    quiet = options.watches or (200 if options.quick else 2000)
    with ProcessPoolExecutor() as pool:
        if options.data:
            half = {"all": None, "worked": False, "held": True}[options.half]
            found = list(recordings(options.data, held=half))
            real(pool, found, 5 if options.quick else 30, peers=True)
        else:
            print("no --data: real series are left out")
        textbook(pool, quiet, quiet // 4, STREAMS, "Textbook streams, 60 looks, 5 days of history")
        textbook(pool, quiet, quiet // 4, TICKETS, "Low-traffic tickets, 60 looks")
        centre(pool, quiet // 2)


if __name__ == "__main__":
    main()
