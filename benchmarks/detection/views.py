"""What a peer's rule is shown of a case: one signal, turned so that harm is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.cases import Case
from watcher.model.series import Floats
from watcher.model.service import Harm

BEFORE = 60  # buckets before the deploy that a before-and-after rule compares with


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Values before the deploy, shape (n,), and of the watch, shape (looks,); missing ones are NaN."""

    history: Floats
    after: Floats
    step: float

    @property
    def before(self) -> Floats:
        """The last hour (60 buckets) before the deploy, without what is missing."""
        last = self.history[-BEFORE:]
        return last[~np.isnan(last)]

    def now(self, look: int) -> Floats:
        """What is known of the watch after so many looks (from 1)."""
        part = self.after[:look]
        return part[~np.isnan(part)]


@dataclass(frozen=True, slots=True)
class Rule:
    """`scores(view)` has one figure a look, shape (looks,), that alarms from `default` on; `clock()` is in seconds."""

    name: str
    default: float
    scores: Callable[[View], Floats]
    clock: Callable[[], float] = time.process_time


def views(case: Case) -> list[View]:
    """Each signal of the watch, once for each direction in which it may hurt."""
    signs = {Harm.UP: (1.0,), Harm.DOWN: (-1.0,), Harm.EITHER: (1.0, -1.0)}
    end = case.first + case.looks
    return [
        View(sign * each.quotients[: case.first], sign * each.quotients[case.first : end], case.step)
        for each in case.watched
        for sign in signs[each.harm]
    ]


def judged(rule: Rule, case: Case) -> Floats:
    """The rule's running maximum over looks, signals and directions, shape (looks,)."""
    every = np.array([rule.scores(view) for view in views(case)])
    return np.asarray(np.maximum.accumulate(np.nan_to_num(every.max(axis=0), nan=-99.0, posinf=1e9, neginf=-99.0)))
