"""Measures signals with a Prometheus server, or another that speaks its API: Mimir, Thanos, VictoriaMetrics."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from watcher.errors import ExternalError, Fault
from watcher.kit.expressions import malformed
from watcher.model.series import Floats, Series, Window, empty_series
from watcher.model.service import Kind, Signal
from watcher.ports import Probe, Tools
from watcher.sources import promql
from watcher.sources.prometheus_api import MOST_POINTS, Answer, Api, ApiOptions
from watcher.sources.scrapes import Scrapes
from watcher.sources.selection import Form, Selection, misfit, refuse

_UNKNOWN_SCRAPE = 60.0  # too long an interval only blurs; too short a one finds nothing
# A sample bears the time at which its scrape began, and is there once that is done; by default within 10 s or never.
_SCRAPE_TAKES = 10.0
_ON_GRID = 1e-3
_NOISE = 1e-6


class PrometheusQuery(Selection):
    """A signal's question to Prometheus: metrics by name, or raw PromQL."""

    query: str | None = Field(default=None, min_length=1, description="PromQL that gives one series.")
    total_query: str | None = Field(
        default=None, min_length=1, description="PromQL of a ratio's denominator; `query` is then its numerator."
    )


class Prometheus:
    """`fetch` and `probe`; safe to use from several threads."""

    Options = ApiOptions
    Query = PrometheusQuery
    misfit = staticmethod(misfit)

    def __init__(self, name: str, options: ApiOptions, tools: Tools) -> None:
        self.name = name
        self._options = options
        self._now = tools.now
        self._api = Api(options, tools.http(options))
        self._scrapes = Scrapes(self._api, options.scrape_interval)

    def fetch(self, signal: Signal, window: Window) -> Series:
        """As the port says. A bucket's increments are those between its newest scrape and that of the bucket before."""
        query = _query(signal)
        now = self._now()
        grid = self._grid(query, window.step, window.start, min(now, window.end))
        complete_at = now - self._options.settle - min(grid.scrape, _SCRAPE_TAKES)
        complete = min(window.end, complete_at)
        times = window.grid()
        times = times[times <= now]
        if not len(times):
            return empty_series(window.step, complete)
        values, answers = self._measure(promql.numerator(query, grid), times, window.step)
        totals = None
        total = promql.denominator(query, grid)
        if total is not None:
            totals, more = self._measure(total, times, window.step)
            answers += more
        if query.form in {Form.COUNTER, Form.RATIO}:
            values, totals = _whole(values), None if totals is None else _whole(totals)
        if signal.kind is Kind.RATE and query.form is Form.COUNTER:
            values = values / window.step
        # A server whose clock is behind has its newest samples still to come, by its own reckoning.
        lag = max(answer.lag for answer in answers)
        return _series(window.step, min(complete, complete_at - lag), times, values, totals, answers)

    def probe(self, signal: Signal, now: float) -> Probe:
        """As the port says; ranges too short for their scrapes, and names that match nothing, are warnings."""
        query = _query(signal)
        scrape = self._scrape(query, now, now)
        grid = self._grid(query, signal.step, now, now)
        warnings = self._too_short(query, now)
        if scrape is not None and signal.step < scrape:
            warnings.append(f"the step of {signal.step:g} s is finer than the scrape interval of {scrape:g} s")
        series, age = self._matched(query, grid, now, warnings)
        value = newest = None
        if series:
            try:
                value, newest = _newest(self.fetch(signal, Window(now - 10 * signal.step, now, signal.step)))
            except ExternalError as error:
                warnings.append(str(error))
        if age is None and newest is not None:
            age = now - newest
        return Probe(value, age, series, scrape, tuple(warnings))

    def _measure(self, expression: str, times: Floats, step: float) -> tuple[Floats, list[Answer]]:
        """Values at `times`, NaN where the answer has none; shape of `times`."""
        values = np.full(len(times), np.nan)
        answers = []
        for begin in range(0, len(times), MOST_POINTS):
            part = times[begin : begin + MOST_POINTS]
            answer = self._api.range(expression, part[0], part[-1], step)
            answers.append(answer)
            if len(answer.series) > 1:
                raise ExternalError(
                    f"the query matches {len(answer.series)} series (expected one, or aggregate: sum, avg, max or min)",
                    fault=Fault.QUERY,
                    permanent=True,
                )
            for found in answer.series:
                places = (found.times - times[0]) / step
                whole = np.round(places)
                if np.any(np.abs(places - whole) * step > _ON_GRID):
                    raise malformed("the points are not on whole multiples of the step")
                inside = (whole >= 0) & (whole < len(times))
                values[whole[inside].astype(np.int64)] = found.values[inside]
        return values, answers

    def _grid(self, query: PrometheusQuery, step: float, start: float, end: float) -> promql.Grid:
        scrape = self._scrape(query, start, end) or _UNKNOWN_SCRAPE
        return promql.Grid(step, scrape, extrapolates=self._options.dialect == "prometheus")

    def _scrape(self, query: PrometheusQuery, start: float, end: float) -> float | None:
        """Seconds between the scrapes of what `query` reads (of a ratio: the total, for errors may be rare)."""
        chosen = [str(selector) for selector in promql.selectors(query)]
        if not chosen:
            chosen = [selector for selector, _ in reversed(promql.ranges(query.query or ""))]
        return self._scrapes.longest(chosen[-1], start, end) if chosen else self._options.scrape_interval

    def _matched(
        self, query: PrometheusQuery, grid: promql.Grid, now: float, warnings: list[str]
    ) -> tuple[int, float | None]:
        """How many series the query matches, and the age of the newest sample where that can be known."""
        chosen = promql.selectors(query)
        if not chosen:
            asked = [each for each in (promql.numerator(query, grid), promql.denominator(query, grid)) if each]
            found = [len(self._api.instant(each, now - self._options.settle).series) for each in asked]
            warnings += [] if all(found) else ["the query gives nothing now"]
            return found[0], None
        counts = [self._number(f"count({selector})", now) for selector in chosen]
        for selector, count in zip(chosen, counts, strict=True):
            if count is None:
                zero = selector.events and self._number(f"count({selector.everywhere()})", now) is not None
                warnings.append(f"no series matches {selector}{'; it counts as zero' if zero else ''}")
        newest = self._number(f"max(timestamp({chosen[-1]}))", now)
        return int(counts[0] or counts[-1] or 0), None if newest is None else now - newest

    def _number(self, expression: str, at: float) -> float | None:
        found = self._api.instant(expression, at).series
        return float(found[0].values[-1]) if found and len(found[0].values) else None

    def _too_short(self, query: PrometheusQuery, now: float) -> list[str]:
        found = []
        for raw in (query.query, query.total_query):
            for selector, length in promql.ranges(raw or ""):
                scrape = self._scrapes.interval(selector, now)
                if scrape is not None and length < 2 * scrape:
                    found.append(
                        f"the range {selector}[{length:g}s] is under two scrape intervals of {scrape:g} s, "
                        "so it often finds nothing"
                    )
        return found


def _query(signal: Signal) -> PrometheusQuery:
    query = PrometheusQuery.model_validate(dict(signal.query))
    refuse(signal, query)
    return query


def _whole(events: Floats) -> Floats:
    """Events are whole numbers; what the server's arithmetic left behind them is taken away."""
    whole = np.round(events)
    return np.where(np.abs(events - whole) < _NOISE, whole, events)


def _series(
    step: float, complete: float, times: Floats, values: Floats, totals: Floats | None, answers: list[Answer]
) -> Series:
    keep = ~np.isnan(values if totals is None else totals)
    return Series(
        times=times[keep],
        values=values[keep],
        totals=None if totals is None else totals[keep],
        step=step,
        complete_until=complete,
        partial=any(answer.partial for answer in answers),
        warnings=tuple(dict.fromkeys(text for answer in answers for text in answer.warnings)),
    )


def _newest(series: Series) -> tuple[float | None, float | None]:
    """The newest value (a ratio's quotient) and its time."""
    for index in reversed(range(len(series))):
        value = float(series.values[index])
        total = None if series.totals is None else float(series.totals[index])
        if math.isfinite(value) and total != 0:
            return (value if total is None else value / total), float(series.times[index])
    return None, None
