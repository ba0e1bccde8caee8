"""Deploys that never were: chosen from a service's own past and judged by the code that judges real ones."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from watcher import detect
from watcher.engine import hindsight
from watcher.engine.hindsight import Seen
from watcher.model.finding import Findings
from watcher.model.series import Series
from watcher.model.service import Role, Service
from watcher.model.watch import WatchPlan
from watcher.verdict import Context

Spans = Sequence[tuple[float, float]]

_GOLDEN = (math.sqrt(5) - 1) / 2
_USED = 0.5  # the newer part of the history holds the placebos, so that each has the older part to learn from


@dataclass(frozen=True, slots=True)
class Placebo:
    """A deploy at `context.started_at` that never was, ready to be looked at; `known` are the points after it."""

    calibration: detect.Calibration
    context: Context
    looks: tuple[float, ...]
    known: Mapping[str, Series]


def length(service: Service) -> float:
    """How long a watch lasts, in seconds."""
    return max(service.window, service.ticket_window) if _has_tickets(service) else service.window


def starts(service: Service, begin: float, end: float, incidents: Spans) -> tuple[float, ...]:
    """Every start whose metric window overlaps no other's and no incident's, in the order in which to try them.

    Their order spreads any number of first ones evenly over the days and the hours of the day.
    """
    whole = length(service)
    last = math.floor((end - whole) / service.window) * service.window
    earliest = begin + (end - begin) * _USED
    count = max(math.floor((last - earliest) / service.window) + 1, 0) if end > begin else 0
    found = [last - place * service.window for place in range(count)]
    clear = [at for at in found if is_clear(at, whole, incidents)]
    return tuple(clear[place] for place in _spread(len(clear)))


def is_clear(start: float, whole: float, incidents: Spans) -> bool:
    """Whether a placebo of that length touches none of the incidents."""
    return not any(low < start + whole and start < high for low, high in incidents)


def _spread(count: int) -> list[int]:
    """0..count-1, each once, by the golden section: it leaves no gap and follows no cycle."""
    step = max(round(count * _GOLDEN), 1)
    while math.gcd(step, count) > 1:
        step += 1
    return [place * step % count for place in range(count)]


def prepare(service: Service, history: Mapping[str, Series], start: float) -> Placebo:
    """Calibrates as for a deploy at `start` and lays its points ready; nothing later than `start` is learned from."""
    until = start + service.window
    ticket_until = start + max(service.window, service.ticket_window)
    probability = service.false_rollback_probability
    plan = WatchPlan(service.signals, start, until, ticket_until, probability, service.warm_up, service.zone)
    before = {name: series.between(start - service.history, start) for name, series in history.items()}
    calibration = detect.calibrate(plan, before)
    context = Context(
        service=service.name,
        environment="",
        version="placebo",
        started_at=start,
        finished_at=start,
        until=until,
        ticket_until=ticket_until,
        false_rollback_probability=probability,
        signals=service.signals,
        failed_sources={},
        warm_up=service.warm_up,
    )
    end = start + length(service)
    known = {name: series.between(calibration.recent_from, end) for name, series in history.items()}
    return Placebo(calibration, context, _look_times(service, start, until, end), known)


def _look_times(service: Service, start: float, until: float, end: float) -> tuple[float, ...]:
    """As a live watch's: every step, and at the windows' ends."""
    count = math.ceil((end - start) / service.step) - 1
    return tuple(sorted({*(start + service.step * number for number in range(1, count + 1)), until, end}))


def look(
    placebo: Placebo,
    series: Mapping[str, Series],
    at: float,
    previous: Findings | None,
    judged: detect.Judged | None = None,
) -> Seen:
    """One look at `at`, at points that were there by then; `judged` as in `detect.look`."""
    last = at == placebo.looks[-1]
    context = replace(placebo.context, last_look=at >= placebo.context.until, last_ticket_look=last)
    return hindsight.look(placebo.calibration, context, series, at, previous, judged)


class Asked:
    """A single look at `at`, made no further than is asked: of most the evidence alone tells that they call nothing."""

    def __init__(self, placebo: Placebo, series: Mapping[str, Series], at: float) -> None:
        self._placebo, self._at = placebo, at
        self._series = {name: each.between(placebo.calibration.recent_from, at) for name, each in series.items()}
        self._judged = detect.Judged()
        self.may_call = hindsight.may_call(placebo.calibration, placebo.context, self._series, at, self._judged)

    @property
    def calls(self) -> bool:
        """Whether it calls harm."""
        return self.may_call and look(self._placebo, self._series, self._at, None, self._judged).called


def first_that_calls(
    ask: Callable[[int], Asked], search: Callable[[Callable[[int], bool], int], int], count: int
) -> int:
    """The first of `count` looks that calls harm, each of which calls it if one before it does; `count`: none does.

    `search(holds, least)` gives the first place from `least` on at which `holds`, as at all after it.
    """
    asked = cache(ask)
    place = search(lambda at: asked(at).may_call, 0)
    if place < count and not asked(place).calls:  # something is held against the harm
        place = search(lambda at: asked(at).calls, place + 1)
    return place


def run(placebo: Placebo) -> list[Seen]:
    """The looks at the placebo as it was, up to a call; only the last of them where that one tells what the others do.

    A signal's evidence never falls from look to look, so a last look that is plainly quiet had only quiet ones before,
    and one that calls harm has had the same evidence from the first call on. Where a control speaks it may fall.
    """
    judged = detect.Judged()
    last = look(placebo, placebo.known, placebo.looks[-1], None, judged)
    if hindsight.tells_all(placebo.calibration, placebo.context, placebo.known, last, judged):
        return [last]
    number = first_call(placebo, placebo.known) if last.called else None
    if number is not None:
        return [look(placebo, placebo.known, placebo.looks[number - 1], None)]
    return walk(placebo, placebo.known, _first_that_may(placebo, placebo.known))


def walk(placebo: Placebo, series: Mapping[str, Series], first: int = 0) -> list[Seen]:
    """Every look from the `first` on and up to a call, each after the one before, as in a live watch."""
    made: list[Seen] = []
    for at in placebo.looks[first:]:
        made.append(look(placebo, series, at, made[-1].findings if made else None))
        if made[-1].called:
            break
    return made


def _first_that_may(placebo: Placebo, series: Mapping[str, Series]) -> int:
    """The first look that could call harm; the last one, if none could."""
    if any(signal.role is Role.CONTROL for signal in placebo.context.signals):
        return 0

    def may(place: int) -> bool:
        return hindsight.may_call(placebo.calibration, placebo.context, series, placebo.looks[place])

    return bisect_left(range(len(placebo.looks) - 1), True, key=may)


def first_call(placebo: Placebo, series: Mapping[str, Series]) -> int | None:
    """How many looks it takes until harm is called, found by halving, as evidence never falls; None: never."""
    places = range(len(placebo.looks))

    def search(holds: Callable[[int], bool], least: int) -> int:
        return bisect_left(places, True, least, key=holds)

    place = first_that_calls(lambda place: Asked(placebo, series, placebo.looks[place]), search, len(places))
    return place + 1 if place < len(places) else None


def watched_with(placebo: Placebo, name: str, series: Series) -> dict[str, Series]:
    """What a look at one signal needs: `series` in its place, and the controls as they were."""
    controls = {signal.name for signal in placebo.context.signals if signal.role is Role.CONTROL}
    return {other: known for other, known in placebo.known.items() if other in controls} | {name: series}


def _has_tickets(service: Service) -> bool:
    return any(signal.is_tickets for signal in service.signals)
