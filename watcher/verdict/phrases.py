"""The clauses that sentences are made of: how much, against what, since when, how sure, in words for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from watcher.kit.text import duration, number, percent
from watcher.model.finding import Cause, Finding
from watcher.model.service import Harm, Kind, Signal

_PER = ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour"), (86400.0, "a day"))
_MANY_TIMES = 100  # from here on a multiple of less than one event says nothing any more
_NEXT_TO_NONE = "next to none"
_ONE_IN_CAP = 6  # placebo windows say nothing of rarer things


def listed(names: Iterable[str], joint: str = "and", most: int = 3) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    shown = list(names)
    if len(shown) > most + 1:
        shown[most:] = [f"{len(shown) - most} more"]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {joint} {shown[-1]}"


def change(signal: Signal, finding: Finding) -> str:
    """`orders fell to 8.2 a minute where 12 was expected, 31 % less (25 % to 37 %)`."""
    verb = _verb(signal, finding)
    levels = _levels(signal, finding)
    if not levels:
        return f"{signal.name} {brief_change(signal, finding)}{_against(finding)}{_interval(finding)}"
    size = ""
    if finding.effect is not None and not _from_nothing(finding):
        much = f"{percent(abs(finding.effect))} {'more' if finding.effect > 0 else 'less'}"
        size = f", {f'{number_of_times(finding.effect)} as much' if finding.effect >= 1 else much}"
    return f"{signal.name} {verb} to {levels}{size}{_interval(finding)}"


def _from_nothing(finding: Finding) -> bool:
    """Whether it rose from less than one event in the whole window."""
    effect, least, events = finding.effect, finding.detectable, finding.detectable_events
    rare = least is not None and events is not None and events < least
    return rare and effect is not None and effect >= _MANY_TIMES


def brief_change(signal: Signal, finding: Finding) -> str:
    """`fell 31 %`, `rose to 2.4 times`: of what was expected, where other words have said so."""
    verb, effect = _verb(signal, finding), finding.effect
    if effect is None:
        return verb
    if _from_nothing(finding):
        return f"{verb} from {_NEXT_TO_NONE}"
    return f"{verb} to {number_of_times(effect)}" if effect >= 1 else f"{verb} {percent(abs(effect))}"


def _against(finding: Finding) -> str:
    if finding.effect is None or _from_nothing(finding):
        return ""
    if finding.effect >= 1:
        return " what was expected"
    return " above what was expected" if finding.effect > 0 else " below what was expected"


def number_of_times(effect: float) -> str:
    """A relative change as a multiple: 1.4 -> `2.4 times`."""
    return f"{float(f'{1 + effect:.2g}'):g} times"


def visible(harm: str, detectable: float, events: float | None) -> str:
    """The smallest harm that would show: `a 4.1 % loss`; of what hardly ever happens, `5 more`."""
    if events is not None and detectable > 1:
        return f"{math.ceil(events)} more"
    return f"a {percent(detectable)} {harm}"


def direction(signal: Signal) -> str:
    """The harm's name: a `loss`, a `rise` or a `change`."""
    return {Harm.DOWN: "loss", Harm.UP: "rise", Harm.EITHER: "change"}[signal.harm]


def _rising(signal: Signal, finding: Finding) -> bool | None:
    if finding.effect:
        return finding.effect > 0
    if finding.observed is not None and finding.expected is not None and finding.observed != finding.expected:
        return finding.observed > finding.expected
    return {Harm.UP: True, Harm.DOWN: False, Harm.EITHER: None}[signal.harm]


def _verb(signal: Signal, finding: Finding) -> str:
    rising = _rising(signal, finding)
    if rising is None:
        return "changed"
    if finding.cause is Cause.SPIKE:
        return "jumped" if rising else "plunged"
    return "rose" if rising else "fell"


