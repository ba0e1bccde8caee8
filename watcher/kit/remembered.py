"""What is made of an object again and again, made once: for objects that never change and cannot be hashed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Calls `make` once an object, by its identity; safe to use from several threads. What it raises is not kept."""

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        """`most`: how many objects are remembered; each is kept alive."""
        self._make = make
        self._most = most
        self._made: dict[int, tuple[K, V]] = {}

    def __call__(self, key: K) -> V:
        found = self._made.get(id(key))
        if found is not None and found[0] is key:
            return found[1]
        made = self._make(key)
        if len(self._made) >= self._most:
            self._made.clear()
        self._made[id(key)] = key, made
        return made
