"""`watcher check-config --live`: asks every signal's query once, as the daemon would, and says what came back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from watcher.adapters import build_adapters
from watcher.errors import ExternalError
from watcher.kit import clock, text
from watcher.kit.units import write_duration
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.ports import Collects, MetricSource, Probe, Probes
from watcher.settings import Settings
from watcher.store.database import Database

_BUCKETS = 30  # enough to see a spacing
_TICKET_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one signal's source said: a probe, or why there is none."""

    service: str
    signal: Signal
    probe: Probe | None
    failure: str = ""


def check_live(settings: Settings, write: Callable[[str], object]) -> bool:
    """Asks everything and writes a line or more for each signal; whether all of it answered with something usable."""
    right = True
    write("")
    with TemporaryDirectory() as folder:
        # A store of its own: a check must neither migrate nor fill the daemon's.
        database = Database(f"sqlite:///{Path(folder) / 'check.db'}")
        try:
            database.migrate()
            for answer in ask(settings, build_adapters(settings, database).sources, clock.now()):
                right &= not answer.failure
                for line in lines(answer):
                    write(line)
        finally:
            database.close()
    return right


def ask(settings: Settings, sources: Mapping[str, MetricSource], now: float) -> Iterator[Answer]:
    """One answer a signal, in the order of the file. `sources` holds the ticket systems too, as counts."""
    for service in settings.services.values():
        for signal in service.signals:
            source = sources[signal.source]
            try:
                probe = _probe(source, signal, now)
            except ExternalError as error:
                yield Answer(service.name, signal, None, str(error))
                continue
            # A source that keeps its own history cannot tell the increase of a counter from its first scrape.
            useful = probe.value is not None or (probe.series > 0 and isinstance(source, Collects))
            yield Answer(service.name, signal, probe, "" if useful else "the query gives no value")


def _probe(source: MetricSource, signal: Signal, now: float) -> Probe:
    if isinstance(source, Probes):
        return source.probe(signal, now)
    span = max(_BUCKETS * signal.step, _TICKET_SECONDS if signal.is_tickets else 0.0)
    return probe_of(source.fetch(signal, Window(now - span, now, signal.step)), signal, now)


def probe_of(series: Series, signal: Signal, now: float) -> Probe:
    """What a series says of its query: the newest value (of tickets: all of the series), its age, the spacing."""
    values = (
        series.values if series.totals is None else series.values / np.where(series.totals > 0, series.totals, np.nan)
    )
    seen = np.flatnonzero(np.isfinite(values))
    if not len(seen):
        return Probe(value=None, age=None, series=0, step=None, warnings=series.warnings)
    value = float(np.sum(values[seen])) if signal.is_tickets else float(values[seen[-1]])
    spacing = float(np.median(np.diff(series.times[seen]))) if len(seen) > 1 else None
    warnings = series.warnings
    if spacing is not None and spacing > signal.step * 1.01:
        warnings += (
            f"points come every {write_duration(round(spacing, 1))}, the step is {write_duration(signal.step)}",
        )
    return Probe(value, max(now - float(series.times[seen[-1]]), 0.0), 1, spacing, warnings)


def lines(answer: Answer) -> Iterator[str]:
    """What a person reads of one answer."""
    signal, probe = answer.signal, answer.probe
    head = f"{answer.service}.{signal.name} ({signal.source})"
    if answer.failure:
        yield f"{head}: FAILED: {answer.failure}"
    elif probe is not None:
        parts = ["no value yet" if probe.value is None else text.number(probe.value)]
        parts[0] += " tickets in the last day" if signal.is_tickets else ""
        parts += [f"{write_duration(round(probe.age))} old"] if probe.age is not None else []
        parts += [f"{probe.series} series"]
        parts += [f"a point every {write_duration(round(probe.step, 1))}"] if probe.step is not None else []
        yield f"{head}: {', '.join(parts)}"
    for warning in probe.warnings if probe else ():
        yield f"  warning: {warning}"
    if probe is not None and probe.age is not None and probe.age > 3 * signal.step + signal.settle:
        yield f"  warning: the newest point is {text.duration(probe.age)} old"
