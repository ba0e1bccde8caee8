"""Runs methods over cases, on all cores, and sums up what came of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.cases import PROBABILITY, Case
from benchmarks.detection.peers import PEERS
from benchmarks.detection.product import Product
from benchmarks.detection.table import share
from watcher.model.series import Floats

PRODUCT = "deploy-watch"
DEFAULTS = {PRODUCT: -float(np.log10(PROBABILITY)), **{rule.name: rule.default for rule in PEERS}}


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Scores of every method by look (running maximum), shape (looks,), and the seconds that they took."""

    change: float
    label: str
    onset: int
    scores: dict[str, Floats]
    seconds: dict[str, float]


def judge(case: Case, *, peers: bool) -> Result:
    """All methods over one case."""
    warnings.simplefilter("ignore")
    scores: dict[str, Floats] = {}
    seconds: dict[str, float] = {}
    before = time.perf_counter()
    scores[PRODUCT] = Product(case).scores()
    seconds[PRODUCT] = time.perf_counter() - before
    for rule in PEERS if peers else ():
        before = time.perf_counter()
        scores[rule.name] = np.maximum.accumulate(rule.scores(case))
        seconds[rule.name] = time.perf_counter() - before
    return Result(case.change, case.label, case.onset, scores, seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Makes a case in the worker: a seed travels faster than a series."""

    make: Callable[[np.random.Generator], Case]
    seed: int
    peers: bool


def run(task: Task) -> Result:
    return judge(task.make(np.random.default_rng(task.seed)), peers=task.peers)


def run_all(pool: Executor, tasks: Iterable[Task]) -> list[Result]:
    return list(pool.map(run, tasks, chunksize=4))


@dataclass(frozen=True, slots=True)
class Sum:
    """What one method did: alarms among placebos, and what it found among the harmed."""

    false: int
    quiet: int
    found: dict[int, float]  # look -> share found by then
    delay: float  # mean, as a share of the window, missed ones counted whole
    matched: float  # share found when set to 1 % false


def sum_up(results: Sequence[Result], method: str, looks: Sequence[int]) -> Sum:
    bar = DEFAULTS[method]
    quiet = [each.scores[method] for each in results if not each.change]
    moved = [each for each in results if each.change]
    at_one = float(np.quantile([each[-1] for each in quiet], 1 - PROBABILITY, method="higher")) if quiet else bar
    delays = [_delay(each, method, bar) for each in moved]
    found = {look: float(np.mean([_by(each, method, look) >= bar for each in moved])) for look in looks if moved}
    matched = float(np.mean([each.scores[method][-1] > at_one for each in moved])) if moved else 0.0
    false = sum(bool(each[-1] >= bar) for each in quiet)
    return Sum(false, len(quiet), found, float(np.mean(delays)) if delays else 1.0, matched)


def _by(result: Result, method: str, look: int) -> float:
    """The score so many looks after the harm began."""
    scores = result.scores[method]
    return float(scores[min(result.onset + look, len(scores)) - 1])


def _delay(result: Result, method: str, bar: float) -> float:
    scores = result.scores[method]
    alarmed = np.flatnonzero(scores >= bar)
    looks = len(scores) - result.onset
    return min(max(int(alarmed[0]) + 1 - result.onset, 1), looks) / looks if len(alarmed) else 1.0


def rows(results: Sequence[Result], looks: Sequence[int]) -> list[list[str]]:
    """A row a method: false rollbacks, found by each look, delay, found at 1 % false, cost."""
    out = []
    for method in DEFAULTS:
        if method in results[0].scores:
            got = sum_up(results, method, looks)
            cost = float(np.mean([each.seconds[method] for each in results])) * 1e3
            found = [f"{100 * got.found[look]:.0f}" for look in looks]
            numbers = [f"{got.delay:.2f}", f"{100 * got.matched:.0f}", f"{cost:.0f}"]
            out.append([method, share(got.false, got.quiet), *found, *numbers])
    return out
