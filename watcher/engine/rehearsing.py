"""A rehearsal from the sources to the store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from watcher.engine.gather import blanked, incidents
from watcher.engine.placebo import length
from watcher.engine.rehearse import LIMIT, PLACEBOS, rehearse
from watcher.errors import ExternalError
from watcher.kit import clock
from watcher.model.rehearsal import Rehearsal
from watcher.model.series import Series, Window
from watcher.model.service import Service
from watcher.model.watch import Watch
from watcher.ports import MetricSource
from watcher.store import rehearsals, watches
from watcher.store.database import Database, Tx

_PAGE = 200  # watches that are read at once


def rehearse_service(
    database: Database,
    sources: Mapping[str, MetricSource],
    service: Service,
    now: float,
    placebos: int = PLACEBOS,
    limit: float = LIMIT,
) -> Rehearsal:
    """Reads the service's history, rehearses, and stores the result.

    Raises:
        ExternalError: a source did not answer; nothing is stored, as half the signals would tell half the truth.
        StoreUnavailableError: the store cannot be read or written.
    """
    began = clock.monotonic()
    with database.read() as tx:
        spans = incidents(_past(tx, service, now))
        earlier = rehearsals.recent(tx, service.name)
    history = {name: blanked(series, spans) for name, series in _histories(sources, service, now).items()}
    made = rehearse(
        service,
        history,
        now,
        incidents=spans,
        earlier=earlier,
        placebos=placebos,
        elapsed=lambda: clock.monotonic() - began,
        limit=limit,
    )
    with database.write() as tx:
        rehearsals.add(tx, made)
    return made


def _past(tx: Tx, service: Service, now: float) -> Iterator[Watch]:
    """Every watch that lies in the history, however many there are; what was opened at one moment comes together."""
    since = now - service.history - length(service) - service.recovery_window
    before = None
    while page := watches.listing(tx, limit=_PAGE, service=service.name, before=before):
        before = page[-1].created_at
        yield from (watch for watch in page if watch.created_at > before)
        yield from watches.listing(tx, service=service.name, at=before)
        if before < since:
            return


def _histories(sources: Mapping[str, MetricSource], service: Service, now: float) -> dict[str, Series]:
    found = {}
    for signal in service.signals:
        begin = math.floor((now - service.history) / signal.step) * signal.step
        window = Window(begin, max(now - signal.settle, begin), signal.step)
        try:
            series = sources[signal.source].fetch(signal, window)
        except ExternalError as error:
            error.add_note(f"signal {signal.name}, source {signal.source}")
            raise
        found[signal.name] = series.between(-math.inf, series.complete_until)
    return found
