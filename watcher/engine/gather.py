"""Asks the sources what a watch needs: the history once, then only what is new; remembers it between looks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from watcher import detect
from watcher.engine.guard import DOWN
from watcher.errors import ExternalError
from watcher.model.decision import Outcome
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.model.watch import Watch, WatchState
from watcher.ports import MetricSource
from watcher.store import looks, watches
from watcher.store.database import Database

_SHOWN_WINDOWS = 1.5
_CACHED = 512  # watches whose points are kept in memory; the others are read from the store again

# Told of every question: source, signal, service, the series or the error.
Observer = Callable[[str, Signal, str, Series | ExternalError], None]


@dataclass(slots=True)
class Gathered:
    """What is known of a watch's signals.

    Attributes:
        calibration: what the looks rest on; provisional while `settled` is False. `data`: its bytes.
        settled: whether every history could be read, or is no longer waited for.
        stored: whether the store has the calibration.
        recent: signal -> final points from a while before the deploy on.
        fresh: signal -> the part of `recent` that the store does not have yet.
        failures: signal -> why its source failed just now.
        down: source -> why it does not answer at all just now; it is not asked again at this look.
        histories: signal -> all its points, kept only until settled.
    """

    calibration: detect.Calibration
    data: bytes = b""
    settled: bool = False
    stored: bool = False
    recent: dict[str, Series] = field(default_factory=dict)
    fresh: dict[str, Series] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)
    histories: dict[str, Series] = field(default_factory=dict)

    def written(self) -> None:
        """The store now has everything."""
        self.fresh = {}
        self.stored = self.settled


class Gather:
    """Reads sources for watches; safe to use from several threads, for different watches."""

    def __init__(self, database: Database, sources: Mapping[str, MetricSource], observer: Observer) -> None:
        """`sources` holds ticket systems too, as counts."""
        self._database = database
        self._sources = sources
        self._observer = observer
        self._cache: OrderedDict[str, Gathered] = OrderedDict()
        self._lock = Lock()

    def gather(self, watch: Watch, now: float) -> Gathered:
        """Everything known of the watch's signals at `now`."""
        gathered = self._cached(watch)
        gathered.failures, gathered.down = {}, {}
        if gathered.settled:
            self._continue(watch, gathered, now)
        else:
            self._calibrate(watch, gathered, now)
        return gathered

    def forget(self, watch_id: str) -> None:
        """Drops what is remembered in memory: the watch has ended, or is no longer ours."""
        with self._lock:
            self._cache.pop(watch_id, None)

    def _cached(self, watch: Watch) -> Gathered:
        with self._lock:
            gathered = self._cache.get(watch.id)
        if gathered is None:
            gathered = self._restored(watch)
        with self._lock:
            self._cache[watch.id] = gathered
            self._cache.move_to_end(watch.id)
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return gathered

    def _restored(self, watch: Watch) -> Gathered:
        with self._database.read() as tx:
            data = looks.calibration(tx, watch.id)
            if data is None:
                return Gathered(detect.calibrate(watch.plan, {}))
            charts = {signal.name: looks.chart(tx, watch.id, signal.name) for signal in watch.policy.signals}
        calibration = detect.Calibration.from_bytes(data)
        recent = {}
        for signal in watch.policy.signals:
            chart = charts[signal.name]
            known = float(chart.times[-1]) if len(chart.times) else calibration.recent_from
            recent[signal.name] = Series(
                times=chart.times,
                values=chart.values,
                totals=None if np.isnan(chart.totals).all() else chart.totals,
                step=signal.step,
                complete_until=known,
            )
        return Gathered(calibration, data, settled=True, stored=True, recent=recent)

    def _calibrate(self, watch: Watch, gathered: Gathered, now: float) -> None:
        """Reads the histories; calibrates for good only once all could be read or the window is over."""
        for signal in watch.policy.signals:
            known = gathered.histories.get(signal.name)
            start = known.complete_until if known is not None else watch.started_at - watch.policy.history
            newer = self._fetch(watch, signal, start, now, gathered)
            if newer is not None:
                gathered.histories[signal.name] = newer if known is None else known.joined(newer)
        histories = self._without_incidents(watch, gathered.histories)
        gathered.calibration = detect.calibrate(
            watch.plan, {name: series.between(-math.inf, watch.started_at) for name, series in histories.items()}
        )
        gathered.data = gathered.calibration.to_bytes()
        # The chart shows what was normal before the deploy, whether or not the mathematics needs it again.
        begin = min(gathered.calibration.recent_from, watch.started_at - _SHOWN_WINDOWS * watch.policy.window)
        gathered.recent = {name: _final(series.between(begin, math.inf)) for name, series in gathered.histories.items()}
        gathered.settled = not gathered.failures or now >= watch.until
        gathered.fresh = dict(gathered.recent)
        if gathered.settled:
            gathered.histories = {}

    def _continue(self, watch: Watch, gathered: Gathered, now: float) -> None:
        for signal in self._wanted(watch, now):
            known = gathered.recent.get(signal.name)
            start = known.complete_until if known is not None else watch.started_at
            newer = self._fetch(watch, signal, start, now, gathered)
            if newer is None:
                continue
            newer = _final(newer)
            gathered.recent[signal.name] = newer if known is None else known.joined(newer)
            waiting = gathered.fresh.get(signal.name)
            gathered.fresh[signal.name] = newer if waiting is None else waiting.joined(newer)

    def _wanted(self, watch: Watch, now: float) -> Sequence[Signal]:
        """After the metric window only tickets matter, unless a rollback must be seen to help."""
        if watch.decided_at is None or watch.state is WatchState.RECOVERING or now <= watch.until:
            return watch.policy.signals
        return [signal for signal in watch.policy.signals if signal.is_tickets]

    def _fetch(self, watch: Watch, signal: Signal, start: float, end: float, gathered: Gathered) -> Series | None:
        begin = math.floor(start / signal.step) * signal.step
        finish = end - signal.settle
        if finish <= begin:
            return None
        source = self._sources.get(signal.source)
        if source is None:  # the watch's own policy names it; the configuration has changed since
            gathered.failures[signal.name] = f"no source named {signal.source} is configured any more"
            return None
        if signal.source in gathered.down:
            gathered.failures[signal.name] = gathered.down[signal.source]
            return None
        try:
            series = source.fetch(signal, Window(begin, finish, signal.step))
        except ExternalError as error:
            gathered.failures[signal.name] = str(error)
            if error.fault in DOWN:
                gathered.down[signal.source] = str(error)
            self._observer(signal.source, signal, watch.service, error)
            return None
        self._observer(signal.source, signal, watch.service, series)
        return series

    def _without_incidents(self, watch: Watch, histories: Mapping[str, Series]) -> Mapping[str, Series]:
        """The histories with the times of earlier regressed deploys blanked: what was wrong then is not normal."""
        with self._database.read() as tx:
            past = watches.history(tx, watch.service, watch.environment)
        spans = incidents([bad for bad in past if bad.id != watch.id])
        return {name: blanked(series, spans) for name, series in histories.items()} if spans else histories


def incidents(past: Iterable[Watch]) -> list[tuple[float, float]]:
    """From when to when earlier deploys did harm: what was wrong then is not normal."""
    return [(bad.started_at, bad.ended_at or bad.ticket_until) for bad in past if bad.outcome is Outcome.REGRESSED]


def _final(series: Series) -> Series:
    return series.between(-math.inf, series.complete_until)


def blanked(series: Series, spans: Sequence[tuple[float, float]]) -> Series:
    """`series` without what was measured in `spans`, (start, end] in unix seconds."""
    values = series.values.copy()
    for start, end in spans:
        values[(series.times > start) & (series.times <= end)] = np.nan
    return Series(
        times=series.times,
        values=values,
        totals=series.totals,
        step=series.step,
        complete_until=series.complete_until,
        partial=series.partial,
        warnings=series.warnings,
    )
