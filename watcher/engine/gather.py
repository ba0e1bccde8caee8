"""Asks the sources what a watch needs: the history once, then only what is new; remembers it between looks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from watcher import detect
from watcher.engine import schedule
from watcher.engine.asking import Answers, Ask, Observer, answers
from watcher.engine.calibrating import Calibrate, calibrated
from watcher.errors import ExternalError
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.model.watch import Watch, WatchState
from watcher.ports import MetricSource
from watcher.store import looks, records, watches
from watcher.store.database import Database, Tx
from watcher.store.looks import Look

_SHOWN_WINDOWS = 1.5
_CACHED = 10_000  # watches whose points are kept in memory; the others are read from the store again


@dataclass(slots=True)
class Gathered:
    """What is known of a watch's signals.

    Attributes:
        calibration: what the looks rest on; provisional while `settled` is False.
        data: its bytes, until the store has them for good; `digest` names them.
        settled: whether every history could be read, or is no longer waited for.
        stored: whether the store has the calibration.
        recent: signal -> final points from the deploy on, as far back as looks need them.
        fresh: signal -> final points that the store does not have yet; at first also from a while before the deploy.
        failures: signal -> why its source failed just now.
        histories: signal -> all its points, kept only until settled.
        judged: what looks have made of `recent`.
        last: the newest look that this process knows of; `known`: signal -> time of the newest point in the store.
    """

    calibration: detect.Calibration
    data: bytes = b""
    digest: str = ""
    settled: bool = False
    stored: bool = False
    recent: dict[str, Series] = field(default_factory=dict)
    fresh: dict[str, Series] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    histories: dict[str, Series] = field(default_factory=dict)
    judged: detect.Judged = field(default_factory=detect.Judged)
    last: Look | None = None
    known: dict[str, float] = field(default_factory=dict)

    def written(self, look: Look | None) -> None:
        """The store now has everything, `look` too."""
        self.known |= {name: float(series.times[-1]) for name, series in self.fresh.items() if len(series)}
        self.last = look
        self.fresh = {}
        self.stored = self.settled
        if self.stored:
            self.data = b""


class Gather:
    """Reads sources for watches; safe to use from several threads, for different watches."""

    def __init__(
        self,
        database: Database,
        sources: Mapping[str, MetricSource],
        observer: Observer,
        calibrate: Calibrate = calibrated,
    ) -> None:
        """`sources` holds ticket systems too, as counts."""
        self._database = database
        self._calibrated = calibrate
        self._sources = sources
        self._observer = observer
        self._cache: OrderedDict[str, Gathered] = OrderedDict()
        self._lock = Lock()

    def ask(self, asked: Sequence[Watch], now: float) -> Answers:
        """What `asked` need at `now`, asked for together."""
        asks: list[Ask] = []
        for watch in asked:
            with suppress(ValueError):  # a calibration that cannot be read is told of at its own look
                asks += self._asks(watch, self._cached(watch), now)
        return answers([ask for ask in asks if ask.signal.source in self._sources], self._sources, self._observer)

    def gather(self, watch: Watch, now: float, told: Answers | None = None) -> Gathered:
        """Everything known of the watch's signals at `now`; `told`: what `ask` brought for them."""
        gathered = self._cached(watch)
        told = self.ask([watch], now) if told is None else told
        gathered.failures = {}
        found = {ask.signal.name: self._taken(ask, told, gathered) for ask in self._asks(watch, gathered, now)}
        newer = {name: series for name, series in found.items() if series is not None}
        if gathered.settled:
            _continue(gathered, newer)
        else:
            self._calibrate(watch, gathered, newer, now, read=len(newer) == len(found))
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
            try:
                calibration = detect.Calibration.from_bytes(data)
            except detect.OtherEngineError:  # an upgrade in the middle of the watch: what is normal is learned again
                return Gathered(detect.calibrate(watch.plan, {}))
            points, last = looks.points_of(tx, watch.id, calibration.recent_from), looks.last(tx, watch.id)
        nothing = np.empty(0)
        recent = {}
        for signal in watch.policy.signals:
            times, values, totals = points.get(signal.name, (nothing, nothing, nothing))
            recent[signal.name] = Series(
                times=times,
                values=values,
                totals=None if np.isnan(totals).all() else totals,
                step=signal.step,
                complete_until=float(times[-1]) if len(times) else calibration.recent_from,
            )
        return Gathered(
            calibration,
            digest=records.digest(data),
            settled=True,
            stored=True,
            recent=recent,
            last=last,
            known={name: series.complete_until for name, series in recent.items()},
        )

    def _asks(self, watch: Watch, gathered: Gathered, now: float) -> list[Ask]:
        """What is to be known since what is known."""
        before = watch.started_at if gathered.settled else watch.started_at - watch.policy.history
        known = gathered.recent if gathered.settled else gathered.histories
        asks = []
        for signal in self._wanted(watch, gathered, now) if gathered.settled else watch.policy.signals:
            start = known[signal.name].complete_until if signal.name in known else before
            begin, end = math.floor(start / signal.step) * signal.step, now - signal.settle
            if end >= begin + signal.step:  # a bucket has ended since
                asks.append(Ask(watch.id, watch.service, signal, Window(begin, end, signal.step)))
        return asks

    def _taken(self, ask: Ask, told: Answers, gathered: Gathered) -> Series | None:
        name = ask.signal.name
        if ask.signal.source not in self._sources:  # the watch's own policy names it; the configuration has changed
            gathered.failures[name] = f"no source named {ask.signal.source} is configured any more"
            return None
        answer = told.get((ask.watch_id, name))  # None: it fell out of memory since, and more is asked for than was
        if isinstance(answer, ExternalError):
            gathered.failures[name] = str(answer)
            return None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None and answer.failing:  # what it collected before stands
            gathered.failures[name] = answer.failing
        return answer

    def _calibrate(
        self, watch: Watch, gathered: Gathered, newer: Mapping[str, Series], now: float, *, read: bool
    ) -> None:
        """Joins the histories; calibrates for good only once all could be `read` or the window is over."""
        for name, series in newer.items():
            known = gathered.histories.get(name)
            gathered.histories[name] = series if known is None else known.joined(series)
        histories = self._without_incidents(watch, gathered.histories)
        gathered.data = self._calibrated(
            watch.plan, {name: series.between(-math.inf, watch.started_at) for name, series in histories.items()}
        )
        gathered.calibration = detect.Calibration.from_bytes(gathered.data)
        gathered.digest = records.digest(gathered.data)
        # The chart shows what was normal before the deploy, whether or not the mathematics needs it again.
        begin = min(gathered.calibration.recent_from, watch.started_at - _SHOWN_WINDOWS * watch.policy.window)
        shown = {name: _final(series.between(begin, math.inf)) for name, series in gathered.histories.items()}
        needed = gathered.calibration.recent_from
        gathered.recent = {name: series.between(needed, math.inf) for name, series in shown.items()}
        gathered.settled = read or schedule.gives_up(watch, now)
        gathered.fresh = shown
        if gathered.settled:
            gathered.histories = {}

    def _wanted(self, watch: Watch, gathered: Gathered, now: float) -> Sequence[Signal]:
        """After the metric window only tickets matter, and what they are compared with, unless a rollback must be seen
        to help.
        """
        signals = watch.policy.signals
        if watch.decided_at is None or watch.state is WatchState.RECOVERING or now <= watch.until:
            return signals
        tickets = [signal.name for signal in signals if signal.is_tickets]
        controls = gathered.calibration.controls(tickets)
        return [signal for signal in signals if signal.is_tickets or signal.name in controls]

    def _without_incidents(self, watch: Watch, histories: Mapping[str, Series]) -> Mapping[str, Series]:
        """The histories with the times of earlier regressed deploys blanked: what was wrong then is not normal."""
        with self._database.read() as tx:
            since = watch.started_at - watch.policy.history
            spans = watches.incidents(tx, watch.service, since, watch.environment)
        return {name: blanked(series, spans) for name, series in histories.items()} if spans else histories


