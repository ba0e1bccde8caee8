"""What is learned once, when a watch opens, from the service's own history up to the deploy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from watcher.detect import codec
from watcher.detect.baseline import kin_days
from watcher.detect.before import Before, find_before
from watcher.detect.clean import clean, longest_run
from watcher.detect.combine import costs
from watcher.detect.detectable import smallest
from watcher.detect.draft import Draft, draft_of
from watcher.detect.fitting import MOST_POINTS, Judge, Quiet, fit_judge
from watcher.detect.likeness import is_copy, likeness
from watcher.detect.modelling import Model, Past, fit_model
from watcher.detect.side import Side
from watcher.detect.window import Axis, Grid, regrid
from watcher.model.finding import Cause
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Role
from watcher.model.watch import WatchPlan

ENGINE = "placebo-scan/14"
FEWEST_POINTS = 30
HISTORY_WINDOWS = 2
ENOUGH_KIN = 2  # days like the deploy's that prove how such days go
KIN = 0.2  # correlation with a control from which on it is used without being named


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """One signal, ready to be judged.

    Attributes:
        first: the first bucket that ends after the deploy began, or after its warm-up; `looks` buckets are judged.
        judges: with the control first, if there is one; the last one rests on the own history alone. Empty: `cause`
            says why the signal cannot be judged.
        side: what is judged: what is measured, or of a share near everything what it leaves out. All but `usual_run`,
            `tail_run` and `tail_value` is of what is judged.
        before: the buckets before the deploy, by each judge.
        witness: knows the level alone; where the history has no days like the deploy's, what follows from the day-curve
            must show a little there too.
        cost: what the signal pays for not being alone, in -ln of a probability.
        detectable, detectable_events: see `Finding`.
        usual_run: longest stretch of one repeated value in the history; `tail_run` the last one's, of `tail_value`.
        newest: time of the newest point of the history.
        typical_total: usual denominator of a bucket.
    """

    name: str
    axis: Axis
    first: int
    looks: int
    side: Side
    judges: tuple[Judge, ...]
    witness: Judge | None
    before: tuple[Before, ...]
    cause: Cause | None
    cost: float
    detectable: float | None
    detectable_events: float | None
    usual_run: int
    tail_run: int
    tail_value: float | None
    newest: float | None
    typical_total: float
    note: str


class OtherEngineError(ValueError):
    """A calibration cannot be used by this engine, as another one made it; the history can be learned from again."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Opaque: what `look` needs beside the new points. `recent_from` is how far back those must reach, unix seconds."""

    plan: WatchPlan
    recent_from: float
    signals: Mapping[str, Calibrated]

    def to_bytes(self) -> bytes:
        """Compact and deterministic; the header names the engine and numpy's version."""
        return codec.encode(self, {"engine": ENGINE, "numpy": np.__version__})

    def controls(self, signals: Iterable[str]) -> frozenset[str]:
        """The names of what these signals are compared with."""
        judges = [judge for name in signals if name in self.signals for judge in self.signals[name].judges]
        return frozenset(judge.control for judge in judges if judge.control is not None)

    @classmethod
    def from_bytes(cls, data: bytes) -> Calibration:
        """What `to_bytes` made.

        Raises:
            OtherEngineError: another engine made it.
            ValueError: these bytes are no calibration.
        """
        value, _ = codec.decode(data, cls, _of_this_engine)
        return cls(value.plan, value.recent_from, value.signals)


def _of_this_engine(header: Mapping[str, str]) -> None:
    if header.get("engine") != ENGINE:
        raise OtherEngineError(f"calibration of engine {header.get('engine')!r}, this is {ENGINE!r}")


def calibrate(plan: WatchPlan, history: Mapping[str, Series]) -> Calibration:
    """Learns every signal of `plan` from `history` (signal name -> points up to `plan.started_at`).

    Never raises on data: a signal without (enough) history is kept, with the cause why it cannot be judged.
    """
    drafts = {signal.name: draft_of(plan, signal, history.get(signal.name)) for signal in plan.signals}
    done: dict[str, Calibrated] = {}
    quiets: dict[str, Quiet] = {}
    with np.errstate(all="ignore"):
        for draft in sorted(drafts.values(), key=lambda each: each.signal.role is not Role.CONTROL):
            calibrated, quiet = _calibrate(draft, _controls(draft, drafts, plan), history)
            done[draft.signal.name] = calibrated
            if quiet is not None:
                quiets[draft.signal.name] = quiet
        priced = _priced(plan, done, quiets)
    return Calibration(plan, plan.started_at, {signal.name: priced[signal.name] for signal in plan.signals})


def _controls(draft: Draft, drafts: Mapping[str, Draft], plan: WatchPlan) -> tuple[Draft, ...]:
    """The named control, or every control of the plan that is measured alike."""
    if draft.signal.role is Role.CONTROL:
        return ()
    names = [draft.signal.control] if draft.signal.control else [each.name for each in plan.signals]
    return tuple(
        drafts[name]
        for name in names
        if name in drafts
        and drafts[name].signal.role is Role.CONTROL
        and drafts[name].axis.step == draft.axis.step
        and len(drafts[name].grid)
    )


def _unusable(draft: Draft, cause: Cause, note: str) -> Calibrated:
    return Calibrated(
        draft.signal.name, draft.axis, draft.first, draft.looks, draft.side, (), None, (), cause, 0.0, None, None,
        0, 0, None, None, 1.0, note,
    )  # fmt: skip


