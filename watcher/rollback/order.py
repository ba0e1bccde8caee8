"""A rollback order as data: what a receiver is told, by whatever road."""

from __future__ import annotations

from typing import Any

from watcher.model.order import RollbackOrder

FIELDS = (
    "rollback_id",
    "watch_id",
    "deploy_id",
    "service",
    "environment",
    "bad_version",
    "target_version",
    "sentence",
    "url",
    "dry_run",
)


def told(order: RollbackOrder) -> dict[str, Any]:
    """Every field that a receiver is told, by its name."""
    return {name: getattr(order, name) for name in FIELDS}
