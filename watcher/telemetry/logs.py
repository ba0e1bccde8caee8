"""Structured logs with stable event names (docs/events.md); JSON, or readable lines on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog


def configure(*, level: str = "info", json: bool | None = None, stream: TextIO = sys.stderr) -> None:
    """Sets up logging for the process; `json` None chooses by whether `stream` is a terminal."""
    as_json = not stream.isatty() if json is None else json
    # Local variables of a traceback may hold secrets: they are never shown.
    trace = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    as_lines = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
    )
    rendering: list[Any] = (
        [structlog.processors.ExceptionRenderer(trace), structlog.processors.JSONRenderer()] if as_json else [as_lines]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Libraries()], force=True)


def logger(name: str) -> Any:
    """A logger; `name` is the room that speaks."""
    return structlog.get_logger(room=name)


class _Libraries(logging.Handler):
    """What libraries say, in lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        given = {"exc_info": record.exc_info} if record.exc_info else {}
        logger("library").log(record.levelno, "library_said", library=record.name, message=record.getMessage(), **given)
