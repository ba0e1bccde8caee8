"""Signals and sources as tests of metrics need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.memory import DictMemory

from watcher.kit import clock
from watcher.kit.http import HttpClient
from watcher.model.service import Harm, Kind, Signal
from watcher.ports import Memory, Tools


def a_signal(kind: Kind, step: float = 60.0, is_tickets: bool = False, **query: Any) -> Signal:
    return Signal("signal", kind, Harm.EITHER, "source", step, is_tickets=is_tickets, query=query)


def tools(now: Callable[[], float] | float = clock.now, memory: Memory | None = None) -> Tools:
    """The real HTTP door, a memory, and a clock that may stand still."""
    reads = now if callable(now) else lambda: now
    return Tools(http=HttpClient, memory=memory or DictMemory(), now=reads)
