"""A watch with a known truth, and the ways in which harm is put into a quiet series."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Role, Signal
from watcher.model.watch import WatchPlan

PROBABILITY = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One watch of one signal (and perhaps its control); times ascend, shape (n,).

    Attributes:
        first: index of the first point after the deploy; the watch is `times[first : first + looks]`.
        change: relative harm put in, 0 for a placebo deploy, not a number where harm is real and its size not known.
        label: what kind of harm, for the table.
        beside: further signals of the same watch, on the same times.
    """

    group: str
    kind: Kind
    harm: Harm
    times: Floats
    values: Floats
    first: int
    looks: int
    step: float
    totals: Floats | None = None
    control: Floats | None = None
    control_kind: Kind = Kind.COUNT
    change: float = 0.0
    label: str = "none"
    onset: int = 0
    beside: tuple[Case, ...] = ()

    @property
    def deploy(self) -> float:
        return float(self.times[self.first]) - self.step

    @property
    def watched(self) -> tuple[Case, ...]:
        """Every signal of the watch, each as a case."""
        return (self, *self.beside)

    @property
    def plan(self) -> WatchPlan:
        until = float(self.times[self.first + self.looks - 1])
        signals = [
            Signal(f"signal{place}", each.kind, each.harm, "bench", each.step)
            for place, each in enumerate(self.watched)
        ]
        if self.control is not None:
            control = Signal("control", self.control_kind, Harm.EITHER, "bench", self.step, role=Role.CONTROL)
            signals = [replace(signals[0], control="control"), *signals[1:], control]
        return WatchPlan(tuple(signals), self.deploy, until, until, PROBABILITY)

    @property
    def series(self) -> dict[str, Series]:
        made = {
            f"signal{place}": Series(each.times, each.values, each.step, math.inf, each.totals)
            for place, each in enumerate(self.watched)
        }
        if self.control is not None:
            made["control"] = Series(self.times, self.control, self.step, math.inf)
        return made

    @property
    def quotients(self) -> Floats:
        """What a rule sees that knows neither denominators nor controls: the values, divided by either beforehand."""
        below = self.totals if self.totals is not None else self.control
        if below is None:
            return self.values
        quotients = np.full(len(self.values), np.nan)
        return np.asarray(np.divide(self.values, below, out=quotients, where=below > 0), dtype=np.float64)


def shape_of(label: str, looks: int) -> tuple[Floats, int]:
    """Factor of the harm at each look, shape (looks,), and the look at which it begins."""
    at = np.arange(looks)
    if label == "ramp":
        return np.minimum((at + 1) / (looks / 2), 1.0), 0
    if label == "late":
        return (at >= looks // 3).astype(np.float64), looks // 3
    if label == "spike":
        return ((at >= looks // 4) & (at < looks // 4 + max(looks // 20, 2))).astype(np.float64), looks // 4
    return np.ones(looks), 0


def harmed(case: Case, change: float, label: str, rng: np.random.Generator) -> Case:
    """The case with a relative change in its watch; counts stay whole, losses are thinned, gains are added."""
    shape, onset = shape_of(label, case.looks)
    values = case.values.copy()
    part = slice(case.first, case.first + case.looks)
    old = values[part]
    if case.kind is Kind.COUNT:
        known = np.nan_to_num(old, nan=0.0)
        whole = np.maximum(known, 0).astype(np.int64)
        if change < 0:
            new = rng.binomial(whole, np.clip(1 + change * shape, 0, 1)).astype(np.float64)
        else:
            new = (whole + rng.poisson(known * change * shape)).astype(np.float64)
        new = np.where(np.isnan(old), np.nan, new)
    else:
        new = old * (1 + change * shape)
    values[part] = new
    return replace(case, values=values, change=change, label=label, onset=onset)


def held_out(name: str) -> bool:
    """Half of all series, by their names: to be kept apart from those that the engine is worked on with."""
    return zlib.crc32(name.encode()) % 2 == 1


Maker = Callable[[np.random.Generator], Case]