def _continue(gathered: Gathered, newer: Mapping[str, Series]) -> None:
    """Joins what is new."""
    for name, series in newer.items():
        final, known, waiting = _final(series), gathered.recent.get(name), gathered.fresh.get(name)
        gathered.recent[name] = final if known is None else known.joined(final)
        gathered.fresh[name] = final if waiting is None else waiting.joined(final)


def _final(series: Series) -> Series:
    return series.between(-math.inf, series.complete_until)


def blanked(series: Series, spans: Sequence[tuple[float, float]]) -> Series:
    """`series` without what was measured in `spans`, (start, end] in unix seconds."""
    values = series.values.copy()
    for start, end in spans:
        values[(series.times > start) & (series.times <= end)] = np.nan
    return replace(series, values=values)


def write_points(tx: Tx, watch_id: str, gathered: Gathered, now: float, *, ours: bool) -> None:
    """Writes what the store does not have yet; `ours`: it has nothing that `gathered` does not know.

    Their band goes with them only while the calibration is not stored for good; later, `bands` makes it from that.
    """
    added = {}
    if not ours:
        gathered.known = {}  # a process that has looked since may have stored newer ones
    for name, series in gathered.fresh.items():
        if not len(series):
            continue
        band = None if gathered.stored else detect.band(gathered.calibration, name, series)
        if ours and series.times[0] > gathered.known.get(name, math.inf):
            added[name] = series, band
            continue
        records.keep_replaced(tx, watch_id, name, series, now)
        looks.add_points(tx, watch_id, name, series, band)
    looks.append_points(tx, watch_id, added)
