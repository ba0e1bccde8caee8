"""Runs methods over cases, on all cores, and sums up what came of it."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """The product, and the peers where they are wanted, over one case."""
    case = task.make(np.random.default_rng(task.seed))
    before = time.process_time()
    watch = Watch.of(case)
    return judge(case, watch, time.process_time() - before, beside=task.peers)


def judge(case: Case, watch: Watch, taught: float, *, beside: bool = True) -> Result:
    """All methods over one case; `taught` is what the watch's calibration took, in processor seconds."""
    warnings.simplefilter("ignore")
    before = time.process_time()
    product, findings = watch.scores()
    scores = {PRODUCT: product}
    seconds = {PRODUCT: taught + time.process_time() - before}
    for rule in peers() if beside else ():
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

    @property
    def false_share(self) -> float:
        """Per 100 placebos; NaN without any."""
        return 100 * sum(hit for _, hit in self.false) / len(self.false) if self.false else math.nan


def sum_up(results: Sequence[Result], method: str, bar: float, looks: Sequence[int]) -> Sum:
    quiet = [each for each in results if each.change == 0]
    moved = [each for each in results if each.change != 0]
    false = [(each.group, bool(each.scores[method][-1] >= bar)) for each in quiet]
    if not moved:
        return Sum(false, {}, math.nan, math.nan)
    at_one = bar_at_one(quiet, method) if quiet else bar
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


def bar_at_one(quiet: Sequence[Result], method: str) -> float:
    """The score that at most 1 % of these placebos lie above; of fewer than 100 none."""
    last = sorted(float(each.scores[method][-1]) for each in quiet)
    return last[len(last) - 1 - math.floor(len(last) * PROBABILITY)]


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
    """The table of all methods, then what each found by size."""
    tell_methods(title, results, looks, note)
    tell_sizes(title, results, looks)


def tell_methods(title: str, results: Sequence[Result], looks: Sequence[int], note: str = "") -> None:
    """A row a method: false rollbacks, found by each look, delay, found at 1 % false, cost."""
    out = []
    for method, bar in _methods(results).items():
        got = sum_up(results, method, bar, looks)
        cost = float(np.mean([each.seconds[method] for each in results])) * 1e3
        found = [f"{100 * got.found[look]:.0f}" for look in looks]
        numbers = [f"{got.delay:.2f}", f"{100 * got.matched:.0f}", f"{cost:.0f}"]
        out.append([method, per_hundred(got.false), *found, *numbers])
    head = (*HEAD, *(f"by {look}" for look in looks), "delay", "found at 1 % false", "ms a watch")
    quiet = sum(each.change == 0 for each in results)
    groups = len({each.group for each in results})
    counts = f"{quiet} placebo watches, {len(results) - quiet} with harm{f', {groups} series' if groups > 1 else ''}."
    show(title, head, out, f"{counts} {note}".strip())


def tell_sizes(title: str, results: Sequence[Result], looks: Sequence[int]) -> None:
    """A row a method, a column a size of harm; nothing where there are not two sizes."""
    by_size = sorted({each.change for each in results if each.change and not math.isnan(each.change)})
    if len(by_size) < 2:
        return
    out = []
    for method, bar in _methods(results).items():
        sizes = sum_up(results, method, bar, looks).sizes
        out.append([method, *("/".join(f"{100 * sizes[size][look]:.0f}" for look in looks) for size in by_size)])
    names = "/".join(str(look) for look in looks)
    show(f"{title}: found by {names} looks", ("method", *(f"{size:+.0%}" for size in by_size)), out)


def tell_parts(
    title: str, parts: Mapping[str, Sequence[Result]], cell: Callable[[Sum], str], look: int, note: str = ""
) -> None:
    """A row a method, a column a part of the watches, `cell` of each; found by that look."""
    methods = _methods([each for part in parts.values() for each in part])
    out = [
        [method, *(cell(sum_up(part, method, bar, (look,))) for part in parts.values())]
        for method, bar in methods.items()
    ]
    show(title, ("method", *parts), out, note)


def _methods(results: Sequence[Result]) -> dict[str, float]:
    """Those that judged these watches."""
    return {method: bar for method, bar in defaults().items() if method in results[0].scores}
