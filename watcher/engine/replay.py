"""Runs recorded cases through the product's own decision code, look by look, as if each had happened live."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from watcher import detect
from watcher.engine import hindsight
from watcher.engine.cases import Case, parse_case, read_case
from watcher.engine.hindsight import Seen
from watcher.errors import MalformedError
from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Findings
from watcher.model.service import Role
from watcher.model.watch import WatchPlan
from watcher.verdict import Assessment, Context
from watcher.verdict.explain import internal_error


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one line: its result as JSON, or what was malformed; and the trace of an unexpected error."""

    result: str | None = None
    malformed: str | None = None
    trace: str | None = None


def run_case(case: Mapping[str, Any], false_rollback_probability: float = 0.01) -> dict[str, Any]:
    """The result of one case, as JSON data; both as in docs/replay.md.

    Raises:
        MalformedError: the case is not of the format; it names the field.
    """
    return judge(parse_case(case), false_rollback_probability)


def judge(case: Case, false_rollback_probability: float) -> dict[str, Any]:
    """The result of one parsed case. All looks count even after harm was called, as the score is that of all."""
    scores: dict[str, float] = {}
    score = 0.0
    called: Seen | None = None
    last: Seen | None = None
    for seen in telling_looks(case, *prepared(case, false_rollback_probability)):
        score = max(score, seen.decision.score)
        for each in seen.assessments:
            scores[each.signal.name] = max(scores.get(each.signal.name, 0.0), each.score)
        if called is None and seen.called:
            called = seen
        last = seen
    if last is None:
        raise MalformedError("signals", "at least one look")
    return _result(case, called, last, score, scores)


def prepared(case: Case, probability: float) -> tuple[detect.Calibration, Context]:
    """What the looks at a case need: what is learned from its history, and its policy."""
    start, until = case.deployed_at, case.until
    plan = WatchPlan(case.signals, start, until, until, probability)
    calibration = detect.calibrate(plan, {name: s.between(-math.inf, start) for name, s in case.series.items()})
    context = Context(
        service=case.service,
        environment="",
        version=str(case.id),
        started_at=start,
        finished_at=start,
        until=until,
        ticket_until=until,
        false_rollback_probability=probability,
        signals=case.signals,
        failed_sources={},
        nearby=case.nearby,
    )
    return calibration, context


def telling_looks(case: Case, calibration: detect.Calibration, context: Context) -> Iterator[Seen]:
    """Every look; the last one alone where that tells what all do: it shows nothing at all, and no control speaks."""
    if all(signal.role is not Role.CONTROL for signal in case.signals):
        judged = detect.Judged()
        last = hindsight.look(calibration, _ended(context), case.series, case.looks()[-1], None, judged)
        if hindsight.tells_all(calibration, context, case.series, last, judged):
            return iter((last,))
    return every_look(case, calibration, context)


def every_look(case: Case, calibration: detect.Calibration, context: Context) -> Iterator[Seen]:
    """Look by look, each after the one before, as in a live watch."""
    times = case.looks()
    findings: Findings | None = None
    for at in times:
        seen = hindsight.look(calibration, _ended(context) if at == times[-1] else context, case.series, at, findings)
        findings = seen.findings
        yield seen


def _ended(context: Context) -> Context:
    return replace(context, last_look=True, last_ticket_look=True)


def _result(case: Case, called: Seen | None, last: Seen, score: float, scores: Mapping[str, float]) -> dict[str, Any]:
    decision = (called or last).decision
    outcome = decision.outcome or Outcome.INCONCLUSIVE
    culprits = decision.signals if called else ()
    shown = {each.signal.name: _telling(each, called) for each in last.assessments}
    leading = shown.get(decision.signals[0]) if decision.signals else None
    return {
        "id": case.id,
        "outcome": outcome.value,
        "reason": decision.reason.value,
        "decided_at": decision.at if called else None,
        "onset": leading.finding.onset if leading is not None and leading.harmed else None,
        "score": score,
        "sentence": decision.sentence,
        "signals": [
            {
                "name": name,
                "outcome": (Outcome.REGRESSED if name in culprits else one.outcome).value,
                "score": scores[name],
                "effect": one.finding.effect,
                "effect_low": one.finding.effect_low,
                "effect_high": one.finding.effect_high,
                "onset": one.finding.onset,
                "detectable": one.finding.detectable,
            }
            for name, one in shown.items()
        ],
    }


def _telling(at_the_end: Assessment, called: Seen | None) -> Assessment:
    """A signal as at the end of the window, where most is known; but a culprit that has come back, as when called."""
    name = at_the_end.signal.name
    if called is None or name not in called.decision.signals or at_the_end.outcome is Outcome.REGRESSED:
        return at_the_end
    return next(each for each in called.assessments if each.signal.name == name)


def failed(identity: str | int, error: Exception) -> dict[str, Any]:
    """The result of a case on which the product itself failed."""
    return {
        "id": identity,
        "outcome": Outcome.ERROR.value,
        "reason": Reason.INTERNAL_ERROR.value,
        "decided_at": None,
        "onset": None,
        "score": 0.0,
        "sentence": internal_error(type(error).__name__),
        "signals": [],
    }


def replay_line(line: bytes | str, false_rollback_probability: float) -> Replayed:
    """Runs one line of a case file. Nothing in it makes this raise, so that the other lines still run."""
    try:
        case = read_case(line)
    except MalformedError as error:
        return Replayed(malformed=str(error))
    try:
        return Replayed(_json(judge(case, false_rollback_probability)))
    except Exception as error:  # noqa: BLE001  # one bad case must not stop the others; it is reported
        return Replayed(_json(failed(case.id, error)), trace=f"{case.id}: {traceback.format_exc()}")


def _json(result: Mapping[str, Any]) -> str:
    """One line that any UTF-8 stream takes; names may hold halves of characters, which JSON can only write escaped."""
    line = json.dumps(result, ensure_ascii=False, allow_nan=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(result, allow_nan=False)
    return line
