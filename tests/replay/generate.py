"""Writes cases.jsonl and expected.jsonl beside itself: small recorded deploys of every sort, the same at each run.

Only `random.Random` of the standard library is used, as its streams do not change between versions.
`python tests/replay/generate.py`
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STEP = 600
DEPLOYED_AT = 1_700_006_400  # on a whole step
UNTIL = DEPLOYED_AT + 4 * 3600
HISTORY = 4 * 86400
Effect = Callable[[int], float]  # time -> factor on what is expected

NONE: Effect = lambda _at: 1.0  # noqa: E731  # as short as the table that uses it


def since(start: float, factor: float, end: float = math.inf) -> Effect:
    return lambda at: factor if start < at <= end else 1.0


def times() -> list[int]:
    return list(range(DEPLOYED_AT - HISTORY + STEP, UNTIL + 1, STEP))


def daily(at: int) -> float:
    """More in the afternoon than at night."""
    return 1 + 0.5 * math.sin(2 * math.pi * (at % 86400) / 86400 - 2.0)


def weather(at: int) -> float:
    """What all regions have in common, hour by hour: the same for every series."""
    return math.exp(random.Random(at // 3600).gauss(0, 0.03))


def events(dice: random.Random, mean: float) -> int:
    """A count that scatters a little more than independent events do."""
    return max(round(dice.gauss(mean, 1.2 * math.sqrt(mean))), 0)


def few_events(dice: random.Random, mean: float) -> int:
    """A Poisson count, for small means (Knuth's multiplication)."""
    limit, count, product = math.exp(-mean), 0, dice.random()
    while product > limit:
        count += 1
        product *= dice.random()
    return count


def orders(dice: random.Random, effect: Effect = NONE, mean: float = 800.0, **fields: Any) -> dict[str, Any]:
    at = times()
    values = [events(dice, mean * daily(t) * weather(t) * effect(t)) for t in at]
    return {"name": "orders", "kind": "count", "harm": "down", "step": STEP, "times": at, "values": values} | fields


def conversion(dice: random.Random, effect: Effect = NONE) -> dict[str, Any]:
    at = times()
    totals = [events(dice, 5000 * daily(t)) for t in at]
    values = [min(events(dice, 0.04 * total * effect(t)), total) for t, total in zip(at, totals, strict=True)]
    fields = {"kind": "ratio", "harm": "down", "min_effect": 0.03, "step": STEP}
    return {"name": "conversion", **fields, "times": at, "values": values, "totals": totals}


def latency(dice: random.Random, effect: Effect = NONE) -> dict[str, Any]:
    at = times()
    values = [round(0.2 * effect(t) * math.exp(dice.gauss(0, 0.06)), 4) for t in at]
    return {"name": "p95", "kind": "latency", "harm": "up", "step": STEP, "times": at, "values": values}


def tickets(dice: random.Random, mean: float, effect: Effect = NONE) -> dict[str, Any]:
    at = times()
    values = [few_events(dice, mean * effect(t)) for t in at]
    return {"name": "tickets", "kind": "count", "harm": "up", "step": STEP, "times": at, "values": values}


def control(dice: random.Random, effect: Effect = NONE) -> dict[str, Any]:
    return orders(dice, effect) | {"name": "other_region", "role": "control", "harm": "either"}


def holed(signal: dict[str, Any], start: int, end: int, every: int = 1) -> dict[str, Any]:
    """The signal with every `every`-th value in `(start, end]` missing."""
    values = [
        None if start < at <= end and (at // STEP) % every == 0 else value
        for at, value in zip(signal["times"], signal["values"], strict=True)
    ]
    return signal | {"values": values}


def shortened(signal: dict[str, Any], start: int) -> dict[str, Any]:
    """The signal without its points up to `start`."""
    first = sum(at <= start for at in signal["times"])
    lists = ("times", "values", "totals")
    return signal | {key: signal[key][first:] for key in lists if key in signal}


def frozen(signal: dict[str, Any], start: int) -> dict[str, Any]:
    """The signal repeating one ordinary value from `start` on."""
    value = sorted(signal["values"])[len(signal["values"]) // 2]
    values = [value if at > start else old for at, old in zip(signal["times"], signal["values"], strict=True)]
    return signal | {"values": values}


def cases() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each case with what must come out: outcome, reason (`harm`: either kind), and where an onset must be found."""
    after = DEPLOYED_AT + 3600
    table: dict[str, tuple[Callable[[random.Random], list[dict[str, Any]]], str, str, int | None]] = {
        "quiet orders": (lambda d: [orders(d)], "healthy", "no_harm", None),
        "quiet conversion": (lambda d: [conversion(d)], "healthy", "no_harm", None),
        "quiet latency": (lambda d: [latency(d)], "healthy", "no_harm", None),
        "three quiet signals": (lambda d: [orders(d), conversion(d), latency(d)], "healthy", "no_harm", None),
        "better than before": (lambda d: [conversion(d, since(DEPLOYED_AT, 1.3))], "healthy", "no_harm", None),
        "orders fall by two fifths": (
            lambda d: [orders(d, since(DEPLOYED_AT, 0.6))],
            "regressed",
            "harm",
            DEPLOYED_AT,
        ),
        "conversion falls late": (
            lambda d: [conversion(d, since(after, 0.55)), latency(d)],
            "regressed",
            "harm",
            after,
        ),
        "latency doubles": (lambda d: [latency(d, since(DEPLOYED_AT, 2.0))], "regressed", "harm", DEPLOYED_AT),
        "a surge of tickets": (
            lambda d: [orders(d), tickets(d, 3.0, since(after, 6.0))],
            "regressed",
            "harm",
            after,
        ),
        "it fell before the deploy": (
            lambda d: [orders(d, since(DEPLOYED_AT - 2 * 3600, 0.6))],
            "inconclusive",
            "pre_existing",
            None,
        ),
        "both regions fall": (
            lambda d: [orders(d, since(DEPLOYED_AT, 0.6)), control(d, since(DEPLOYED_AT, 0.6))],
            "inconclusive",
            "shared_with_control",
            None,
        ),
        "only this region falls": (
            lambda d: [orders(d, since(DEPLOYED_AT, 0.7)), control(d)],
            "regressed",
            "harm",
            DEPLOYED_AT,
        ),
        "no data after the deploy": (
            lambda d: [orders(d), holed(conversion(d), DEPLOYED_AT, UNTIL)],
            "inconclusive",
            "no_data",
            None,
        ),
        "the data end early": (
            lambda d: [orders(d), holed(conversion(d), UNTIL - 2 * 3600, UNTIL)],
            "inconclusive",
            "stale_data",
            None,
        ),
        "every other point is missing": (
            lambda d: [holed(orders(d), DEPLOYED_AT, UNTIL, 2)],
            "inconclusive",
            "gaps",
            None,
        ),
        "the exporter hangs": (lambda d: [frozen(latency(d), DEPLOYED_AT)], "inconclusive", "frozen_data", None),
        "a new service": (
            lambda d: [shortened(orders(d), DEPLOYED_AT - 3600)],
            "inconclusive",
            "too_little_history",
            None,
        ),
        "an order an hour": (
            lambda d: [tickets(d, 0.16) | {"name": "orders", "harm": "down"}],
            "inconclusive",
            "too_little_traffic",
            None,
        ),
        "another deploy at the time of the harm": (
            lambda d: [conversion(d, since(after, 0.6))],
            "inconclusive",
            "ambiguous_deploys",
            None,
        ),
        "another deploy, long before": (
            lambda d: [conversion(d, since(DEPLOYED_AT, 0.6))],
            "regressed",
            "harm",
            DEPLOYED_AT,
        ),
    }
    others = {
        "another deploy at the time of the harm": {"id": "search-7", "service": "search", "deployed_at": after},
        "another deploy, long before": {"id": "search-6", "service": "search", "deployed_at": DEPLOYED_AT - 7200},
    }
    for number, (name, (signals, outcome, reason, onset)) in enumerate(table.items()):
        case: dict[str, Any] = {"id": name, "service": "checkout", "deployed_at": DEPLOYED_AT, "until": UNTIL}
        case |= {"signals": signals(random.Random(number + 50))}
        case |= {"deploys": [others[name]]} if name in others else {}
        yield case, {"id": name, "outcome": outcome, "reason": reason, "onset": onset}


def files() -> dict[str, str]:
    """File name -> content."""
    both = list(cases())
    return {
        "cases.jsonl": "".join(json.dumps(case, separators=(",", ":")) + "\n" for case, _ in both),
        "expected.jsonl": "".join(json.dumps(expected) + "\n" for _, expected in both),
    }


if __name__ == "__main__":
    for file_name, content in files().items():
        (HERE / file_name).write_text(content)
