"""Runs methods over cases, on all cores, and sums up what came of it."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from benchmarks.detection.cases import PROBABILITY, Case
from benchmarks.detection.peers import peers
from benchmarks.detection.product import THRESHOLD, Watch, conclude
from benchmarks.detection.table import per_hundred, show
from benchmarks.detection.views import judged
from watcher.model.series import Floats

PRODUCT = "deploy-watch"
HEAD = ("method", "false per 100 watches")


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Scores of every method by look (running maximum), shape (looks,), and the processor seconds that they took.

    Attributes:
        group: watches of one group are alike (a series).
        change: relative harm; 0: none; NaN: real, of unknown size.
        outcome, detectable: what the product ends with, and the smallest harm that it says it can show.
    """

    group: str
    change: float
    label: str
    onset: int
    scores: dict[str, Floats]
    seconds: dict[str, float]
    outcome: str = ""
    detectable: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Makes a case in the worker: a seed travels faster than a series."""

    make: Callable[[np.random.Generator], Case]
    seed: int
    peers: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A case that was made already."""

    case: Case

    def __call__(self, _: np.random.Generator) -> Case:
        return self.case


def run(task: Task) -> Result:
    """All methods over one case."""
    warnings.simplefilter("ignore")
    case = task.make(np.random.default_rng(task.seed))
    scores: dict[str, Floats] = {}
    seconds: dict[str, float] = {}
    before = time.process_time()
    watch = Watch.of(case)
    scores[PRODUCT], findings = watch.scores()
    seconds[PRODUCT] = time.process_time() - before
    for rule in peers() if task.peers else ():
        before = rule.clock()
        scores[rule.name] = judged(rule, case)
        seconds[rule.name] = rule.clock() - before
    outcome, detectable = conclude(case.plan, findings)
    return Result(case.group, case.change, case.label, case.onset, scores, seconds, outcome, detectable)


def run_all(pool: Executor, tasks: Iterable[Task], title: str) -> list[Result]:
    began = time.perf_counter()
    results = list(pool.map(run, tasks, chunksize=2))
    print(f"{title}: {len(results)} watches, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def defaults() -> dict[str, float]:
    """Method -> the score from which on it alarms at its default settings."""
    return {PRODUCT: THRESHOLD, **{rule.name: rule.default for rule in peers()}}


@dataclass(frozen=True, slots=True)
class Sum:
    """What one method did: alarms among placebos, and what it found among the harmed.

    Attributes:
        false: (group, alarmed) of each placebo.
        found: look -> share found by then.
        delay: mean, as a share of the window from the onset on, missed harm counted whole.
        matched: share found when set to 1 % false.
    """

    false: list[tuple[str, bool]]
    found: dict[int, float]
    delay: float
    matched: float
    sizes: dict[float, dict[int, float]] = field(default_factory=dict)


def sum_up(results: Sequence[Result], method: str, bar: float, looks: Sequence[int]) -> Sum:
    quiet = [each for each in results if each.change == 0]
    moved = [each for each in results if each.change != 0]
    false = [(each.group, bool(each.scores[method][-1] >= bar)) for each in quiet]
    if not moved:
        return Sum(false, {}, math.nan, math.nan)
    at_one = bar
    if quiet:
        last = sorted(float(each.scores[method][-1]) for each in quiet)
        at_one = last[len(last) - 1 - math.floor(len(last) * PROBABILITY)]  # at most 1 % of the placebos lie above
    return Sum(
        false,
        _found(moved, method, bar, looks),
        float(np.mean([_delay(each, method, bar) for each in moved])),
        float(np.mean([each.scores[method][-1] > at_one for each in moved])),
        {
            size: _found([each for each in moved if each.change == size], method, bar, looks)
            for size in sorted({each.change for each in moved if not math.isnan(each.change)})
        },
    )


def _found(moved: Sequence[Result], method: str, bar: float, looks: Sequence[int]) -> dict[int, float]:
    """Look after the harm began -> share found by then."""

    def by(result: Result, look: int) -> bool:
        scores = result.scores[method]
        return bool(scores[min(result.onset + look, len(scores)) - 1] >= bar)

    return {look: float(np.mean([by(each, look) for each in moved])) for look in looks}


def _delay(result: Result, method: str, bar: float) -> float:
    scores = result.scores[method]
    alarmed = np.flatnonzero(scores >= bar)
    looks = len(scores) - result.onset
    return min(max(int(alarmed[0]) + 1 - result.onset, 1), looks) / looks if len(alarmed) else 1.0


def tell(title: str, results: Sequence[Result], looks: Sequence[int], note: str = "") -> None:
    """A row a method: false rollbacks, found by each look, delay, found at 1 % false, cost; then found by size."""
    out, sizes = [], []
    for method, bar in defaults().items():
        if method not in results[0].scores:
            continue
        got = sum_up(results, method, bar, looks)
        cost = float(np.mean([each.seconds[method] for each in results])) * 1e3
        found = [f"{100 * got.found[look]:.0f}" for look in looks]
        numbers = [f"{got.delay:.2f}", f"{100 * got.matched:.0f}", f"{cost:.0f}"]
        out.append([method, per_hundred(got.false), *found, *numbers])
        sizes.append([method, *("/".join(f"{100 * by[look]:.0f}" for look in looks) for by in got.sizes.values())])
    head = (*HEAD, *(f"by {look}" for look in looks), "delay", "found at 1 % false", "ms a watch")
    quiet = sum(each.change == 0 for each in results)
    groups = len({each.group for each in results})
    counts = f"{quiet} placebo watches, {len(results) - quiet} with harm{f', {groups} series' if groups > 1 else ''}."
    show(title, head, out, f"{counts} {note}".strip())
    if len(sizes[0]) > 2:
        by_size = sorted({each.change for each in results if each.change and not math.isnan(each.change)})
        names = "/".join(str(look) for look in looks)
        show(f"{title}: found by {names} looks", ("method", *(f"{size:+.0%}" for size in by_size)), sizes)
