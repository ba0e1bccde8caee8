"""Notes in the log: the notifier that always works."""

from __future__ import annotations

import logging

import structlog
from pydantic import BaseModel, ConfigDict, Field

from watcher.kit import clock
from watcher.model.order import Note, Severity
from watcher.ports import Tools

_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}


class LogOptions(BaseModel):
    """How loud a note must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    min_severity: Severity = Field(default=Severity.INFO, description="Quieter notes are not written.")


class Log:
    """One event `note` for each note, at the level of its severity."""

    Options = LogOptions

    def __init__(self, name: str, options: LogOptions, tools: Tools) -> None:  # noqa: ARG002 -- adapters are made alike
        self.name = name
        self.min_severity = options.min_severity

    def send(self, note: Note) -> None:
        structlog.get_logger("watcher.notify").log(_LEVELS[note.severity], "note", notifier=self.name, **entry(note))


def entry(note: Note) -> dict[str, object]:
    """The keys beside the event's name."""
    return {
        "id": note.id,
        "alert": note.alert,
        "topic": note.topic.value,
        "severity": note.severity.value,
        "title": note.title,
        "sentence": note.sentence,
        "service": note.service,
        "environment": note.environment,
        "version": note.version,
        "url": note.url,
        "at": clock.iso(note.at),
        "resolved": note.resolved,
    }
