"""Pages by time: quick however far back, and never parting what came at one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")


def page_of(
    read: Callable[..., Sequence[Row]], limit: int, before: float | None, at: Callable[[Row], float]
) -> tuple[Sequence[Row], float | None]:
    """The newest `limit` rows with all that share the last one's time, however many, and `before` of the next page.

    `read` takes `limit` and `before`, or the `at` that all rows are to have.
    """
    rows = read(limit=limit + 1, before=before)
    if len(rows) <= limit:
        return rows, None
    last = at(rows[limit - 1])
    if at(rows[limit]) == last:
        rows = [*(row for row in rows if at(row) > last), *read(at=last)]
        return rows, last if read(limit=1, before=last) else None
    return rows[:limit], last


def until_next_moment(times: Sequence[float], limit: int) -> int:
    """How many of `times`, newest first, are the first `limit` and all that share the last one's moment."""
    size = min(limit, len(times))
    while 0 < size < len(times) and times[size] == times[size - 1]:
        size += 1
    return size
