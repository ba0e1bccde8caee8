"""Answers of Prometheus as rows on the grid that was asked for: one a service."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from watcher.errors import ExternalError, Fault
from watcher.kit.expressions import malformed
from watcher.model.series import Floats
from watcher.sources.prometheus_api import MOST_POINTS, Api, Found
from watcher.sources.prometheus_query import Members

_ON_GRID = 1e-3


@dataclass(slots=True, eq=False)
class Rows:
    """What was answered.

    Attributes:
        values: NaN where the answer has none, shape (members, times).
        errors: place of a member -> why it has no row.
        lag: seconds by which the server's clock is behind ours.
        partial: the server says that something is missing.
    """

    values: Floats
    errors: dict[int, ExternalError] = field(default_factory=dict)
    lag: float = 0.0
    partial: bool = False
    warnings: tuple[str, ...] = ()


def read(api: Api, expression: str, times: Floats, step: float, members: Members) -> Rows:
    """Values of `expression` at `times`, as many at once as a server allows."""
    rows = Rows(np.full((len(members.values), len(times)), np.nan))
    for begin in range(0, len(times), MOST_POINTS):
        part = times[begin : begin + MOST_POINTS]
        answer = api.range(expression, part[0], part[-1], step)
        rows.lag, rows.partial = max(rows.lag, answer.lag), rows.partial or answer.partial
        rows.warnings += answer.warnings
        places = [_place(members, found) for found in answer.series]
        for place, count in Counter(place for place in places if place is not None).items():
            if count > 1:
                rows.errors[place] = _several(count)
        for member, found in zip(places, answer.series, strict=True):
            if member is not None:
                _put(rows.values[member], found, times, step)
    return rows


def _place(members: Members, found: Found) -> int | None:
    try:
        return members.place(found.labels)
    except LookupError:
        raise ExternalError(
            f"the query's series have no label {members.label} (expected one series a value of it)",
            fault=Fault.QUERY,
            permanent=True,
        ) from None


def _put(row: Floats, found: Found, times: Floats, step: float) -> None:
    places = (found.times - times[0]) / step
    whole = np.round(places)
    if np.any(np.abs(places - whole) * step > _ON_GRID):
        raise malformed("the points are not on whole multiples of the step")
    inside = (whole >= 0) & (whole < len(times))
    row[whole[inside].astype(np.int64)] = found.values[inside]


def _several(count: int) -> ExternalError:
    return ExternalError(
        f"the query matches {count} series (expected one, or aggregate: sum, avg, max or min)",
        fault=Fault.QUERY,
        permanent=True,
    )
