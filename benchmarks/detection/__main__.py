"""`python -m benchmarks.detection [--data FOLDER] [--quick]`: every table of docs/benchmark.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.detection import faults, low_traffic, oracle, otava, real
from benchmarks.detection.cases import Case, harmed
from benchmarks.detection.product import THRESHOLD
from benchmarks.detection.runs import PRODUCT, Given, Result, Task, run_all, sum_up, tell
from benchmarks.detection.shapes import shape_tables
from benchmarks.detection.streams import STREAMS, TICKETS
from benchmarks.detection.table import show
from benchmarks.detection.textbook import textbook
from watcher.model.service import Harm

BY = (15, 30, 60)
PARTS = ("real", "faults", "textbook", "low-traffic")


@dataclass(frozen=True, slots=True)
class Size:
    """How many watches; the largest a table holds of real placebos, of textbook ones a stream, and of low traffic."""

    real: int
    textbook: int
    centre: int


QUICK, FULL = Size(60, 1000, 60), Size(600, 10_000, 600)


def real_tables(pool: Executor, found: Sequence[real.Recording], most: int) -> None:
    """Real series by step: placebo deploys, and harm put into them; with a control; shapes of harm; real anomalies."""
    for low, high, days, looks, name in ((1, 60, 5.0, 60, "one-minute"), (61, 3600, 12.0, 48, "5 to 60-minute")):
        rng = np.random.default_rng(7)
        series = [each for each in found if low <= each.step <= high]
        quiet = _placebos(series, days, looks, most, rng)
        if not quiet:
            continue
        by = BY if looks >= 60 else (12, 24, 48)
        sizes = ((-0.2, -0.5, -1.0), (0.2, 0.5, 1.0))
        title = f"Real {name} series, steps of 20 to 100 %"
        cases, results = _injected(pool, quiet, title, sizes, by)
        if low == 1:
            oracle.tell(f"{title}: beside an oracle", cases, results, by)
            halves = [real.split(case, rng) for case in quiet]
            sizes = ((-0.1, -0.2, -0.3), (0.1, 0.2, 0.3))
            _injected(pool, halves, f"Real {name} series with a control, steps of 10 to 30 %", sizes, by)
            shape_tables(pool, halves, f"Real {name} series with a control, shapes of harm", by)
        shape_tables(pool, quiet, f"Real {name} series, shapes of harm", by)
        changes = _some([case for each in series for case in real.labelled(each, days, looks)], most)
        if changes:
            either = [replace(case, harm=Harm.EITHER) for case in quiet]
            title = f"Labelled anomalies of real {name} series, harm in either direction"
            tell(title, run_all(pool, [Task(Given(case), 0) for case in (*either, *changes)], title), by)


def _some(cases: Sequence[Case], most: int) -> Sequence[Case]:
    """Of every so many one, so that there are no more than `most`."""
    return cases[:: -(-len(cases) // most)] if cases else cases


def _placebos(
    series: Sequence[real.Recording], days: float, looks: int, most: int, rng: np.random.Generator
) -> list[Case]:
    """As many of each series as of the others, as far as they have them, and no more than `most`."""
    each = [real.placebos(one, days, looks, most, rng) for one in series]
    turns = [part[turn] for turn in range(most) for part in each if turn < len(part)]
    if len(series) > most:  # one each would be too many: of every so many series
        return list(_some(turns[: sum(map(bool, each))], most))
    return turns[:most]


def _turns(groups: Sequence[str]) -> list[int]:
    """For each watch which of the sizes in turn: every series has each of them as often, from another one on."""
    next_of = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    out = []
    for group in groups:
        out.append(next_of[group])
        next_of[group] += 1
    return out


def _injected(
    pool: Executor,
    quiet: Sequence[Case],
    title: str,
    changes: tuple[tuple[float, ...], tuple[float, ...]],
    by: Sequence[int],
) -> tuple[list[Case], list[Result]]:
    """The placebos, then as many with harm, and what all methods made of each."""
    rng = np.random.default_rng(11)
    turns = _turns([case.group for case in quiet])
    cases = list(quiet)
    for case, turn in zip(quiet, turns, strict=True):
        sizes = changes[case.harm is Harm.UP]
        cases.append(harmed(case, sizes[turn % len(sizes)], "step", rng))
    results = run_all(pool, [Task(Given(case), 0) for case in cases], title)
    tell(title, results, by)
    return cases, results


def fault_tables(pool: Executor, folder: Path, most: int) -> None:
    """Faults with known times, and by kind of fault."""
    rng = np.random.default_rng(17)
    services = list(faults.services(folder))
    moved = [case for each in services for case in faults.faults(each)]
    if not moved:
        return
    wanted = max(most // len(services), 1)
    quiet = [case for each in services for case in faults.placebos(each, wanted, rng)]
    title = "Real faults with known times: latency, load and processor of the touched service, 8 looks"
    results = run_all(pool, [Task(Given(case), 0) for case in (*quiet, *moved)], title)
    tell(title, results, (3, 5, 8))
    kinds = sorted({each.label for each in results if each.label != "none"})
    out = []
    for kind in kinds:
        part = [each for each in results if each.label == kind]
        got = sum_up(part, PRODUCT, THRESHOLD, (3, 5, 8))
        out.append([kind, str(len(part)), *(f"{100 * share:.0f}" for share in got.found.values())])
    show(f"{title}: the product by kind of fault", ("fault", "faults", "by 3", "by 5", "by 8"), out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("--data", type=Path, help="folder of real series: CSV files and index.json")
    parser.add_argument("--half", choices=("all", "worked", "held"), default="all", help="which half of the series")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS, help="only these tables")
    parser.add_argument("--quick", action="store_true", help="a tenth of the watches")
    parser.add_argument("--real", type=int, default=0, help="placebo watches a table of real series (600)")
    parser.add_argument("--watches", type=int, default=0, help="watches without harm a textbook stream (10000)")
    return parser.parse_args()


def main() -> None:
    options = _options()
    size = QUICK if options.quick else FULL
    began = time.perf_counter()
    why = otava.install()
    if why is not None:
        print(f"Otava is left out, as it cannot be installed: {why}")
    with ProcessPoolExecutor() as pool:
        if options.data:
            half = {"all": None, "worked": False, "held": True}[options.half]
            most = options.real or size.real
            if "real" in options.part:
                real_tables(pool, list(real.recordings(options.data, held=half)), most)
            if "faults" in options.part:
                fault_tables(pool, options.data, most)
        else:
            print("No --data: the tables of real series and of real faults are left out.")
        watches = options.watches or size.textbook
        if "textbook" in options.part:
            textbook(pool, watches, STREAMS, "Textbook streams, 60 looks")
        if "low-traffic" in options.part:
            textbook(pool, watches, TICKETS, "Low-traffic tickets, 60 looks")
            low_traffic.centre(pool, size.centre, size.centre // 5)
            low_traffic.outcomes(pool, size.centre)
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
