"""A rehearsal from the sources to the store."""

from __future__ import annotations

import math
from collections.abc import Mapping

from watcher.engine.gather import blanked
from watcher.engine.rehearse import LIMIT, PLACEBOS, rehearse
from watcher.errors import ExternalError
from watcher.kit import clock
from watcher.model.rehearsal import Rehearsal
from watcher.model.series import Series, Window
from watcher.model.service import Service
from watcher.ports import MetricSource
from watcher.store import rehearsals, watches
from watcher.store.database import Database


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
        spans = watches.incidents(tx, service.name, now - service.history)
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
