"""What looks rested on beside their points: calibrations that were only provisional, and points that were replaced."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, insert, select

from watcher.model.series import Series
from watcher.store.database import Tx
from watcher.store.schema import calibrations, points, provisional_calibrations, replaced_points


@dataclass(frozen=True, slots=True)
class Replaced:
    """What the point at `at` was for looks made before `replaced_at`; NaN where missing."""

    at: float
    replaced_at: float
    absent: bool
    value: float
    total: float


def digest(data: bytes) -> str:
    """Names a calibration by its bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def keep_provisional(tx: Tx, watch_id: str, made_at: float, data: bytes) -> None:
    """Keeps a calibration that a look rested on and that is not the watch's own (yet); each once."""
    table, name = provisional_calibrations.c, digest(data)
    known = select(table.digest).where(table.watch_id == watch_id, table.digest == name)
    if tx.execute(known).one_or_none() is None:
        tx.execute(insert(provisional_calibrations).values(watch_id=watch_id, digest=name, made_at=made_at, data=data))


def calibrations_of(tx: Tx, watch_id: str) -> Mapping[str, bytes]:
    """Every calibration that the watch's looks rested on and that is still there, by digest."""
    found = [
        *tx.execute(select(calibrations.c.data).where(calibrations.c.watch_id == watch_id)).scalars(),
        *tx.execute(
            select(provisional_calibrations.c.data).where(provisional_calibrations.c.watch_id == watch_id)
        ).scalars(),
    ]
    return {digest(data): data for data in found}


def keep_replaced(tx: Tx, watch_id: str, signal: str, series: Series, now: float) -> None:
    """To be called before `series` is written: remembers what it changes of the points that are there."""
    table = points.c
    mine = (table.watch_id == watch_id) & (table.signal == signal)
    newest = tx.execute(select(table.at).where(mine).order_by(table.at.desc()).limit(1)).scalar_one_or_none()
    if newest is None or not len(series) or series.times[0] > newest:
        return
    query = select(table.at, table.value, table.total).where(
        mine, table.at >= float(series.times[0]), table.at <= float(series.times[-1])
    )
    old = {row.at: (row.value, row.total) for row in tx.execute(query)}
    totals = series.totals if series.totals is not None else np.full(len(series), np.nan)
    new = {
        at: (_stored(value), _stored(total))
        for at, value, total in zip(series.times.tolist(), series.values.tolist(), totals.tolist(), strict=True)
        if at <= newest
    }
    changed = [
        {"watch_id": watch_id, "signal": signal, "at": at, "replaced_at": now}
        | {"absent": int(at not in old)}
        | dict(zip(("value", "total"), old.get(at, (None, None)), strict=True))
        for at in sorted(old.keys() | new.keys())
        if at not in old or at not in new or old[at] != new[at]
    ]
    if changed:
        keys = replaced_points.c
        for row in changed:  # several writes may carry the same time
            tx.execute(
                delete(replaced_points).where(
                    keys.watch_id == watch_id, keys.signal == signal, keys.at == row["at"], keys.replaced_at == now
                )
            )
        tx.execute(insert(replaced_points), changed)


def replaced_of(tx: Tx, watch_id: str, signal: str) -> Sequence[Replaced]:
    """What was replaced, the newest replacement first."""
    table = replaced_points.c
    query = (
        select(table.at, table.replaced_at, table.absent, table.value, table.total)
        .where(table.watch_id == watch_id, table.signal == signal)
        .order_by(table.replaced_at.desc())
    )
    return [
        Replaced(row.at, row.replaced_at, bool(row.absent), _read(row.value), _read(row.total))
        for row in tx.execute(query)
    ]


def _stored(value: float) -> float | None:
    return None if math.isnan(value) else value  # as the points themselves are kept


def _read(value: float | None) -> float:
    return np.nan if value is None else value
