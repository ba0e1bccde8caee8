"""One signal over all placebos of a rehearsal: how often called falsely, and what harm it shows, by shape."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from zlib import crc32

from watcher import detect
from watcher.engine import advice, injection, placebo
from watcher.engine.hindsight import Seen
from watcher.engine.placebo import Placebo
from watcher.engine.proportions import share
from watcher.model.decision import Reason
from watcher.model.finding import Cause, Finding, State
from watcher.model.rehearsal import ShapeRehearsal, SignalRehearsal
from watcher.model.series import Series
from watcher.model.service import Service, Signal

POWER = 0.8
_TIMED = 10  # placebos in which it is found out how soon harm is called: enough for a median


@dataclass(frozen=True, slots=True)
class Harmed:
    """One placebo with injected harm.

    Attributes:
        smallest: shape -> the least that was called, infinite if none was; not every shape.
        seen: whether a step as large as must be seen was called; `vetoed`: whether it was put down to the past.
    """

    turn: int
    placebo: Placebo
    smallest: dict[str, float]
    seen: bool
    vetoed: bool


@dataclass(slots=True)
class Tally:
    """What is counted while the placebos are judged.

    Attributes:
        events: of each placebo, how many more would show (`Finding.detectable_events`).
        near: shape -> where the last search ended.
    """

    signal: Signal
    judged: int = 0
    false_calls: int = 0
    unmeasured: Counter[str] = field(default_factory=Counter)
    events: list[float] = field(default_factory=list)
    harmed: list[Harmed] = field(default_factory=list)
    near: dict[str, int] = field(default_factory=dict)

    def without_harm(self, last: Seen, *, called: bool) -> None:
        """Counts a placebo as it was, by its last look."""
        finding = last.findings.of(self.signal.name)
        if finding.detectable_events is not None:
            self.events.append(finding.detectable_events)
        if finding.state is State.UNMEASURABLE:
            self.unmeasured[finding.cause.value] += 1
            return
        self.judged += 1
        self.false_calls += called

    def with_harm(self, one: Placebo, turn: int, finding: Finding) -> None:
        """Finds the smallest step that the placebo's window shows, and in half of the placebos that of each shape."""
        if finding.state is State.UNMEASURABLE and finding.cause is not Cause.TOO_LITTLE_TRAFFIC:
            return
        learned = detect.learned(one.calibration, self.signal.name)
        odds = learned.odds if learned is not None else None
        sizes = injection.sizes(injection.direction(self.signal, turn), odds or 1.0)
        smallest, least = {}, 0
        # In pairs, as harm that goes either way takes turns.
        for shape in injection.SHAPES[: 1 if turn // 2 % 2 else None]:

            def ask(place: int, shape: str = shape) -> placebo.Asked:
                series = harmed(one, self.signal, turn, sizes[place], shape)
                return placebo.Asked(one, series, one.looks[-1])

            place = placebo.first_that_calls(ask, self._search(shape, len(sizes), least), len(sizes))
            self.near[shape] = place
            smallest[shape] = sizes[place] if place < len(sizes) else math.inf
            least = max(least, place if shape == injection.SHAPES[0] else 0)
        # Asked apart: a veto may strike a large harm where it spared a smaller one.
        seen = placebo.look(one, harmed(one, self.signal, turn, self.signal.must_see, "step"), one.looks[-1], None)
        self.harmed.append(Harmed(turn, one, smallest, seen.called, _is_vetoed(seen)))

    def _search(self, shape: str, count: int, least: int) -> Callable[[Callable[[int], bool], int], int]:
        """Begins near where it ended for the placebo before."""
        near = self.near.get(shape, count // 2)
        return lambda holds, begin: first(holds, count, max(begin, least), max(begin, near))


def _is_vetoed(seen: Seen) -> bool:
    return any(each.reason is Reason.PRE_EXISTING for each in seen.assessments)


def first(called: Callable[[int], bool], count: int, least: int, near: int) -> int:
    """The first place from `least` on at which `called` holds, as at all after it; `count` if at none.

    It is looked for around `near`, in strides that double: placebos of one signal are much alike.
    """
    low, high, stride = least, count, 2
    at = min(max(near, low), count - 1)
    while low < high:
        if called(at):
            high = at
        else:
            low = at + 1
        if least < low and high < count:
            at = (low + high) // 2
        else:
            at = max(high - stride, low) if high < count else min(low - 1 + stride, count - 1)
            stride *= 2
    return low


def harmed(one: Placebo, signal: Signal, turn: int, size: float, shape: str) -> dict[str, Series]:
    """The placebo's points with harm of that size in one signal, from where it is judged on."""
    # Where both ways hurt, a fall may be asked for the size that a rise needed: nothing loses more than all.
    change = max(injection.direction(signal, turn) * size, -1.0)
    start = one.context.started_at + one.context.warm_up
    known = one.known[signal.name]
    until = one.context.ticket_until if signal.is_tickets else one.context.until
    part = injection.course(shape, known.times, start, until - start)
    seed = crc32(f"{signal.name} {start}".encode())
    return placebo.watched_with(one, signal.name, injection.inject(known, signal.kind, change, part, seed))


def independent(count: int, spacing: float, whole: float) -> int:
    """Of `count` placebos `spacing` apart, how many share no point with another: those of a long window overlap."""
    return count if whole <= spacing else math.ceil(count * spacing / whole)


def conclude(service: Service, tally: Tally) -> SignalRehearsal:
    """What the placebos say of the signal, and at the smallest step that is found: how soon, and how often vetoed."""
    signal = tally.signal
    spacing, whole = service.window, max(service.window, service.ticket_window) if signal.is_tickets else service.window
    tried_shapes = [shape for shape in injection.SHAPES if any(shape in each.smallest for each in tally.harmed)]
    shapes = tuple(_shape(signal, tally, shape, spacing, whole) for shape in tried_shapes)
    step = shapes[0] if shapes else None
    tried = (step.detectable or step.tried) if step is not None else None
    looks, seconds, vetoes = _followed(tally, tried) if tried is not None else ([], [], 0)
    count, learned = len(tally.harmed), _learned(tally)
    made = SignalRehearsal(
        name=signal.name,
        false_calls=share(tally.false_calls, tally.judged, independent(tally.judged, spacing, whole)),
        unmeasured=dict(tally.unmeasured),
        detectable=step.detectable if step is not None else None,
        tried=tried,
        looks=median(looks) if looks else None,
        seconds=median(seconds) if seconds else None,
        vetoed=share(vetoes, count, independent(count, spacing, whole)),
        shapes=shapes,
        basis=advice.basis(learned) if learned is not None else "",
    )
    events = median(tally.events) if tally.events else None
    return replace(made, advice=advice.for_signal(service, signal, made, learned, events))


def _learned(tally: Tally) -> detect.Learned | None:
    newest = max(tally.harmed, key=lambda each: each.placebo.context.started_at, default=None)
    return detect.learned(newest.placebo.calibration, tally.signal.name) if newest is not None else None


def _shape(signal: Signal, tally: Tally, shape: str, spacing: float, whole: float) -> ShapeRehearsal:
    tried = [each for each in tally.harmed if shape in each.smallest]
    found = sorted(each.smallest[shape] for each in tried)
    size = found[math.ceil(POWER * len(found)) - 1]
    is_step = shape == injection.SHAPES[0]
    seen = sum(each.seen if is_step else each.smallest[shape] <= signal.must_see for each in tried)
    return ShapeRehearsal(
        name=shape,
        detectable=size if math.isfinite(size) else None,
        tried=max(injection.sizes(injection.direction(signal, each.turn))[-1] for each in tried),
        seen=share(seen, len(found), independent(len(found), spacing, whole)),
    )


def _followed(tally: Tally, tried: float) -> tuple[list[int], list[float], int]:
    """A step of the size `tried`: looks and seconds until it was called.

    And how often a step, of that size or of what must be seen, was put down to before the deploy.
    """
    looks: list[int] = []
    seconds: list[float] = []
    vetoes = 0
    for each in tally.harmed:
        one = each.placebo
        called = each.smallest["step"] <= tried
        if called and len(looks) >= _TIMED:
            vetoes += each.vetoed
            continue
        series = harmed(one, tally.signal, each.turn, tried, "step")
        number = placebo.first_call(one, series) if called else None
        if number is not None:
            looks.append(number)
            seconds.append(one.looks[number - 1] - one.context.started_at)
        vetoes += each.vetoed or (number is None and _is_vetoed(placebo.look(one, series, one.looks[-1], None)))
    return looks, seconds, vetoes
