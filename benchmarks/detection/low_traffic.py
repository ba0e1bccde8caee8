"""Where there is little to see: shops and desks with few events, and a call centre that closes.

What cannot be told there is to end inconclusive: never healthy, and never regressed.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from scipy import signal as filters

from benchmarks.detection.cases import Case, Maker
from benchmarks.detection.runs import Result, Task, run_all, tell
from benchmarks.detection.streams import START, Stream
from benchmarks.detection.table import per_hundred, show
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

STEP, CENTRE_LOOKS, DAYS = 300.0, 48, 21
RISES = (0.2, 0.3, 0.4, 0.6, 0.8)
SHOP = Stream("shop, 4 orders an hour", Kind.COUNT, Harm.DOWN, (-0.5, -1.0), 4 / 60)
DESKS = (
    Stream("tickets, 3 an hour", Kind.COUNT, Harm.UP, (2.0, 9.0), 0.05),
    Stream("tickets, 12 an hour", Kind.COUNT, Harm.UP, (1.0, 4.0), 0.2),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A case of a stream, made where it is needed."""

    stream: Stream
    change: float

    def __call__(self, rng: np.random.Generator) -> Case:
        return self.stream.maker(self.change)(rng)


@dataclass(frozen=True, slots=True)
class Centre:
    """About 200 contacts in five minutes in open hours (weekdays 8 to 20), scatter twice Poisson's, levels by day.

    The deploy falls into open hours that leave four hours, opening among them, or into any hour of the week.
    """

    change: float
    any_hour: bool = False

    def __call__(self, rng: np.random.Generator) -> Case:
        size = DAYS * 288
        start = START - 86400
        times: Floats = start + STEP * np.arange(1, size + 1, dtype=np.float64)
        hour = (times - STEP / 2) % 86400 / 3600
        weekday = ((times - STEP / 2) // 86400 + 3) % 7
        is_open = (hour > 8) & (hour < 20) & (weekday < 5)
        curve = 200 * (0.7 + 0.5 * np.exp(-((hour - 10.5) ** 2) / 4) + 0.3 * np.exp(-((hour - 15) ** 2) / 6))
        level = np.exp(0.08 * rng.standard_normal(DAYS + 1))[((times - start) // 86400).astype(np.int64)]
        slow = filters.lfilter([0.02], [1, -0.97], rng.standard_normal(size))
        rate = np.where(is_open, curve * level * np.exp(slow), 0.0)
        possible = np.arange(size) > 14 * 288
        possible &= (np.arange(size) <= size - CENTRE_LOOKS) if self.any_hour else is_open & (hour < 16.2)
        first = int(rng.choice(np.flatnonzero(possible)))
        factor = np.ones(size)
        factor[first:] += self.change
        values = np.where(rate > 0, rng.poisson(rng.gamma(np.where(rate > 0, rate * factor, 1.0), 1.0)), 0)
        looks = min(CENTRE_LOOKS, size - first)
        end = first + looks
        return Case(
            "call centre", Kind.COUNT, Harm.UP, times[:end], values[:end].astype(np.float64), first, looks, STEP,
            change=self.change, label="step",
        )  # fmt: skip


def centre(pool: Executor, quiet: int, moved: int) -> None:
    """The call centre in open hours, all methods."""
    title = "Simulated call centre, about 200 contacts in 5 minutes, closed at night and on weekends, 48 looks"
    tasks = [Task(Centre(0.0), n) for n in range(quiet)]
    tasks += [Task(Centre(rise), 10_000 * place + n) for place, rise in enumerate(RISES, 1) for n in range(moved)]
    tell(title, run_all(pool, tasks, title), (12, 24, 48), "Every watch has a history of its own.")


def outcomes(pool: Executor, watches: int) -> None:
    """What the product says where there is little to see."""
    title = "Little traffic: what the product says at the end of the window"
    rows: list[tuple[str, Maker]] = []
    for stream in (SHOP, *DESKS):
        rows += [(f"{stream.name}, {_harm(change)}", Made(stream, change)) for change in (0.0, *stream.changes)]
    rows += [(f"call centre, any hour, {_harm(change)}", Centre(change, any_hour=True)) for change in (0.0, 0.4)]
    tasks = [
        Task(make, 50_000 * place + n, peers=False) for place, (_, make) in enumerate(rows) for n in range(watches)
    ]
    results = run_all(pool, tasks, title)
    out = [_row(name, results[place * watches : (place + 1) * watches]) for place, (name, _) in enumerate(rows)]
    head = ("watch", "regressed per 100", "healthy", "inconclusive", "error", "can show, median")
    show(
        title, head, out, f"{watches} watches a row. What it can show: the smallest lasting change, in 80 % of watches."
    )


def _harm(change: float) -> str:
    return f"{change:+.0%}" if change else "no harm"


def _row(name: str, part: list[Result]) -> list[str]:
    called = [(number, each.outcome == "regressed") for number, each in enumerate(part)]
    shares = [
        100 * np.mean([each.outcome == outcome for each in part]) for outcome in ("healthy", "inconclusive", "error")
    ]
    known = [each.detectable for each in part if each.detectable is not None]
    least = float(np.median(known)) if known else float("inf")
    shown = f"{least:.0%}" if np.isfinite(least) else "nothing"
    return [name, per_hundred(called), *(f"{each:.0f}" for each in shares), shown]
