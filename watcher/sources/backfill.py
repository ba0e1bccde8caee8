"""Fills the history of `openmetrics` from a file: streams through it once, whatever the order of its series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from watcher.errors import MalformedError
from watcher.kit.exposition import Sample, read
from watcher.ports import Point
from watcher.sources.buckets import Bucket, Tally, advance, bucket_end, increment
from watcher.sources.streams import Stream, What, aggregated

_GAP = 2.5  # samples


class _Series:
    """One series of the file on its way into one stream."""

    __slots__ = ("at", "count", "end", "key", "limit", "step", "sum", "tally", "value")

    def __init__(self, key: str, step: float, limit: float) -> None:
        self.key = key
        self.step = step
        self.limit = limit
        self.at = -math.inf
        self.value = 0.0
        self.tally: Tally | None = None
        self.end = 0.0  # a gauge's bucket under way
        self.sum = 0.0
        self.count = 0


class _Sums:
    """A stream on its way: what its series say of each bucket, and which buckets at least one watched as a whole."""

    def __init__(self, stream: Stream, interval: float) -> None:
        self.stream = stream
        self.limit = _GAP * max(interval, stream.step)
        self.series: dict[str, _Series] = {}
        self.amounts: dict[str, dict[float, float]] = {}
        self.levels: dict[float, list[float]] = {}
        self.whole: set[float] = set()
        self.newest = -math.inf

    def route(self, sample: Sample) -> _Series | None:
        """The series that `sample` belongs to, if the stream wants it."""
        if sample.name != self.stream.wanted.name or not self.stream.takes(sample.labels):
            return None
        return self.series.setdefault(
            repr(sorted(sample.labels.items())),
            _Series(self.stream.key(sample.labels), self.stream.step, self.limit),
        )

    def count(self, series: _Series, at: float, value: float) -> None:
        """One more sample of a counter."""
        if series.tally is None:
            series.tally = Tally(at, at)
        else:
            amount = increment(series.value, value)
            self._keep(series.key, advance(series.tally, at, {"": amount}, series.step, series.limit))
        series.value = value

    def level(self, series: _Series, at: float, value: float) -> None:
        """One more sample of a gauge."""
        end = bucket_end(at, series.step)
        if end != series.end:
            self._end_level(series)
            series.end = end
        series.sum += value
        series.count += 1

    def finish(self) -> None:
        """What was under way at the end of the file: counted where another series watched the whole bucket."""
        for series in self.series.values():
            self._end_level(series)
            if series.tally is not None and series.tally.amounts:
                end = bucket_end(series.tally.at, series.step)
                self._keep(series.key, [Bucket(end, series.tally.amounts, whole=False)])

    def points(self) -> list[Point]:
        if self.stream.what is What.GAUGE:
            several = self.stream.aggregate is not None
            return [
                Point(end, aggregated(levels, self.stream.aggregate))
                for end, levels in sorted(self.levels.items())
                if several or len(levels) == 1
            ]
        return [
            Point(end, amount, key)
            for key, amounts in self.amounts.items()
            for end, amount in amounts.items()
            if end in self.whole
        ]

    def _keep(self, key: str, ended: Sequence[Bucket]) -> None:
        amounts = self.amounts.setdefault(key, {})
        for bucket in ended:
            amounts[bucket.end] = amounts.get(bucket.end, 0.0) + bucket.amounts.get("", 0.0)
            if bucket.whole:
                self.whole.add(bucket.end)

    def _end_level(self, series: _Series) -> None:
        if series.count:
            self.levels.setdefault(series.end, []).append(series.sum / series.count)
        series.sum, series.count = 0.0, 0


class Backfill:
    """Reads OpenMetrics text with timestamps into the points of `streams`."""

    def __init__(self, streams: Sequence[Stream], interval: float) -> None:
        self._sums = [_Sums(stream, interval) for stream in streams]
        self._names = frozenset(stream.wanted.name for stream in streams)

    def read(self, lines: Iterable[str]) -> int:
        """Takes the samples in; returns how many were wanted. `MalformedError` names the line."""
        routes: dict[str, list[tuple[_Sums, _Series]]] = {}
        kept = 0
        for number, sample in read(lines, self._names.__contains__, openmetrics=True):
            route = routes.get(sample.series)
            if route is None:
                found = ((sums, sums.route(sample)) for sums in self._sums)
                route = routes[sample.series] = [(sums, series) for sums, series in found if series is not None]
            if not route or not math.isfinite(sample.value):
                continue
            if sample.at is None or not math.isfinite(sample.at):
                raise MalformedError(f"line {number}", "a timestamp in seconds after the value")
            kept += 1
            for sums, series in route:
                _take(sums, series, sample.at, sample.value, number)
        return kept

    def results(self) -> Iterator[tuple[Stream, list[Point], float]]:
        """Each stream that the file had something of: its points, and the time of its newest sample."""
        for sums in self._sums:
            sums.finish()
            if sums.series:
                yield sums.stream, sums.points(), sums.newest


def _take(sums: _Sums, series: _Series, at: float, value: float, number: int) -> None:
    if at <= series.at:
        if at == series.at:
            return  # the same sample again
        raise MalformedError(f"line {number}", "a time later than that of the series' sample before")
    series.at = at
    sums.newest = max(sums.newest, at)
    if sums.stream.what is What.GAUGE:
        sums.level(series, at, value)
    else:
        sums.count(series, at, value)