def _interval(finding: Finding) -> str:
    effect, low, high = finding.effect, finding.effect_low, finding.effect_high
    if effect is None or low is None or high is None:
        return ""
    if low < 0 < high:
        return f" (anywhere from {percent(-low)} less to {percent(high)} more)"
    if _from_nothing(finding):
        return ""
    if effect >= 1:
        return f" ({number_of_times(low).removesuffix(' times')} to {number_of_times(high)})"
    small, large = map(percent, sorted((abs(low), abs(high))))
    return f" ({small} to {large})" if small != large else ""


def _levels(signal: Signal, finding: Finding) -> str:
    observed, expected = finding.observed, finding.expected
    if observed is None or expected is None:
        return ""
    seen, unit, usual = _rendered(signal, observed, expected)
    if _from_nothing(finding):
        usual = _NEXT_TO_NONE
    return f"{seen}{unit} where {usual if expected else 'none'} was expected"


def _rendered(signal: Signal, observed: float, expected: float) -> tuple[str, str, str]:
    """Both levels in one unit: `12`, ` a minute`, `20`; with as many digits as tell them apart."""
    if signal.kind is Kind.RATIO:
        seen, usual = _apart(observed, expected, " %", 100.0)
        return seen, "", usual
    scale, unit = 1.0, ""
    if signal.kind in {Kind.COUNT, Kind.RATE}:
        scale, unit = _pace(signal, max(abs(observed), abs(expected)))
    seen, usual = _apart(observed, expected, "", scale)
    return seen, unit, usual


def pace(signal: Signal, value: float) -> str:
    """A count per bucket or a rate as people say it: `12 a minute`, `4 an hour`."""
    scale, unit = _pace(signal, abs(value))
    return f"{number(float(f'{value * scale:.2g}'))}{unit}"


def _pace(signal: Signal, value: float) -> tuple[float, str]:
    """The factor and the name of the unit in which `value` is at least 1: its own bucket, else a longer time."""
    width = signal.step if signal.kind is Kind.COUNT else 1.0
    names = dict(_PER)
    if value >= 1 or value == 0:
        return 1.0, f" {names[width]}" if width in names else f" per {duration(width)}"
    for seconds, name in _PER:
        if seconds > width and value * seconds / width >= 1:
            return seconds / width, f" {name}"
    return 86400.0 / width, " a day"


def _apart(one: float, other: float, suffix: str, scale: float) -> tuple[str, str]:
    """Both numbers as text, alike only if they are equal."""
    texts = (percent(one), percent(other)) if suffix else (number(one * scale), number(other * scale))
    digits = 3
    while texts[0] == texts[1] and one != other and digits < 7:
        texts = (f"{one * scale:.{digits}g}{suffix}", f"{other * scale:.{digits}g}{suffix}")
        digits += 1
    return texts


def since(started_at: float, signal: Signal, finding: Finding) -> str:
    """`, starting 2 min after the deploy began`; empty where the onset is unknown. What jumped did so at once."""
    if finding.onset is None:
        return ""
    offset = finding.onset - started_at
    word = ", " if finding.cause is Cause.SPIKE else ", starting "
    if abs(offset) <= signal.step:
        return f"{word}as the deploy began"
    if offset > 0:
        return f"{word}{duration(offset)} after the deploy began"
    low, high = finding.onset_low, finding.onset_high
    if low is None or high is None or high < started_at:
        return f"{word}{duration(-offset)} before the deploy began"
    earliest = f"up to {duration(started_at - low)} before"
    if high - started_at <= signal.step:
        return f"{word}as the deploy began or {earliest}"
    return f"{word}about when the deploy began ({earliest} and {duration(high - started_at)} after)"


def chance(score: float) -> str:
    """How often quiet windows show the like: `about one quiet window in 160`."""
    if score >= _ONE_IN_CAP:
        return f"fewer than one quiet window in {10**_ONE_IN_CAP:,}"
    odds = 10 ** max(score, 0.0)
    digits = 2 if odds < 1000 else 1
    return f"about one quiet window in {max(round(float(f'{odds:.{digits}g}')), 1):,}"


def sentence(clauses: Sequence[str]) -> str:
    """The clauses that say something, as one sentence."""
    return "; ".join(clause for clause in clauses if clause) + "."
