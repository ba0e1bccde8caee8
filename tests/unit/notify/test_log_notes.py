from __future__ import annotations

from structlog.testing import capture_logs
from support.orders import a_note
from support.plain_tools import plain_tools

from watcher.model.order import Severity
from watcher.notify.log import Log, LogOptions


def test_the_event_and_its_keys_are_stable() -> None:
    with capture_logs() as logs:
        Log("console", LogOptions(), plain_tools()).send(a_note())
    assert logs == [
        {
            "event": "note",
            "log_level": "critical",
            "notifier": "console",
            "id": "n_01",
            "alert": "w_01",
            "topic": "regressed",
            "severity": "critical",
            "title": "checkout 2.14.0 regressed in production",
            "sentence": "Conversion fell by 31 % since 03:05, expected 4.2 %.",
            "service": "checkout",
            "environment": "production",
            "version": "2.14.0",
            "url": "https://watcher.acme.example/watches/w_01",
            "at": "2026-11-22T03:10:00Z",
            "resolved": False,
        }
    ]


def test_the_level_is_the_severity() -> None:
    with capture_logs() as logs:
        for severity in Severity:
            Log("console", LogOptions(), plain_tools()).send(a_note(severity=severity))
    assert [entry["log_level"] for entry in logs] == ["info", "warning", "critical"]
