"""Metrics and log events are interfaces: each is documented, and nothing else is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from watcher.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def declared_metrics() -> set[str]:
    metrics = Metrics("test")
    metrics.watch_store(dict, dict)
    names = set()
    for family in metrics.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        names.add(family.name + suffix)
    return {name for name in names if name.startswith("watcher_")}


def documented(file: str, pattern: str) -> set[str]:
    table = [line.split("|")[1] for line in (ROOT / "docs" / file).read_text().splitlines() if line.startswith("| `")]
    return {name for cell in table for name in re.findall(pattern, cell)}


def logged_events() -> Iterator[str]:
    for path in (ROOT / "watcher").rglob("*.py"):
        if "demo" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and ast.unparse(node.func.value).endswith(("log", "logger", ")"))
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value)


def test_every_metric_is_documented_and_exists() -> None:
    assert documented("metrics.md", r"watcher_\w+") == declared_metrics()


def test_every_event_is_documented() -> None:
    assert set(logged_events()) - documented("events.md", r"`(\w+)`") == set()


def test_every_documented_event_is_logged() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "watcher").rglob("*.py"))
    states = {"rollback_accepted", "rollback_failed", "rollback_unknown", "rollback_refused", "rollback_expired"}
    assert 'f"rollback_{state.value}"' in sources
    assert {name for name in documented("events.md", r"`(\w+)`") - states if f'"{name}"' not in sources} == set()
