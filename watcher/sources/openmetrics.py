"""Scrapes a /metrics endpoint itself between looks and keeps what the signals need: for teams without Prometheus.

What is kept is not the samples but what happened in each bucket, so that a look reads one point a bucket however often
the endpoint is scraped and however many series it has. The newest samples are remembered too, to count on from there
after a restart; they are written after the buckets, so that a crash between the two only counts the same again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import Field

from watcher.errors import ExternalError, Fault, MalformedError, WatcherError
from watcher.kit.addresses import WebUrl
from watcher.kit.exposition import OPENMETRICS_ACCEPT, OPENMETRICS_TYPE, Exposition, parse
from watcher.kit.expressions import malformed
from watcher.kit.http import Polled
from watcher.kit.units import Duration
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.ports import Probe, Tools
from watcher.sources.backfill import Backfill
from watcher.sources.sampling import sampled
from watcher.sources.selection import Selection, misfit, refuse
from watcher.sources.streams import Stream, What, aggregated, series, streams

_SCRAPED = "scraped"  # {"at": newest scrape, "streams": {name: state}}
_FAILED = "failed"  # {"at": newest scrape that failed, "error": why}
_IMPORTED = "imported"  # {stream name: time of the newest sample}
_GAP = 2.5  # scrapes
_SPARED = 120.0  # seconds in which a source that fails may not have been asked, or an answer not be final yet
_BATCH = 20_000  # points of an import written at once


class OpenMetricsOptions(Polled):
    """What to scrape, and how often."""

    url: WebUrl = Field(description="Address of the metrics of one process, for example `http://shop:8080/metrics`.")
    interval: Duration = Field(default=15.0, gt=0, le=3600, description="Seconds between scrapes.")


class OpenMetrics:
    """`fetch`, `probe`, `collect` and `import_openmetrics`; one `collect` at a time, all else from any thread."""

    Options = OpenMetricsOptions
    Query = Selection
    misfit = staticmethod(misfit)

    def __init__(self, name: str, options: OpenMetricsOptions, tools: Tools) -> None:
        self.name = name
        self._options = options
        self._http = tools.http(options)
        self._memory = tools.memory

    @property
    def interval(self) -> float:
        return self._options.interval

    def fetch(self, signal: Signal, window: Window) -> Series:
        """As the port says, from memory alone; complete up to the newest scrape, `failing` if that is long ago."""
        query = _query(signal)
        wanted = streams(query, signal.step)
        scraped = self._memory.get(_SCRAPED) or {}
        imported = self._memory.get(_IMPORTED) or {}
        for stream in wanted:
            _check_one_series(stream, scraped.get("streams", {}).get(stream.name))
        points = [self._memory.range(stream.name, window.start, window.end) for stream in wanted]
        newest = min(max(scraped.get("at", -math.inf), imported.get(stream.name, -math.inf)) for stream in wanted)
        known = math.floor(newest / signal.step) * signal.step if math.isfinite(newest) else window.start
        found = series(signal, query, points, min(known, window.end))
        return found if window.end - newest <= self._patience else replace(found, failing=self._failing(newest, window))

    def collect(self, now: float, signals: Sequence[Signal]) -> None:
        """As the port says. A scrape that fails raises and leaves a gap; why is remembered for all who `fetch`."""
        wanted = _streams(signals)
        try:
            scrape = self._scrape(wanted)
        except ExternalError as error:
            with suppress(WatcherError):  # our own store or lease: it is the scrape's failure that counts
                self._memory.put(_FAILED, {"at": now, "error": str(error)})
            raise
        known = self._memory.get(_SCRAPED) or {}
        if now <= known.get("at", -math.inf) <= now + _GAP * self.interval:
            return  # the clock was set back a little: wait until it has caught up
        points, states = sampled(wanted, scrape, known.get("streams", {}), now, self._patience)
        self._memory.append(points)
        self._memory.put(_SCRAPED, {"at": now, "streams": states})

    def probe(self, signal: Signal, now: float) -> Probe:
        """As the port says, by one scrape; a counter's value is its newest bucket, if one is kept."""
        wanted = streams(_query(signal), signal.step)
        scrape = self._scrape(wanted)
        warnings, counts, values, missing = [], [], [], False  # missing: of a ratio one part is as bad as both
        for stream in wanted:
            samples = [sample for sample in scrape.samples if sample.name == stream.wanted.name]
            values = [sample.value for sample in samples if stream.wanted.matches(sample.labels)]
            counts.append(len(values))
            if not values:
                zero = stream.absent_is_zero or (stream.wanted.events and stream.is_there(scrape, samples))
                missing |= not zero
                warnings.append(f"no series matches {stream.wanted}{'; it counts as zero' if zero else ''}")
        if signal.step < self.interval:
            warnings.append(f"the step of {signal.step:g} s is finer than the scrape interval of {self.interval:g} s")
        value = self._newest(signal, now)
        if wanted[0].what is What.GAUGE and values:
            one = len(values) == 1 or wanted[0].aggregate is not None
            value = aggregated(values, wanted[0].aggregate) if one else None
            warnings += [] if one else [_several(len(values))]
        matched = 0 if missing else counts[0] or counts[-1]
        return Probe(value, 0.0 if matched else None, matched, self.interval, tuple(warnings))

    def import_openmetrics(self, lines: Iterable[str], signals: Sequence[Signal]) -> int:
        """As the port says. Samples of a series must ascend in time; series may stand in any order."""
        backfill = Backfill(_streams(signals), self.interval)
        kept = backfill.read(lines)
        until = dict(self._memory.get(_IMPORTED) or {})
        for stream, points, newest in backfill.results():
            for first in range(0, len(points), _BATCH):
                self._memory.append({stream.name: points[first : first + _BATCH]})
            until[stream.name] = max(newest, until.get(stream.name, newest))
        self._memory.put(_IMPORTED, until)
        return kept

    @property
    def _patience(self) -> float:
        return _GAP * self.interval

    def _failing(self, newest: float, window: Window) -> str:
        """Why nothing is known after `newest`: scrapes have failed since, and lately. Else it was we who were away."""
        failed = self._memory.get(_FAILED) or {"at": -math.inf}
        lately = abs(window.end - failed["at"]) <= self._patience + _SPARED
        return str(failed["error"]) if failed["at"] > newest and lately else ""

    def _scrape(self, wanted: Iterable[Stream]) -> Exposition:
        names = {name for stream in wanted for name in (stream.wanted.name, stream.created)}
        answer = self._http.request("GET", self._options.url, headers={"accept": OPENMETRICS_ACCEPT})
        openmetrics = answer.headers.get("content-type", "").startswith(OPENMETRICS_TYPE)
        try:
            return parse(answer.body.decode("utf-8"), names.__contains__, openmetrics=openmetrics)
        except UnicodeDecodeError:
            raise malformed("the metrics are not UTF-8") from None
        except MalformedError as error:
            raise malformed(f"the metrics cannot be read: {error}") from None

    def _newest(self, signal: Signal, now: float) -> float | None:
        """The newest number of the last ten buckets."""
        try:
            found = self.fetch(signal, Window(now - 10 * signal.step, now, signal.step))
        except ExternalError:
            return None
        pairs = zip(found.values, found.values * 0 + 1 if found.totals is None else found.totals, strict=True)
        quotients = [float(value / total) for value, total in pairs if total > 0 and math.isfinite(value)]
        return quotients[-1] if quotients else None


def _query(signal: Signal) -> Selection:
    query = Selection.model_validate(dict(signal.query))
    refuse(signal, query)
    return query


def _streams(signals: Iterable[Signal]) -> tuple[Stream, ...]:
    """Every stream that `signals` rest on, once each; a signal that cannot be asked is told of when it is fetched."""
    found: dict[str, Stream] = {}
    for signal in signals:
        query = Selection.model_validate(dict(signal.query))
        if misfit(signal.kind, query) is None:
            found |= {stream.name: stream for stream in streams(query, signal.step)}
    return tuple(found.values())


def _check_one_series(stream: Stream, state: Any) -> None:
    if stream.what is What.GAUGE and stream.aggregate is None and state and state["series"] > 1:
        raise ExternalError(_several(state["series"]), fault=Fault.QUERY, permanent=True)


def _several(count: int) -> str:
    return f"the gauge matches {count} series (expected one, or aggregate: sum, avg, max or min)"
