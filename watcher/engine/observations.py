"""What is told of the answers of sources: in the log on transitions, in the metrics always."""

from __future__ import annotations

from typing import Any

from watcher.engine.guard import DOWN
from watcher.errors import ExternalError
from watcher.kit import clock
from watcher.model.series import Series
from watcher.model.service import Signal
from watcher.telemetry.metrics import Metrics


class Observations:
    """An observer of `Gather`; safe to use from several threads."""

    def __init__(self, metrics: Metrics, log: Any) -> None:
        self._metrics = metrics
        self._log = log
        self._failing: set[tuple[str, str, str]] = set()

    def __call__(self, source: str, signal: Signal, service: str, result: Series | ExternalError) -> None:
        """Logs when a source begins or ceases to fail: once for all its signals where it does not answer at all."""
        asked, anything = (source, signal.name, service), (source, "", "")
        if isinstance(result, ExternalError):
            asked = anything if result.fault in DOWN else asked
            if asked not in self._failing:
                self._failing.add(asked)
                self._log.warning(
                    "source_failing",
                    source=source,
                    signal=signal.name,
                    service=service,
                    error=str(result),
                    fault=result.fault.value,
                )
            return
        if self._failing & {asked, anything}:
            self._failing -= {asked, anything}
            self._log.info("source_recovered", source=source, signal=signal.name, service=service)
        age = max(clock.now() - result.complete_until, 0.0)
        self._metrics.newest_point_age.labels(source, signal.name, service).set(age)
