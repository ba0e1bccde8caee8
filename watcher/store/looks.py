"""What the looks of a watch saw: points with their expected band, findings, and the calibration they rest on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import Row, bindparam, delete, insert, select, update

from watcher.model.decision import Decision, Outcome, Reason
from watcher.model.finding import Band, Findings
from watcher.model.record import Record
from watcher.model.series import Floats, Series
from watcher.store import codec
from watcher.store.database import Tx
from watcher.store.prepared import Prepared
from watcher.store.schema import calibrations, looks, points
from watcher.store.unknown import word

_INSERT = Prepared(insert(looks))
_APPEND = Prepared(insert(points))
_CHART = Prepared(
    select(points.c.at, points.c.value, points.c.total, points.c.expected, points.c.low, points.c.high)
    .where(points.c.watch_id == bindparam("the_watch"), points.c.signal == bindparam("the_signal"))
    .order_by(points.c.at)
)
_POINTS = Prepared(
    select(points.c.signal, points.c.at, points.c.value, points.c.total)
    .where(points.c.watch_id == bindparam("the_watch"), points.c.at > bindparam("after"))
    .order_by(points.c.signal, points.c.at)
)
_BAND = Prepared(
    update(points).where(
        points.c.watch_id == bindparam("the_watch"),
        points.c.signal == bindparam("the_signal"),
        points.c.at == bindparam("the_time"),
    )
)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: what was found, what was decided, and which signals' sources failed (name -> why)."""

    watch_id: str
    at: float
    made_at: float
    findings: Findings
    decision: Decision
    failures: Mapping[str, str]
    record: Record | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """The stored points of one signal: arrays of shape (n,), ascending in time, NaN where missing."""

    times: Floats
    values: Floats
    totals: Floats
    expected: Floats
    low: Floats
    high: Floats


def add(tx: Tx, look: Look, *, new: bool = False) -> None:
    """Writes a look; a look at the same time replaces it, unless it is known to be `new`."""
    if not new:
        tx.execute(delete(looks).where(looks.c.watch_id == look.watch_id, looks.c.at == look.at))
    _INSERT.write(
        tx,
        {
            "watch_id": look.watch_id,
            "at": look.at,
            "made_at": look.made_at,
            "outcome": look.decision.outcome.value if look.decision.outcome else None,
            "reason": look.decision.reason.value,
            "sentence": look.decision.sentence,
            "score": look.decision.score,
            "findings": codec.dump(look.findings),
            "failures": codec.compact(dict(look.failures)),
            "record": None if look.record is None else codec.dump(look.record),
        },
    )


def last(tx: Tx, watch_id: str) -> Look | None:
    """The newest look."""
    query = select(looks).where(looks.c.watch_id == watch_id).order_by(looks.c.at.desc()).limit(1)
    row = tx.execute(query).one_or_none()
    return None if row is None else _look(row)


def listing(tx: Tx, watch_id: str) -> Sequence[Look]:
    """Every look, oldest first."""
    return [_look(row) for row in tx.execute(select(looks).where(looks.c.watch_id == watch_id).order_by(looks.c.at))]


def add_points(tx: Tx, watch_id: str, signal: str, series: Series, band: Band | None) -> None:
    """Writes points with their band (`band.times` are `series.times`), if it is known by now; points already there are
    replaced.
    """
    if not len(series):
        return
    tx.execute(
        delete(points).where(
            points.c.watch_id == watch_id,
            points.c.signal == signal,
            points.c.at >= float(series.times[0]),
            points.c.at <= float(series.times[-1]),
        )
    )
    _APPEND.write_all(tx, _rows(watch_id, signal, series, band))


def append_points(tx: Tx, watch_id: str, added: Mapping[str, tuple[Series, Band | None]]) -> None:
    """Writes points of several signals that are all newer than what is there."""
    rows = [row for signal, (series, band) in added.items() for row in _rows(watch_id, signal, series, band)]
    _APPEND.write_all(tx, rows)


def keep_band(tx: Tx, watch_id: str, signal: str, band: Band) -> None:
    """Writes the band of points that are there."""
    columns = (band.times, *map(_drawable, (band.expected, band.low, band.high)))
    rows = [
        {"the_watch": watch_id, "the_signal": signal, "the_time": at}
        | {"expected": _stored(expected), "low": _stored(low), "high": _stored(high)}
        for at, expected, low, high in zip(*(column.tolist() for column in columns), strict=True)
    ]
    _BAND.write_all(tx, rows)


def _rows(watch_id: str, signal: str, series: Series, band: Band | None) -> list[dict[str, Any]]:
    nothing = np.full(len(series), np.nan)
    columns = (
        series.times,
        series.values,
        nothing if series.totals is None else series.totals,
        nothing if band is None else _drawable(band.expected),
        nothing if band is None else _drawable(band.low),
        nothing if band is None else _drawable(band.high),
    )
    names = ("at", "value", "total", "expected", "low", "high")
    return [
        {"watch_id": watch_id, "signal": signal} | dict(zip(names, map(_stored, row), strict=True))
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]


def chart(tx: Tx, watch_id: str, signal: str) -> Chart:
    """The points of one signal that the watch has stored."""
    rows = _CHART.rows(tx, the_watch=watch_id, the_signal=signal)
    return Chart(*np.array(rows, dtype=np.float64).reshape(-1, 6).T)


def points_of(tx: Tx, watch_id: str, after: float) -> Mapping[str, tuple[Floats, Floats, Floats]]:
    """Signal -> times, values and totals of its points later than `after`: arrays of shape (n,), NaN where missing."""
    rows = _POINTS.tuples(tx, the_watch=watch_id, after=after)
    out = {}
    for signal, group in groupby(rows, key=itemgetter(0)):
        times, values, totals = np.array([row[1:] for row in group], dtype=np.float64).T
        out[signal] = times, values, totals
    return out


def keep_calibration(tx: Tx, watch_id: str, made_at: float, data: bytes) -> None:
    tx.execute(delete(calibrations).where(calibrations.c.watch_id == watch_id))
    tx.execute(insert(calibrations).values(watch_id=watch_id, made_at=made_at, data=data))


def calibration(tx: Tx, watch_id: str) -> bytes | None:
    return tx.execute(select(calibrations.c.data).where(calibrations.c.watch_id == watch_id)).scalar_one_or_none()


def _drawable(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _stored(value: float) -> float | None:
    return None if math.isnan(value) else value  # an infinity is kept: the look that judged it saw it


def _look(row: Row[Any]) -> Look:
    record = None if row.record is None else codec.load(Record, row.record)
    decision = Decision(
        outcome=Outcome(row.outcome) if row.outcome else None,
        reason=word(Reason, row.reason, Reason.UNKNOWN),
        sentence=row.sentence,
        at=row.at,
        score=row.score,
        signals=(record.decided if record is not None else None) or (),
    )
    return Look(
        watch_id=row.watch_id,
        at=row.at,
        made_at=row.made_at,
        findings=codec.load(Findings, row.findings),
        decision=decision,
        failures=json.loads(row.failures),
        record=record,
    )
