"""Properties that hold on whatever data: nothing raises, numbers are numbers, every watch ends with a named outcome.

Both the short form (`tests/unit/detect`) and the long one (`make soak`) run these bodies over these strategies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.signals import DEPLOY, plan, signal

from watcher import detect, verdict
from watcher.model.decision import Decision, Outcome, Reason
from watcher.model.finding import Findings
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind
from watcher.model.watch import WatchPlan
from watcher.verdict import Context, Nearby

_NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1e-12, 1e15, -1.0, 1.0, 5e-324, 1.7e308]),
)
# What else was deployed: whose it is, when it began and finished in steps from our own start.
_OTHERS = st.lists(
    st.tuples(st.sampled_from(["checkout", "search", "index"]), st.floats(-200, 200), st.none() | st.floats(-200, 200)),
    max_size=4,
)
ANY_DATA: Mapping[str, st.SearchStrategy[object]] = {
    "kind": st.sampled_from(list(Kind)),
    "harm": st.sampled_from(list(Harm)),
    "shape": st.sampled_from(["wild", "constant", "tiny", "huge", "count"]),
    "size": st.integers(0, 400),
    "looks": st.integers(1, 90),
    "step": st.sampled_from([1.0, 60.0, 300.0, 3600.0]),
    "seed": st.integers(0, 2**31),
    "change": st.sampled_from([0.0, 0.3, 1.0, 1.0, 5.0]),
    "noise": st.lists(_NUMBERS, max_size=12),
    "shuffle": st.booleans(),
    "with_totals": st.booleans(),
    "others": _OTHERS,
    "depends_on": st.sampled_from([None, (), ("search",)]),
}
ANY_TIMES: Mapping[str, st.SearchStrategy[object]] = {
    "at": arrays.arrays(np.float64, st.integers(0, 60), elements=_NUMBERS),
    "values": arrays.arrays(np.float64, 60, elements=_NUMBERS),
}


def judge_any_data(
    *,
    kind: Kind,
    harm: Harm,
    shape: str,
    size: int,
    looks: int,
    step: float,
    seed: int,
    change: float,
    noise: Sequence[float],
    shuffle: bool,
    with_totals: bool,
    others: Sequence[tuple[str, float, float | None]],
    depends_on: tuple[str, ...] | None,
) -> None:
    """`size` buckets of history and `looks` since the deploy of some shape, with `noise` somewhere in them; since the
    deploy `change` times what they were.
    """
    rng = np.random.default_rng(seed)
    at: Floats = DEPLOY + step * np.arange(-size + 1, looks + 1, dtype=np.float64)
    values = {
        "wild": rng.standard_cauchy(len(at)) * 10.0 ** rng.integers(-12, 15),
        "constant": np.full(len(at), 7.0),
        "tiny": 1e-12 * rng.random(len(at)),
        "huge": 1e15 * rng.random(len(at)),
        "count": rng.poisson(3, len(at)).astype(np.float64),
    }[shape]
    values[at > DEPLOY] *= change
    for value in noise:
        values[rng.integers(len(at))] = value
    totals = np.where(rng.random(len(at)) < 0.1, 0.0, rng.poisson(20.0, len(at))) if with_totals else None
    if shuffle:
        at = at[rng.integers(0, len(at), len(at))]
        at[rng.integers(len(at))] = np.nan
    of = plan(signal("any", kind, harm, step), looks=looks)
    near = tuple(_nearby(service, step, start, finish) for service, start, finish in others)
    _judge(of, Series(at, values, step, math.inf, totals), near, depends_on)


def judge_any_times(*, at: Floats, values: Floats) -> None:
    """Points at any times at all."""
    _judge(plan(signal("any", Kind.COUNT)), Series(at, values[: len(at)], 60.0, math.inf), (), None)


def _nearby(service: str, step: float, start: float, finish: float | None) -> Nearby:
    finished_at = None if finish is None else DEPLOY + step * finish
    return Nearby(service, "", "v", DEPLOY + step * start, finished_at)


def _judge(of: WatchPlan, series: Series, others: tuple[Nearby, ...], depends_on: tuple[str, ...] | None) -> None:
    """Some looks of a watch, the last of which ends it."""
    data = {"any": series}
    calibration = detect.Calibration.from_bytes(detect.calibrate(of, data).to_bytes())
    findings: Findings | None = None
    judged = detect.Judged()
    step, until = series.step, of.until
    for when in (DEPLOY, DEPLOY + step, DEPLOY + 1.5 * step, until, 2 * until - DEPLOY):
        before = findings
        findings = detect.look(calibration, data, when, before)
        assert repr(detect.look(calibration, data, when, before, judged)) == repr(findings)
        assert before is None or findings.score >= before.score
        _check_finding(findings)
        _check_decision(_context(of, findings, others, depends_on, last=when > until), findings)
    assert detect.band(calibration, "any", series).expected.shape == series.times.shape
    assert detect.recovery(calibration, data, DEPLOY, until).keys() == {"any"}


def _context(
    of: WatchPlan, findings: Findings, others: tuple[Nearby, ...], depends_on: tuple[str, ...] | None, *, last: bool
) -> Context:
    whole = Context(
        service="checkout",
        environment="",
        version="v2",
        started_at=of.started_at,
        finished_at=of.started_at,
        until=of.until,
        ticket_until=of.ticket_until,
        false_rollback_probability=of.false_rollback_probability,
        signals=of.signals,
        failed_sources={},
        nearby=others,
        depends_on=depends_on,
        last_look=last,
        last_ticket_look=last,
    )
    few = replace(whole, nearby=verdict.telling(whole, findings, others))
    assert _beside_words(verdict.decide(few, findings)) == _beside_words(verdict.decide(whole, findings))
    return few


def _beside_words(decision: Decision) -> tuple[object, ...]:
    return decision.outcome, decision.reason, decision.score, decision.signals


def _check_finding(findings: Findings) -> None:
    finding = findings.of("any")
    for number in (finding.effect, finding.effect_low, finding.effect_high, finding.onset, finding.detectable):
        assert number is None or math.isfinite(number)
    assert 0 <= finding.score <= 12


def _check_decision(context: Context, findings: Findings) -> None:
    """A watch that is over has an outcome, whatever its data were, and every decision a reason and a sentence."""
    decision = verdict.decide(context, findings)
    called = decision.outcome is Outcome.REGRESSED
    assert isinstance(decision.outcome, Outcome) or not context.final
    assert context.final or decision.outcome in {None, Outcome.REGRESSED}
    assert isinstance(decision.reason, Reason)
    assert decision.reason is not Reason.WATCHING or decision.outcome is None
    assert 0 <= decision.score <= 12
    assert called is (decision.score >= context.threshold)
    assert set(decision.signals) <= {"any"}
    assert decision.sentence.endswith(".")
    assert not re.search(r"\b(nan|inf|None)\b", decision.sentence), decision.sentence
