"""A recorded case of the replay format (docs/replay.md): checked field by field, then what the engine judges."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import numpy as np

from watcher.errors import MalformedError
from watcher.model.series import Floats, Series
from watcher.model.service import Harm, Kind, Role, Signal, default_must_see
from watcher.verdict import Nearby

_ROLES = {"signal": Role.REQUIRED, "control": Role.CONTROL}
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Case:
    """One deploy with everything that was measured around it. Times are unix seconds."""

    id: str | int
    service: str
    deployed_at: float
    until: float
    signals: tuple[Signal, ...]
    series: Mapping[str, Series]
    nearby: tuple[Nearby, ...]

    def looks(self) -> list[float]:
        """When a live watch would have looked: whenever a point came in. Without any point, once at the end."""
        times = [self.series[signal.name].times for signal in self.signals if signal.role is not Role.CONTROL]
        inside = [each[(each > self.deployed_at) & (each <= self.until)] for each in times]
        looks: list[float] = np.unique(np.concatenate(inside)).tolist()
        return looks or [self.until]


def read_case(line: bytes | str) -> Case:
    """A line of a case file; `MalformedError` names the field."""
    try:
        document = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise MalformedError("", f"one JSON object a line ({error})") from None
    return parse_case(document)


def parse_case(document: Any) -> Case:
    """A case from its JSON; keys that the format does not know are left alone. `MalformedError` names the field."""
    case = _object(document, "")
    deployed_at = _number(case, "deployed_at")
    until = _number(case, "until")
    if until <= deployed_at:
        raise MalformedError("until", "a time after deployed_at")
    identity = case.get("id")
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise MalformedError("id", "a string")
    signals, series = _signals(case)
    return Case(
        id=identity,
        service=_text(case, "service", default=""),
        deployed_at=deployed_at,
        until=until,
        signals=signals,
        series=series,
        nearby=_nearby(case, _text(case, "service", default="")),
    )


def _signals(case: Mapping[str, Any]) -> tuple[tuple[Signal, ...], dict[str, Series]]:
    signals: list[Signal] = []
    series: dict[str, Series] = {}
    for index, item in enumerate(_list(case, "signals")):
        where = f"signals[{index}]"
        fields = _object(item, where)
        signal = _signal(fields, f"{where}.")
        if signal.name in series:
            raise MalformedError(f"{where}.name", "a name that no other signal has")
        signals.append(signal)
        series[signal.name] = _series(fields, signal, f"{where}.")
    if not any(signal.role is Role.REQUIRED for signal in signals):
        raise MalformedError("signals", "at least one signal whose role is signal")
    return tuple(signals), series


def _signal(fields: Mapping[str, Any], where: str) -> Signal:
    step = _number(fields, "step", where)
    if step <= 0:
        raise MalformedError(f"{where}step", "seconds above 0")
    min_effect = _number(fields, "min_effect", where, default=0.0)
    if min_effect < 0:
        raise MalformedError(f"{where}min_effect", "a share of at least 0")
    name = _text(fields, "name", where)
    if not name:
        raise MalformedError(f"{where}name", "a name")
    role = fields.get("role", "signal")
    if not isinstance(role, str) or role not in _ROLES:
        raise MalformedError(f"{where}role", "signal or control")
    kind, harm = _word(fields, "kind", where, Kind), _word(fields, "harm", where, Harm)
    return Signal(
        name=name,
        kind=kind,
        harm=harm,
        source="replay",
        step=step,
        role=_ROLES[role],
        min_effect=min_effect,
        must_see=default_must_see(min_effect, harm),
    )


def _series(fields: Mapping[str, Any], signal: Signal, where: str) -> Series:
    times = _floats(fields, "times", where)
    if not np.all(np.isfinite(times)) or not np.all(np.diff(times) > 0):
        raise MalformedError(f"{where}times", "unix seconds, ascending, each once")
    values = _floats(fields, "values", where, len(times))
    totals = None
    if fields.get("totals") is not None:
        if signal.kind is not Kind.RATIO:
            raise MalformedError(f"{where}totals", "nothing, as only a ratio has totals")
        totals = _floats(fields, "totals", where, len(times))
    # A recording is final: every point that it has was known at its own time.
    return Series(times=times, values=values, totals=totals, step=signal.step, complete_until=math.inf)


def _nearby(case: Mapping[str, Any], service: str) -> tuple[Nearby, ...]:
    found = []
    for index, item in enumerate(_list(case, "deploys", default=[])):
        where = f"deploys[{index}]"
        fields = _object(item, where)
        name = fields.get("id", "")
        found.append(
            Nearby(
                service=_text(fields, "service", f"{where}.", default=""),
                environment="",
                version=str(name) if isinstance(name, str | int) else "",
                started_at=_number(fields, "deployed_at", f"{where}."),
            )
        )
    return tuple(sorted(found, key=lambda other: (other.service != service, other.started_at)))


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(where, "a JSON object")
    return value


def _list(fields: Mapping[str, Any], key: str, default: Sequence[Any] | None = None) -> Sequence[Any]:
    value = fields.get(key, default)
    if not isinstance(value, list):
        raise MalformedError(key, "a list")
    return value


def _text(fields: Mapping[str, Any], key: str, where: str = "", default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str):
        raise MalformedError(f"{where}{key}", "a string")
    return value


def _number(fields: Mapping[str, Any], key: str, where: str = "", default: float | None = None) -> float:
    value = fields.get(key, default)
    try:
        number = float(value) if type(value) in {int, float} else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MalformedError(f"{where}{key}", "a number")
    return number


def _word(fields: Mapping[str, Any], key: str, where: str, words: type[_Word]) -> _Word:
    value = fields.get(key)
    if not isinstance(value, str) or value not in set(words):
        raise MalformedError(f"{where}{key}", f"one of {', '.join(words)}")
    return words(value)


def _floats(fields: Mapping[str, Any], key: str, where: str, length: int | None = None) -> Floats:
    """A list of numbers, null as NaN; the types are checked in one pass, as a case has tens of thousands of them."""
    value = fields.get(key)
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float, type(None)}:
        raise MalformedError(f"{where}{key}", "a list of numbers" if key == "times" else "a list of numbers or null")
    if length is not None and len(value) != length:
        raise MalformedError(f"{where}{key}", f"as many values as times ({length}, got {len(value)})")
    try:
        floats = np.array(value, dtype=np.float64)
    except OverflowError:
        floats = np.array([math.inf])
    if np.any(np.isinf(floats)):
        raise MalformedError(f"{where}{key}", "numbers of ordinary size")
    return floats


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; a missing value is null")
