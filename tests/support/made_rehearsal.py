"""A rehearsal for tests, with every field that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from watcher.model.rehearsal import Extrapolated, Rehearsal, ShapeRehearsal, Share, SignalRehearsal

NONE_OF_20 = Share(0, 20, 20, 0.0, 0.1684)
CONVERSION = SignalRehearsal(
    name="conversion",
    false_calls=NONE_OF_20,
    unmeasured={"gaps": 1},
    detectable=0.12,
    tried=0.12,
    looks=9.0,
    seconds=540.0,
    vetoed=Share(1, 20, 20, 0.0013, 0.2487),
    advice=("Or a busier signal.",),
    basis="as a share of events, against the same minutes of other days (15 calendar days)",
    shapes=(
        ShapeRehearsal("step", 0.12, 1.0, Share(20, 20, 20, 0.8316, 1.0)),
        ShapeRehearsal("spike", None, 1.0, NONE_OF_20),
    ),
)
P95 = SignalRehearsal("p95 latency", NONE_OF_20, {}, None, 10.0, None, None, NONE_OF_20)


def rehearsal(**changes: Any) -> Rehearsal:
    values: dict[str, Any] = {
        "service": "checkout",
        "made_at": 1_800_000_000.0,
        "engine": "engine/1",
        "numpy": "2.0.0",
        "false_rollback_probability": 0.01,
        "window": 3600.0,
        "history": 14 * 86400.0,
        "placebos": 20,
        "planned": 20,
        "windows": 168,
        "false_calls": NONE_OF_20,
        "resolved": 0.139,
        "resolvable": 0.018,
        "extrapolated": Extrapolated(0.008, 0.001, 0.03),
        "outcomes": {"healthy": 20},
        "signals": (CONVERSION, P95),
        "cost": 0.9,
        "sentences": ("20 placebo deploys, none called.",),
    }
    return Rehearsal(**(values | changes))
