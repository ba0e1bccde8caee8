"""How states and figures read, on the page and in the terminal alike. It takes the API's own words, so that a command
line may be older than its daemon: what it does not know it shows as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from watcher.kit.text import number, percent
from watcher.verdict.phrases import visible

_MINUS = "\N{MINUS SIGN}"


class Badge(NamedTuple):
    """A word with its shape and its tone (bad, good, unsure, busy or off): colour alone never carries meaning."""

    word: str
    tone: str
    mark: str


class Line(NamedTuple):
    """What became of a rollback, in a few words; `waits`: for a person."""

    text: str
    tone: str
    waits: bool = False


_GATES = MappingProxyType(
    {
        "regressed": Badge("Regressed", "bad", "✕"),
        "error": Badge("Error", "unsure", "!"),
        "inconclusive": Badge("Inconclusive", "unsure", "?"),
        "healthy": Badge("Healthy", "good", "✓"),
        "superseded": Badge("Superseded", "off", "»"),
        "stopped": Badge("Stopped", "off", "■"),
    }
)
_SIGNALS = MappingProxyType(
    {
        "alarm": Badge("Harm", "bad", "✕"),
        "suspect": Badge("Suspect", "unsure", "?"),
        "unmeasurable": Badge("Not measurable", "unsure", "!"),
        "quiet": Badge("No alarm", "good", "✓"),
    }
)
SIGNAL_ORDER = tuple(_SIGNALS)  # the one to look at first comes first
_ROLLBACKS = MappingProxyType(
    {
        "planned": Line("Rollback to {} is about to be asked for", "busy"),
        "approved": Line("Rollback to {} is approved and about to be asked for", "busy"),
        "attempted": Line("Rollback to {} is being asked for", "busy"),
        "accepted": Line("Rollback to {} accepted by the pipeline", "off"),
        "verified": Line("Rolled back to {}", "off"),
        "refused": Line("Rollback refused", "off"),
        "expired": Line("Rollback expired: nothing was rolled back", "unsure"),
        "failed": Line("Rollback to {} FAILED: act by hand", "bad"),
        "unknown": Line("Rollback to {} may or may not have happened: check by hand", "bad"),
    }
)

_HOLDS = MappingProxyType(
    {
        "restored": "the store was restored from a backup",
        "frozen": "the service is frozen",
        "service_budget": "the service's rollbacks of this hour are spent",
        "total_budget": "the rollbacks of this hour over all services are spent",
    }
)

_DRILLS = MappingProxyType(
    {
        "accepted": Badge("Accepted", "good", "✓"),
        "verified": Badge("Carried out", "good", "✓"),
        "failed": Badge("Failed", "bad", "✕"),
        "unknown": Badge("Not known", "unsure", "?"),
    }
)


def badge(gate: str | None) -> Badge:
    """Of a watch, by its gate."""
    if gate is None:
        return Badge("Watching", "busy", "◔")
    return _GATES.get(gate, Badge(gate.capitalize(), "off", "\N{EN DASH}"))


def drill_badge(state: str) -> Badge:
    """Of a drill, by its state."""
    return _DRILLS.get(state, Badge(state.capitalize(), "busy", "◔"))


def sentence(watch: Mapping[str, Any]) -> str:
    """The watch's sentence, or what stands for one where nothing was judged."""
    last = watch["sentence"]
    if watch["gate"] == "superseded":
        newer = f" ({watch['superseded_by']})" if watch["superseded_by"] else ""
        return f"a newer deploy{newer} took its place before it was judged{f'; until then: {last}' if last else ''}"
    if watch["gate"] == "stopped":
        return f"somebody stopped the watch before it was judged{f'; until then: {last}' if last else ''}"
    return last or "the first look is yet to come"


def signal_badge(signal: Mapping[str, Any]) -> Badge:
    """Of a signal, as the API shows it."""
    if signal["failure"]:
        return Badge("Source failed", "unsure", "!")
    state = signal["state"]
    if state is None:
        return Badge("Control" if signal["role"] == "control" else "No look yet", "off", "\N{EN DASH}")
    return _SIGNALS.get(state, Badge(state.capitalize(), "off", "\N{EN DASH}"))


def signal_rank(signal: Mapping[str, Any]) -> int:
    """For sorting: harm first, controls last."""
    if signal["role"] == "control":
        return len(SIGNAL_ORDER) + 1
    return SIGNAL_ORDER.index(signal["state"]) if signal["state"] in SIGNAL_ORDER else len(SIGNAL_ORDER)


def rollback(watch: Mapping[str, Any]) -> Line | None:
    """What became of the rollback of a watch, as the API shows it, with the recovery; None if there is none."""
    order = watch["rollback"]
    if order is None:
        return None
    state, target = order["state"], order["target_version"] or "the version before"
    held = order.get("held")
    if state == "planned" and (held or watch["mode"] == "ask") and watch["ended_at"] is None:
        why = f" ({_HOLDS.get(held, held)})" if held else ""
        return Line(f"Rollback to {target}{why} waits for approval", "bad", waits=True)
    line = _ROLLBACKS.get(state, Line(f"Rollback {state}", "off"))
    line = line._replace(text=line.text.format(target))
    return _with_recovery(watch, line) if state in ("accepted", "verified") else line


def _with_recovery(watch: Mapping[str, Any], line: Line) -> Line:
    if watch["recovered"] is None:
        going_on = watch["state"] == "recovering"
        return Line(f"{line.text}, watching for recovery", "busy") if going_on else line
    if watch["recovered"]:
        return Line(f"{line.text}, and users recovered", "good")
    return Line(f"{line.text}, but users have NOT recovered: look at once", "bad")


def signed_percent(share: float) -> str:
    """`+12 %`, `-31 %` with a true minus sign, `0 %`."""
    return f"{'+' if share > 0 else _MINUS if share < 0 else ''}{percent(abs(share))}"


def level(kind: str, value: float) -> str:
    """A signal's value: a ratio as percent."""
    return percent(value) if kind == "ratio" else number(value)


def change(signal: Mapping[str, Any]) -> str:
    """`-31 % (-36 % to -26 %): 2.4 % where 3.5 % was expected`; empty where nothing was measured."""
    parts = []
    if signal["effect"] is not None:
        parts.append(signed_percent(signal["effect"]))
        if signal["effect_low"] is not None and signal["effect_high"] is not None:
            low, high = signed_percent(signal["effect_low"]), signed_percent(signal["effect_high"])
            parts.append(f"({low} to {high})")
    text = " ".join(parts)
    if signal["observed"] is None or signal["expected"] is None:
        return text
    seen, usual = level(signal["kind"], signal["observed"]), level(signal["kind"], signal["expected"])
    return f"{text}{': ' if text else ''}{seen} where {usual} was expected"


def remarks(signal: Mapping[str, Any]) -> str:
    """What else is to be said of a signal: its note, what would show, what is missing, why its source failed."""
    missing = signal["missing"]
    parts = [
        signal["note"],
        sight(signal),
        f"{missing} point{'s' if missing > 1 else ''} missing" if missing else "",
        signal["failure"] or "",
    ]
    return "; ".join(filter(None, parts))


def sight(signal: Mapping[str, Any]) -> str:
    """`a 4.1 % loss would show`: the smallest harm that the window shows; empty where unknown."""
    if signal["detectable"] is None:
        return ""
    harm = {"down": "loss", "up": "rise"}.get(signal["harm"], "change")
    if harm == "loss" and signal["detectable"] >= 1:
        return "not even a total loss would surely show"
    return f"{visible(harm, signal['detectable'], signal['detectable_events'])} would show"
