"""Measures signals with a Prometheus server, or another that speaks its API: Mimir, Thanos, VictoriaMetrics."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from watcher.errors import ExternalError, Fault
from watcher.kit.remembered import Remembered
from watcher.model.series import Floats, Series, Window, empty_series
from watcher.model.service import Kind, Signal
from watcher.ports import Probe, Tools
from watcher.sources import promql
from watcher.sources.prometheus_api import Api, ApiOptions
from watcher.sources.prometheus_query import PrometheusQuery, kin_of, together
from watcher.sources.prometheus_rows import Rows, read
from watcher.sources.scrapes import Scrapes
from watcher.sources.selection import Form, misfit, refuse

_UNKNOWN_SCRAPE = 60.0  # too long an interval only blurs; too short a one finds nothing
# A sample bears the time at which its scrape began, and is there once that is done; by default within 10 s or never.
_SCRAPE_TAKES = 10.0
_MOST_VALUES = 200_000  # in one answer: 6 MB; and of what is read for them a server allows 50 million samples
_TOO_MUCH = ("too many samples", "exceed", "limit")
_NOISE = 1e-6
_SIGNALS = 50_000  # a kilobyte each


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
        self._most = _MOST_VALUES

    def fetch(self, signal: Signal, window: Window) -> Series:
        """As the port says. A bucket's increments are those between its newest scrape and that of the bucket before."""
        (found,) = self.fetch_all([signal], window)
        if isinstance(found, ExternalError):
            raise found
        return found

    def kin(self, signal: Signal) -> Hashable | None:
        """As the port says: signals that differ in nothing but the value of their member."""
        kin = _asked(signal).kin
        return None if kin is None else (signal.kind, kin)

    def fetch_all(self, signals: Sequence[Signal], window: Window) -> Sequence[Series | ExternalError]:
        """As the port says, in slices that servers allow."""
        queries = [_asked(signal).query for signal in signals]
        most = max(self._most // max(len(window.grid()), 1), 1)
        found: list[Series | ExternalError] = []
        for begin in range(0, len(queries), most):
            found += self._sliced(signals[0].kind, queries[begin : begin + most], window)
        return found

    def _sliced(
        self, kind: Kind, queries: Sequence[PrometheusQuery], window: Window
    ) -> Sequence[Series | ExternalError]:
        """What the server finds too much is asked for in halves, and never again so much."""
        try:
            return self._fetch(kind, queries, window)
        except ExternalError as error:
            if len(queries) == 1 or not _too_much(error):
                raise
            self._most = min(self._most, len(queries) * max(len(window.grid()), 1) // 2)
        half = len(queries) // 2
        return [*self._sliced(kind, queries[:half], window), *self._sliced(kind, queries[half:], window)]

    def _fetch(
        self, kind: Kind, queries: Sequence[PrometheusQuery], window: Window
    ) -> Sequence[Series | ExternalError]:
        now = self._now()
        query, members = together(queries)
        grid = self._grid(queries[0], window.step, window.start, min(now, window.end))
        complete_at = now - self._options.settle - min(grid.scrape, _SCRAPE_TAKES)
        times = window.grid()
        times = times[times <= now]
        if not len(times):
            return [empty_series(window.step, min(window.end, complete_at))] * len(queries)
        values = read(self._api, promql.numerator(query, grid, members.label), times, window.step, members)
        total = promql.denominator(query, grid, members.label)
        totals = None if total is None else read(self._api, total, times, window.step, members)
        # A server whose clock is behind has its newest samples still to come, by its own reckoning.
        lag = max(values.lag, 0.0 if totals is None else totals.lag)
        complete = min(window.end, complete_at - lag)
        counted = query.form in {Form.COUNTER, Form.RATIO}
        per = window.step if kind is Kind.RATE and query.form is Form.COUNTER else 1.0
        return [
            _series(window, complete, place, times, values, totals, whole=counted, per=per)
            for place in range(len(queries))
        ]

    def probe(self, signal: Signal, now: float) -> Probe:
        """As the port says; ranges too short for their scrapes, and names that match nothing, are warnings."""
        query = _asked(signal).query
        scrape = self._scrape(query, now, now)
        grid = self._grid(query, signal.step, now, now)
        query, _ = together([query])
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

    def _grid(self, query: PrometheusQuery, step: float, start: float, end: float) -> promql.Grid:
        scrape = self._scrape(query, start, end) or _UNKNOWN_SCRAPE
        return promql.Grid(step, scrape, extrapolates=self._options.dialect == "prometheus")

    def _scrape(self, query: PrometheusQuery, start: float, end: float) -> float | None:
        """Seconds between the scrapes of what `query` reads (of a ratio: the total, for errors may be rare)."""
        alone, _ = together([query])
        chosen = [str(selector) for selector in promql.selectors(alone)]
        if not chosen:
            chosen = [selector for selector, _ in reversed(promql.ranges(alone.query or ""))]
        if not chosen:
            return self._options.scrape_interval
        # Services of one template are scraped alike: each need not be found out by itself.
        return self._scrapes.longest(chosen[-1], start, end, "" if query.member is None else kin_of(query))

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


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a signal asks for; `kin`: the same for signals that one question may ask for, None if there is no other."""

    query: PrometheusQuery
    kin: str | None


def _read_query(signal: Signal) -> _Asked:
    query = PrometheusQuery.model_validate(dict(signal.query))
    refuse(signal, query)
    return _Asked(query, None if query.member is None else sys.intern(kin_of(query)))


_asked = Remembered(_read_query, _SIGNALS)


def _too_much(error: ExternalError) -> bool:
    return error.fault is Fault.TOO_LARGE or (
        error.fault is Fault.QUERY and any(word in str(error) for word in _TOO_MUCH)
    )


def _whole(events: Floats) -> Floats:
    """Events are whole numbers; what the server's arithmetic left behind them is taken away."""
    whole = np.round(events)
    return np.where(np.abs(events - whole) < _NOISE, whole, events)


def _series(
    window: Window,
    complete: float,
    place: int,
    times: Floats,
    values: Rows,
    totals: Rows | None,
    *,
    whole: bool,
    per: float,
) -> Series | ExternalError:
    """The series of one member; `whole`: of events, `per` so many seconds."""
    parts = [values] if totals is None else [values, totals]
    for part in parts:
        if place in part.errors:
            return part.errors[place]
    rows = [_whole(part.values[place]) if whole else part.values[place] for part in parts]
    keep = ~np.isnan(rows[-1])
    return Series(
        times=times[keep],
        values=rows[0][keep] / per,
        totals=rows[1][keep] if len(rows) > 1 else None,
        step=window.step,
        complete_until=complete,
        partial=any(part.partial for part in parts),
        warnings=tuple(dict.fromkeys(text for part in parts for text in part.warnings)),
    )


def _newest(series: Series) -> tuple[float | None, float | None]:
    """The newest value (a ratio's quotient) and its time."""
    for index in reversed(range(len(series))):
        value = float(series.values[index])
        total = None if series.totals is None else float(series.totals[index])
        if math.isfinite(value) and total != 0:
            return (value if total is None else value / total), float(series.times[index])
    return None, None
