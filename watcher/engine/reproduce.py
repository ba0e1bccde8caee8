"""Computes the looks of a watch once more from what is stored, and compares them bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from watcher import __version__, detect, verdict
from watcher.detect import codec as calibrations
from watcher.detect.calibration import ENGINE
from watcher.engine.facts import NEARBY, context_of, nearby, recorded
from watcher.kit import clock
from watcher.model.decision import Decision
from watcher.model.finding import Findings
from watcher.model.record import Known, Record
from watcher.model.series import Series
from watcher.model.watch import Watch
from watcher.store import codec, deploys, looks, records
from watcher.store.database import Database
from watcher.store.deploys import Around
from watcher.store.looks import Chart, Look
from watcher.store.records import Replaced


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How far a watch's looks could be computed again.

    Attributes:
        looks: how many there are; `reproduced`: how many of them, from the first on, came out the same.
        difference: the first look that came out different, and how; None if none did.
        obstacle: why the looks after `reproduced` could not be computed; None if all could.
    """

    looks: int
    reproduced: int
    difference: str | None = None
    obstacle: str | None = None

    @property
    def whole(self) -> bool:
        return self.looks > 0 and self.reproduced == self.looks


@dataclass(frozen=True, slots=True)
class _Stored:
    """All that the store has of a watch."""

    looks: Sequence[Look]
    calibrations: Mapping[str, bytes]
    charts: Mapping[str, Chart]
    replaced: Mapping[str, Sequence[Replaced]]
    deploys: Sequence[Around]


class _CannotError(Exception):
    """A look cannot be computed again; the text says why."""


def reproduce(database: Database, watch: Watch) -> Reproduction:
    """Recomputes every look of `watch` from its calibration and its points.

    Raises:
        StoreUnavailableError: the store cannot be read.
    """
    stored = _stored(database, watch)
    opened: dict[str, detect.Calibration] = {}
    previous: Findings | None = None
    for number, look in enumerate(stored.looks):
        try:
            found, decision = _again(watch, stored, opened, look, previous)
        except _CannotError as error:
            return Reproduction(len(stored.looks), number, obstacle=str(error))
        difference = _difference(look, found, decision)
        if difference is not None:
            return Reproduction(len(stored.looks), number, difference=f"the look at {clock.iso(look.at)}: {difference}")
        previous = look.findings
    return Reproduction(
        len(stored.looks), len(stored.looks), obstacle=None if stored.looks else "there is no look at it yet"
    )


def _stored(database: Database, watch: Watch) -> _Stored:
    names = [signal.name for signal in watch.policy.signals]
    with database.read() as tx:
        return _Stored(
            looks=looks.listing(tx, watch.id),
            calibrations=records.calibrations_of(tx, watch.id),
            charts={name: looks.chart(tx, watch.id, name) for name in names},
            replaced={name: records.replaced_of(tx, watch.id, name) for name in names},
            deploys=deploys.around(tx, watch.started_at - NEARBY),
        )


def _again(
    watch: Watch, stored: _Stored, opened: dict[str, detect.Calibration], look: Look, previous: Findings | None
) -> tuple[Findings, Decision]:
    record = look.record
    if record is None:
        raise _CannotError("it was looked at by a version that did not record what its looks rested on")
    if record.calibration not in opened:
        opened[record.calibration] = _calibration(stored, record)
    recent = {name: _known(watch, stored, look, name, known) for name, known in record.signals.items()}
    found = detect.look(opened[record.calibration], recent, look.at, previous)
    others = recorded(record, watch.environment)
    if others is None:
        others = nearby(watch, (other for other in stored.deploys if other.received_at <= look.made_at))
    context = context_of(watch, look.failures, others, record.last_look, record.last_ticket_look)
    return found, verdict.decide(context, found)


def _calibration(stored: _Stored, record: Record) -> detect.Calibration:
    data = stored.calibrations.get(record.calibration)
    if data is None:
        raise _CannotError("its calibration is no longer stored: raw data are kept for store.retention")
    _, header = calibrations.decode(data, object)
    made, ours = (header.get("engine"), header.get("numpy")), (ENGINE, np.__version__)
    if made != ours:
        raise _CannotError(
            f"it was decided by engine {made[0]} with numpy {made[1]}; this is {ours[0]} with numpy {ours[1]}"
        )
    return detect.Calibration.from_bytes(data)


def _known(watch: Watch, stored: _Stored, look: Look, name: str, known: Known) -> Series:
    """The points as the look saw them: no later ones, and none that was replaced since by its replacement."""
    chart = stored.charts[name]
    seen = {
        at: (value, total)
        for at, value, total in zip(*(part.tolist() for part in (chart.times, chart.values, chart.totals)), strict=True)
    }
    for old in stored.replaced[name]:  # the newest first, so that the version of the look's own time comes out
        if old.replaced_at <= look.made_at:
            break
        if old.absent:
            seen.pop(old.at, None)
        else:
            seen[old.at] = (old.value, old.total)
    rows = sorted((at, *pair) for at, pair in seen.items() if at <= known.complete_until)
    if len(rows) < known.points:
        raise _CannotError(
            f"{known.points - len(rows)} points of {name} were dropped: raw data are kept for store.retention"
        )
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Series(
        times=table[:, 0].copy(),
        values=table[:, 1].copy(),
        totals=table[:, 2].copy() if known.totals else None,
        step=watch.policy.signal(name).step,
        complete_until=known.complete_until,
        partial=known.partial,
    )


def _difference(look: Look, found: Findings, decision: Decision) -> str | None:
    again = codec.load(Findings, codec.dump(found))
    for old, new in zip(look.findings.signals, again.signals, strict=False):
        if old != new:
            return f"{old.name}: {_fields(old, new)}"
    if look.findings != again:
        return _fields(look.findings, again)
    told, made = look.decision, decision
    if (told.outcome, told.reason, told.score) != (made.outcome, made.reason, made.score):
        return f"decided {_said(told)}, now {_said(made)}"
    record = look.record
    if record is not None and record.decided is not None and record.decided != made.signals:
        return f"decided by {_listed(record.decided)}, now by {_listed(made.signals)}"
    # Words may be put better from one version to the next.
    if record is not None and record.version == __version__ and told.sentence != made.sentence:
        return f"said {told.sentence!r}, now {made.sentence!r}"
    return None


def _fields(old: Any, new: Any) -> str:
    """What differs between two instances of one dataclass."""
    pairs = ((each.name, getattr(old, each.name), getattr(new, each.name)) for each in fields(old))
    return ", ".join(f"{name} was {before!r}, now {after!r}" for name, before, after in pairs if before != after)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "no signal"


def _said(decision: Decision) -> str:
    outcome = decision.outcome.value if decision.outcome else "undecided"
    return f"{outcome} ({decision.reason.value}, score {decision.score!r})"
