"""`Tools` for adapters that remember nothing: the real HTTP door, a settable clock, and a memory that refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watcher.kit import clock
from watcher.kit.http import HttpClient
from watcher.ports import Tools


class _NoMemory:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"this adapter must not need memory ({name})")


def plain_tools(now: Callable[[], float] = clock.now) -> Tools:
    return Tools(http=HttpClient, memory=_NoMemory(), now=now)
