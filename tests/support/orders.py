"""One rollback order and one note, to be changed by name."""

from __future__ import annotations

from typing import Any

from watcher.model.order import Note, RollbackOrder, Severity, Topic


def an_order(**changes: Any) -> RollbackOrder:
    fields: dict[str, Any] = {
        "rollback_id": "rb_01",
        "watch_id": "w_01",
        "deploy_id": "d_01",
        "service": "checkout",
        "environment": "production",
        "bad_version": "2.14.0",
        "target_version": "2.13.9",
        "sentence": "Conversion fell by 31 % since 03:05, expected 4.2 %.",
        "url": "https://watcher.acme.example/watches/w_01",
        "dry_run": False,
    }
    return RollbackOrder(**(fields | changes))


def a_note(**changes: Any) -> Note:
    fields: dict[str, Any] = {
        "id": "n_01",
        "alert": "w_01",
        "topic": Topic.REGRESSED,
        "severity": Severity.CRITICAL,
        "title": "checkout 2.14.0 regressed in production",
        "sentence": "Conversion fell by 31 % since 03:05, expected 4.2 %.",
        "service": "checkout",
        "environment": "production",
        "version": "2.14.0",
        "url": "https://watcher.acme.example/watches/w_01",
        "at": 1795317000.0,
    }
    return Note(**(fields | changes))
