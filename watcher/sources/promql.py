"""Writes the PromQL of a signal: pure, from names to text.

Increments of a counter over a bucket of `step` seconds, scraped every `scrape` seconds, are asked for as

    sum(increase(name[step + scrape - 1ms])) * step / (step + scrape)

A range that is one scrape longer than the bucket holds, at every bucket, the samples from the last one of the bucket
before to the last one of this bucket. So neighbouring buckets meet at one sample: nothing is counted twice and nothing
falls between, and the factor takes back what `increase` adds by extrapolating to the ends of its range. The millisecond
keeps samples that lie exactly on both ends from being one too many. `increase(name[step])` drops what happens between
the last sample of a bucket and the first of the next, a quarter of all events with four scrapes a bucket, and is
empty with one; twice the range, halved, blurs a change over two buckets; `name - name offset step` is exact, but takes
a restart inside a bucket for a loss and every new series for a burst. docs/adapters/sources.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from watcher.sources.selection import Events, Form, Selection, Selector, selector

# Prometheus 2 closes ranges on both sides: without it a sample on the end of the bucket before would be in this one.
_END = 0.001
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_RANGED = re.compile(
    r"([a-zA-Z_:][\w:]*(?:\s*\{(?:[^{}\"']|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')*\})?)\s*\[\s*((?:\d+(?:ms|[smhdwy]))+)\s*\]"
)


@dataclass(frozen=True, slots=True)
class Grid:
    """How the answer is to be cut.

    Attributes:
        step: bucket width, seconds.
        scrape: how often the counters are scraped, seconds.
        extrapolates: whether `increase` extrapolates as in Prometheus; in VictoriaMetrics it counts from the last
            sample before the range, so its plain `increase(name[step])` is exact.
    """

    step: float
    scrape: float
    extrapolates: bool = True

    @property
    def range(self) -> float:
        """Seconds; never under two scrapes, below which there is no increase to be seen."""
        if not self.extrapolates:
            return max(self.step, self.scrape)
        return max(self.step + self.scrape, 2 * self.scrape) - _END

    @property
    def scale(self) -> float:
        return self.step / self.range


def numerator(query: Selection, grid: Grid, by: str | None = None) -> str:
    """The expression of the signal's values: events a bucket, a level, or a quantile; one series a value of `by`."""
    if query.form in {Form.RAW, Form.RAW_RATIO}:
        return _one_series(str(getattr(query, "query", "")), query.aggregate, by)
    if query.form is Form.COUNTER:
        return _with_zero(query.counter, query, grid, by)
    if query.form is Form.RATIO:
        expression = _with_zero(query.good or query.bad, query, grid, by)
        return f"{expression} or 0 * {denominator(query, grid, by)}" if query.absent == "zero" else expression
    if query.form is Form.GAUGE:
        level = f"avg_over_time({selectors(query)[0]}[{_length(max(grid.step, grid.scrape) - _END)}])"
        return _one_series(level, query.aggregate, by)
    buckets = _increase(selectors(query)[0], grid)
    kept = "le" if by is None else f"le, {by}"
    return f"histogram_quantile({query.quantile!r}, sum by ({kept}) ({buckets}))"


def denominator(query: Selection, grid: Grid, by: str | None = None) -> str | None:
    """The expression of a ratio's totals; None if the signal has none."""
    if query.form is Form.RAW_RATIO:
        return _one_series(str(getattr(query, "total_query", "")), query.aggregate, by)
    return _with_zero(query.total, query, grid, by) if query.form is Form.RATIO else None


def alternatives(values: Sequence[str]) -> str:
    """A regular expression (RE2) that matches each of `values` as a whole, and nothing else."""
    return "|".join(_SPECIAL.sub(r"\\\g<0>", value) for value in values)


def selectors(query: Selection) -> tuple[Selector, ...]:
    """What a query by names reads, the measure first; nothing for raw PromQL."""
    if query.histogram is not None:
        return (selector(query.histogram, query.labels, "_bucket"),)
    named = (query.counter, query.good or query.bad, query.gauge, query.total)
    return tuple(selector(metric, query.labels) for metric in named if metric is not None)


def ranges(promql: str) -> tuple[tuple[str, float], ...]:
    """The range selectors in raw PromQL: each selector's text with its range in seconds."""
    return tuple((match[1], _seconds(match[2])) for match in _RANGED.finditer(promql))


def _with_zero(named: str | Events | None, query: Selection, grid: Grid, by: str | None) -> str:
    """The summed increase; zero where the metric is there, but none of its series has the events' labels."""
    assert named is not None  # noqa: S101 -- the form says so
    wanted = selector(named, query.labels)
    expression = _summed(wanted, grid, by)
    return f"({expression} or 0 * {_summed(wanted.everywhere(), grid, by)})" if wanted.events else expression


def _summed(wanted: Selector, grid: Grid, by: str | None) -> str:
    scale = grid.scale
    expression = _one_series(_increase(wanted, grid), "sum", by)
    return expression if scale == 1 else f"{expression} * {scale!r}"


def _increase(wanted: Selector, grid: Grid) -> str:
    return f"increase({wanted}[{_length(grid.range)}])"


def _one_series(expression: str, aggregate: str | None, by: str | None) -> str:
    kept = "" if by is None else f" by ({by}) "
    return f"{aggregate}{kept}({expression})" if aggregate else expression


def _length(seconds: float) -> str:
    """A PromQL duration; whole seconds where it can be."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _seconds(duration: str) -> float:
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(duration))
