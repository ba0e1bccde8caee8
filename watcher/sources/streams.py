"""Which streams of points a signal rests on in the memory of `openmetrics`, and how they become a Series."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from watcher.kit.exposition import Exposition, Sample
from watcher.model.series import Floats, Series
from watcher.model.service import Kind, Signal
from watcher.ports import Point
from watcher.sources.buckets import quantiles
from watcher.sources.selection import Aggregate, Form, Selection, Selector, selector


class What(StrEnum):
    """What a stream's points are, one each bucket."""

    COUNTER = "counter"  # events
    HISTOGRAM = "histogram"  # events at or below each bound; the point's key is the bound
    GAUGE = "gauge"  # mean level


@dataclass(frozen=True, slots=True)
class Stream:
    """One measure of one bucket width. `absent_is_zero`: a target without the metric has counted nothing."""

    what: What
    wanted: Selector
    step: float
    aggregate: Aggregate | None = None
    absent_is_zero: bool = False

    @property
    def name(self) -> str:
        """The same for the same measure, whichever signals ask for it."""
        text = f"{self.wanted.labels}|{self.wanted}|{self.aggregate}|{self.absent_is_zero}"
        return f"{self.what}:{self.wanted.name}:{self.step:g}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def created(self) -> str:
        """The metric that says when each series began (OpenMetrics), if the target exposes it."""
        return f"{self.wanted.name.removesuffix('_total').removesuffix('_bucket')}_created"

    def key(self, labels: Mapping[str, str]) -> str:
        """The key of the points that a series with `labels` adds to; of a histogram its bound, however written."""
        return repr(bound(labels)) if self.what is What.HISTOGRAM else ""

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of the metric with `labels` is part of the measure."""
        return self.wanted.matches(labels) and (self.what is not What.HISTOGRAM or not math.isnan(bound(labels)))

    def is_there(self, scrape: Exposition, samples: Sequence[Sample]) -> bool:
        """Whether the target told of this measure, `samples` being those it has of the metric, in any series."""
        if not samples:
            return self.absent_is_zero or scrape.exposes(self.wanted.name)
        where = self.wanted.everywhere()
        return self.absent_is_zero or any(where.matches(sample.labels) for sample in samples)


def bound(labels: Mapping[str, str]) -> float:
    """The upper bound of a histogram's bucket; NaN if the labels do not say one."""
    try:
        return float(labels.get("le", "nan"))
    except ValueError:
        return math.nan


def streams(query: Selection, step: float) -> tuple[Stream, ...]:
    """What `query` rests on: the measure, then a ratio's total."""
    if query.histogram is not None:
        return (Stream(What.HISTOGRAM, selector(query.histogram, query.labels, "_bucket"), step),)
    if query.gauge is not None:
        return (Stream(What.GAUGE, selector(query.gauge, query.labels), step, query.aggregate),)
    absent = query.absent == "zero"
    named = query.counter or query.good or query.bad
    counted = [(named, absent), (query.total, False)]
    return tuple(
        Stream(What.COUNTER, selector(metric, query.labels), step, absent_is_zero=zero)
        for metric, zero in counted
        if metric is not None
    )


def series(signal: Signal, query: Selection, points: Sequence[Sequence[Point]], complete_until: float) -> Series:
    """The signal from the points of its streams, in the order of `streams`."""
    if query.form is Form.HISTOGRAM:
        times, values = _quantiles(points[0], query.quantile or 0.0)
        return Series(times, values, signal.step, complete_until)
    times, values = _columns(points[0])
    if query.form is not Form.RATIO:
        per = signal.step if signal.kind is Kind.RATE else 1.0
        return Series(times, values / per, signal.step, complete_until)
    total_times, totals = _columns(points[1])
    numerators = np.full(len(total_times), np.nan)
    _, there, here = np.intersect1d(total_times, times, assume_unique=True, return_indices=True)
    numerators[there] = values[here]
    return Series(total_times, numerators, signal.step, complete_until, totals=totals)


def aggregated(values: Iterable[float], aggregate: Aggregate | None) -> float:
    """One value of several; `values` is not empty, and has one element if there is no `aggregate`."""
    several = list(values)
    if aggregate == "max":
        return max(several)
    if aggregate == "min":
        return min(several)
    return sum(several) / (len(several) if aggregate == "avg" else 1)


def _columns(points: Sequence[Point]) -> tuple[Floats, Floats]:
    return (
        np.fromiter((point.at for point in points), np.float64, len(points)),
        np.fromiter((point.value for point in points), np.float64, len(points)),
    )


def _quantiles(points: Sequence[Point], quantile: float) -> tuple[Floats, Floats]:
    keys = [point.key for point in points]
    bounds = sorted(float(key) for key in set(keys))
    column = {repr(upper): place for place, upper in enumerate(bounds)}
    columns = np.array([column[key] for key in keys], dtype=np.int64)
    at, values = _columns(points)
    times, rows = np.unique(at, return_inverse=True)
    counts = np.zeros((len(times), len(bounds)))
    counts[rows, columns] = values
    return times, quantiles(np.array(bounds), counts, quantile)
