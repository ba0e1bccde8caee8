"""Measures signals with any HTTP service that answers JSON: a URL, and JMESPath for where the numbers stand in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from watcher.kit import http_dates
from watcher.kit.addresses import WebUrl, placeholders
from watcher.kit.expressions import Expression, TimeUnit, find, kind, malformed, moment, number
from watcher.kit.http import Polled
from watcher.kit.units import Duration
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.ports import Probe, Tools

_ON_GRID = 1e-6


class HttpJsonOptions(Polled):
    """Where to ask. `{start}`, `{end}` and `{step}` in the URL and in parameters become those of the window."""

    url: WebUrl = Field(description="Address; `{start}`, `{end}` and `{step}` (seconds) are filled in.")
    params: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Query parameters of every request; placeholders are filled in."
    )
    time_format: TimeUnit = Field(
        default="s", description="How `{start}` and `{end}` are written: unix s or ms, or iso."
    )
    settle: Duration = Field(default=0.0, ge=0, le=86400, description="Seconds until the newest data are final.")


class HttpJsonQuery(BaseModel):
    """What to ask for, and where it stands in the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    params: Mapping[str, str] = Field(default_factory=dict, description="Query parameters of this signal.")
    points: Expression = Field(default="@", description="JMESPath of the list of points.")
    time: Expression = Field(default="[0]", description="JMESPath, in a point, of its time.")
    value: Expression = Field(default="[1]", description="JMESPath, in a point, of its value; a ratio's numerator.")
    total: Expression | None = Field(default=None, description="JMESPath, in a point, of a ratio's denominator.")
    time_unit: TimeUnit = Field(default="s", description="How points write their time: unix s or ms, or iso.")
    stamp: Literal["end", "start"] = Field(
        default="end", description="Whether a point's time is the end or the start of what it covers."
    )
    coerce: bool = Field(default=False, description="Whether numbers may be written as text.")
    absent: Literal["missing", "zero"] = Field(
        default="missing", description="What it means for a count that the answer leaves a bucket out."
    )


class _Row(NamedTuple):
    end: float
    value: float
    total: float


class HttpJson:
    """`fetch` and `probe`; safe to use from several threads."""

    Options = HttpJsonOptions
    Query = HttpJsonQuery

    def __init__(self, name: str, options: HttpJsonOptions, tools: Tools) -> None:
        self.name = name
        self._options = options
        self._http = tools.http(options)
        self._now = tools.now

    def fetch(self, signal: Signal, window: Window) -> Series:
        """As the port says. Several points in a bucket are added up (counts, ratios with totals) or averaged."""
        query = HttpJsonQuery.model_validate(dict(signal.query))
        now = self._now()
        rows, lag = self._rows(query, window)
        complete = min(window.end, now - lag - self._options.settle)
        return _series(signal, query, window, complete, rows)

    def probe(self, signal: Signal, now: float) -> Probe:
        """As the port says, from the last ten buckets."""
        query = HttpJsonQuery.model_validate(dict(signal.query))
        rows, _ = self._rows(query, Window(now - 10 * signal.step, now, signal.step).aligned())
        known = [row for row in rows if math.isfinite(row.value)]
        if not known:
            return Probe(None, None, int(bool(rows)), None, ("the answer has no number in the last ten steps",))
        newest = max(known, key=lambda row: row.end)
        ends = np.unique([row.end for row in rows])
        return Probe(
            value=newest.value if query.total is None else newest.value / newest.total if newest.total else None,
            age=max(now - newest.end, 0.0),
            series=1,
            step=float(np.median(np.diff(ends))) if len(ends) > 1 else None,
        )

    def _rows(self, query: HttpJsonQuery, window: Window) -> tuple[list[_Row], float]:
        """The points, and the seconds by which the server's clock is behind ours."""
        fill = placeholders(window.start, window.end, window.step, self._options.time_format)
        params = {name: fill(value.get_secret_value()) for name, value in self._options.params.items()}
        params |= {name: fill(value) for name, value in query.params.items()}
        answer = self._http.request("GET", fill(self._options.url), params=params or None)
        lag = http_dates.lag(answer.clock_behind)
        found = find(query.points, answer.json())
        if not isinstance(found, list):
            raise malformed(f"points `{query.points}`: expected a list, found {kind(found)}")
        return [_row(query, item, place, window.step) for place, item in enumerate(found)], lag


def _row(query: HttpJsonQuery, item: Any, place: int, step: float) -> _Row:
    where = f"points[{place}]"
    at = moment(find(query.time, item), query.time_unit, f"{where}.time", coerce=query.coerce)
    value = number(find(query.value, item), f"{where}.value", coerce=query.coerce)
    total = math.nan
    if query.total is not None:
        total = number(find(query.total, item), f"{where}.total", coerce=query.coerce)
    return _Row(at + step if query.stamp == "start" else at, value, total)


def _series(signal: Signal, query: HttpJsonQuery, window: Window, complete: float, rows: list[_Row]) -> Series:
    """The points on the grid of the window."""
    grid = window.grid()
    step = window.step
    ratio = query.total is not None
    adds = signal.kind is Kind.COUNT or ratio
    values, totals, counts = np.zeros(len(grid)), np.zeros(len(grid)), np.zeros(len(grid))
    for row in rows:
        place = math.ceil(row.end / step - _ON_GRID) - round(grid[0] / step) if len(grid) else -1
        if 0 <= place < len(grid) and not math.isnan(row.value) and not (ratio and math.isnan(row.total)):
            values[place] += row.value
            totals[place] += row.total
            counts[place] += 1
    there = counts > 0
    if not adds:
        values[there] /= counts[there]
    if signal.kind is Kind.COUNT and query.absent == "zero":
        there = grid <= complete
    return Series(
        times=grid[there],
        values=values[there],
        step=step,
        complete_until=complete,
        totals=totals[there] if ratio else None,
    )