def _calibrate(
    draft: Draft, controls: tuple[Draft, ...], history: Mapping[str, Series]
) -> tuple[Calibrated, Quiet | None]:
    grid, looks = draft.grid, draft.looks
    known = ~np.isnan(grid.values)
    points = int(known.sum())
    if looks < 1:
        return _unusable(draft, Cause.TOO_LITTLE_TRAFFIC, "the window is shorter than one bucket"), None
    if points < max(FEWEST_POINTS, HISTORY_WINDOWS * looks):
        if draft.bad > points:
            return _unusable(draft, Cause.BAD_VALUES, f"{draft.bad} impossible values in the history"), None
        wanted = max(FEWEST_POINTS, HISTORY_WINDOWS * looks)
        return _unusable(draft, Cause.TOO_LITTLE_HISTORY, f"{points} points of history, {wanted} are needed"), None
    harm, measured = draft.side.harm(draft.signal.harm), draft.measured.values
    model, past = fit_model(draft.axis, grid, draft.signal.kind, None, looks)
    typical_total = _typical_total(grid)
    own, quiet = fit_judge(model, past, harm, looks, typical_total, None)
    judges, before = [own], [find_before(own, past, harm, looks)]
    kin = _closest(draft, past, controls, history)
    if kin is not None:
        name, control_past = kin
        controlled_model, controlled_past = fit_model(draft.axis, grid, draft.signal.kind, control_past, looks)
        if not is_copy(past, controlled_past):
            judge, quiet = fit_judge(controlled_model, controlled_past, harm, looks, typical_total, name)
            judges.insert(0, judge)
            before.insert(0, find_before(judge, controlled_past, harm, looks))
    known_places = np.flatnonzero(known)
    calibrated = Calibrated(
        name=draft.signal.name,
        axis=draft.axis,
        first=draft.first,
        looks=looks,
        side=draft.side,
        judges=tuple(judges),
        witness=_witness(draft, model, harm, typical_total),
        before=tuple(before),
        cause=None,
        cost=0.0,
        detectable=None,
        detectable_events=None,
        usual_run=longest_run(measured),
        tail_run=_tail_run(measured[known]),
        tail_value=float(measured[known_places[-1]]),
        newest=draft.axis.time(grid.first + int(known_places[-1])),
        typical_total=typical_total,
        note="",
    )
    return calibrated, quiet


def _typical_total(grid: Grid) -> float:
    """The usual denominator, closed hours left out."""
    if grid.totals is None:
        return 1.0
    busy = grid.totals[grid.totals > 0]
    return float(np.median(busy)) if len(busy) else 0.0


def _witness(draft: Draft, model: Model, harm: Harm, typical_total: float) -> Judge | None:
    if float(np.ptp(model.profile.curves)) == 0:
        return None
    watched = draft.first + np.array([0, draft.looks - 1])
    if kin_days(draft.axis, draft.grid.first + np.flatnonzero(~np.isnan(draft.grid.values)), watched) >= ENOUGH_KIN:
        return None
    level, past = fit_model(draft.axis, draft.grid, draft.signal.kind, None, draft.looks, days=False)
    return fit_judge(level, past, harm, draft.looks, typical_total, None, MOST_POINTS // 3)[0]


def _tail_run(values: Floats) -> int:
    changes = np.flatnonzero(values != values[-1])
    return len(values) - 1 - int(changes[-1]) if len(changes) else len(values)


def _closest(
    draft: Draft, past: Past, controls: tuple[Draft, ...], history: Mapping[str, Series]
) -> tuple[str, Past] | None:
    """The control whose own surprises were most like this signal's; a named one always, another only if alike."""
    best: tuple[float, str, Past] | None = None
    for control in controls:
        series = history[control.signal.name]
        start = draft.grid.first
        cleaned = control.side.judged(
            clean(regrid(series, draft.axis, start, start + len(draft.grid)), control.signal.kind).grid
        )
        if np.count_nonzero(~np.isnan(cleaned.values)) < 0.5 * np.count_nonzero(past.w > 0):
            continue
        _, seen = fit_model(draft.axis, cleaned, control.signal.kind, None, draft.looks)
        # Of shares either side may be the rarer one: what goes the same way as measured is alike.
        alike = likeness(past, seen) * control.side.sign * draft.side.sign
        if best is None or alike > best[0]:
            best = alike, control.signal.name, seen
    if best is None or (best[0] < KIN and not draft.signal.control):
        return None
    return best[1], best[2]


def _priced(plan: WatchPlan, done: Mapping[str, Calibrated], quiets: Mapping[str, Quiet]) -> dict[str, Calibrated]:
    """Gives each signal its share of the budget, and what it can then show."""
    watched = [signal for signal in plan.signals if signal.role is not Role.CONTROL]
    groups = [
        [
            (done[signal.name].axis, quiets[signal.name]) if signal.name in quiets else None
            for signal in watched
            if signal.is_tickets is tickets
        ]
        for tickets in (False, True)
    ]
    metric_cost, ticket_cost = costs(groups)
    out = dict(done)
    for signal in watched:
        calibrated = done[signal.name]
        if calibrated.judges:
            cost = ticket_cost if signal.is_tickets else metric_cost
            evidence = -math.log(min(max(plan.false_rollback_probability, 1e-12), 0.5)) + cost
            judge, looks, total = calibrated.judges[0], calibrated.looks, calibrated.typical_total
            side = calibrated.side
            harm, counts = side.harm(signal.harm), side.least(signal)
            least, more = smallest(judge, looks, total, harm, evidence, counts)
            told = None if least is None else abs(side.change(least))
            more = more if signal.harm is harm else None  # no more of what is measured
            out[signal.name] = replace(calibrated, cost=cost, detectable=told, detectable_events=more)
    return out
