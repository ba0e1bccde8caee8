"""Puts the questions of many watches to their sources: identical ones once, kindred ones together."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from watcher.engine.guard import DOWN
from watcher.errors import ExternalError
from watcher.kit import clock
from watcher.kit.remembered import Remembered
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.ports import FetchesMany, MetricSource

_SLACK = 10  # buckets; no answer is made dearer by more than these and by half
_MOST = 500  # signals in one question; sources cut it smaller as they need
_PATIENCE = 30.0  # seconds after which no more is asked of a source now: leases and loops do not wait for ever

_SIGNALS = 50_000  # of a policy that is kept for its watches; some hundred bytes each

# Told of every question: source, signal, service, the series or the error.
Observer = Callable[[str, Signal, str, Series | ExternalError], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """What one watch wants to know of one signal."""

    watch_id: str
    service: str
    signal: Signal
    window: Window

    @property
    def question(self) -> Hashable:
        """The same for two signals that any source must answer alike."""
        return _question(self.signal)


def _written(signal: Signal) -> Hashable:
    return signal.kind, signal.step, signal.is_tickets, json.dumps(signal.query, sort_keys=True, default=str)


_question = Remembered(_written, _SIGNALS)


class NotAskedError(Exception):
    """The source answers, but so slowly that this must be asked another time."""


# By watch and signal. What is neither a series nor an error from outside is an error of our own.
Answers = Mapping[tuple[str, str], Series | Exception]


def answers(asks: Sequence[Ask], sources: Mapping[str, MetricSource], observer: Observer) -> Answers:
    """An answer to each of `asks`, whose sources are all among `sources`; nothing is raised.

    A source that does not answer at all is not asked again; one that is slow is asked for a while, and in any case for
    the first watch: the others' questions are answered by `NotAskedError`.
    """
    found: dict[tuple[str, str], Series | Exception] = {}
    by_source: dict[str, list[Ask]] = {}
    for ask in asks:
        by_source.setdefault(ask.signal.source, []).append(ask)
    for name, wanted in by_source.items():
        down: ExternalError | None = None
        until = clock.monotonic() + _PATIENCE
        for together in _together(wanted, sources[name]):
            late = clock.monotonic() > until and all(ask.watch_id != wanted[0].watch_id for ask in together)
            told: dict[Hashable, Series | Exception]
            if down is not None or late:
                told = dict.fromkeys(_questions(together), down or NotAskedError(name))
            else:
                told = _told(together, sources[name])
            for ask in together:
                answer = told[ask.question]
                if isinstance(answer, Series):
                    answer = answer.between(ask.window.start, ask.window.end)
                if down is None and isinstance(answer, Series | ExternalError):
                    observer(name, ask.signal, ask.service, answer)
                found[ask.watch_id, ask.signal.name] = answer
            down = down or next((e for e in told.values() if isinstance(e, ExternalError) and e.fault in DOWN), None)
    return found


def _together(asks: Sequence[Ask], source: MetricSource) -> Iterator[list[Ask]]:
    """Asks that one question answers: of one kin, and of nearly the same time, so that none is made much dearer."""
    kindred: dict[Hashable, list[Ask]] = {}
    for ask in asks:
        kin = source.kin(ask.signal) if isinstance(source, FetchesMany) else None
        kindred.setdefault((ask.signal.step, kin if kin is not None else ask.question), []).append(ask)
    for kin_asks in kindred.values():
        cluster: list[Ask] = []
        shortest = end = 0.0
        for ask in sorted(kin_asks, key=lambda each: (each.window.start, each.window.end)):
            length = ask.window.end - ask.window.start
            new_shortest, new_end = min(shortest, length), max(end, ask.window.end)
            if cluster and (
                len(cluster) >= _MOST
                or new_end - cluster[0].window.start > 1.5 * new_shortest + _SLACK * ask.window.step
            ):
                yield cluster
                cluster = []
            shortest, end = (new_shortest, new_end) if cluster else (length, ask.window.end)
            cluster.append(ask)
        yield cluster


def _questions(asks: Sequence[Ask]) -> dict[Hashable, Signal]:
    return {ask.question: ask.signal for ask in asks}


def _told(asks: Sequence[Ask], source: MetricSource) -> dict[Hashable, Series | Exception]:
    """One question over the time of all of `asks`."""
    signals = _questions(asks)
    whole = Window(min(ask.window.start for ask in asks), max(ask.window.end for ask in asks), asks[0].window.step)
    try:
        if isinstance(source, FetchesMany) and len(signals) > 1:
            return dict(zip(signals, source.fetch_all(list(signals.values()), whole), strict=True))
        (signal,) = signals.values()
        return dict.fromkeys(signals, source.fetch(signal, whole))
    except Exception as error:  # noqa: BLE001  # each watch meets it at its own look
        return dict.fromkeys(signals, error)
