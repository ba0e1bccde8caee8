"""Pure policy: findings become a decision with a reason and a plain sentence. It knows no statistics."""

from __future__ import annotations

from watcher.verdict.assessment import Assessment, shows_harm
from watcher.verdict.context import Context, Nearby
from watcher.verdict.policy import assess, conclude, decide, standing
from watcher.verdict.rivals import telling

__all__ = [
    "Assessment",
    "Context",
    "Nearby",
    "assess",
    "conclude",
    "decide",
    "shows_harm",
    "standing",
    "telling",
]
