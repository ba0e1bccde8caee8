"""The `Memory` port in a dict, for tests of adapters: what it gives back is what the store would, JSON and all."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.ports import Point


class DictMemory:
    """`appended` counts the points that were written, repeats too."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.points: dict[str, dict[tuple[float, str], float]] = {}
        self.appended = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self._lock:
            return json.loads(self.values.get(key, "null"))

    def put(self, key: str, value: Any) -> None:
        with self._lock:
            self.values[key] = json.dumps(value, allow_nan=False)

    def append(self, points: Mapping[str, Iterable[Point]]) -> None:
        batches = {stream: list(batch) for stream, batch in points.items()}
        assert all(math.isfinite(point.value) for batch in batches.values() for point in batch), "no database keeps NaN"
        with self._lock:
            for stream, batch in batches.items():
                self.points.setdefault(stream, {}).update({(point.at, point.key): point.value for point in batch})
                self.appended += len(batch)

    def range(self, stream: str, start: float, end: float) -> Sequence[Point]:
        with self._lock:
            found = self.points.get(stream, {}).items()
            return [Point(at, value, key) for (at, key), value in sorted(found) if start < at <= end]

    def streams(self, prefix: str = "") -> Sequence[str]:
        with self._lock:
            return sorted(name for name, points in self.points.items() if name.startswith(prefix) and points)
