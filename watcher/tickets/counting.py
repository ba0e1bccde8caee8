"""Makes a signal of a ticket system: remembers which tickets were seen, once each, and counts them by creation.

Ticket systems cannot be trusted with "since": lists come late, repeat, and are limited in how often they may be asked.
So each distinct question remembers its tickets, asks only from a little before where it left off, and counts itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from watcher.errors import ExternalError, Fault
from watcher.kit.outside import is_storable, is_web_url, one_line
from watcher.kit.redaction import redacted, redacted_url
from watcher.model.series import Series, Window, empty_series
from watcher.model.service import Signal
from watcher.model.tickets import Ticket, Tickets
from watcher.ports import Memory, Point, TicketSystem

_OVERLAP = 600.0
_TURN = 60.0  # seconds that a look waits for another that reads the same
_SAMPLES = 50
_DAY = 86400.0
_SUBJECT, _TEXT, _ID = 200, 1000, 100


@dataclass(frozen=True, slots=True)
class _Span:
    """The time `(since, until]`."""

    since: float
    until: float


class CountedTickets:
    """A ticket system as a metric source of kind count; safe to use from several threads.

    A bucket is zero where the system has told of all its tickets and there were none, missing where it has not.
    Only redacted words are kept, those of the newest tickets.
    """

    def __init__(self, system: TicketSystem, memory: Memory, overlap: float = _OVERLAP) -> None:
        self._system = system
        self._memory = memory
        self._overlap = overlap
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def fetch(self, signal: Signal, window: Window) -> Series:
        """As the port of metric sources says; a question's first call reads its whole window, later ones little."""
        question = _question(signal.query)
        lock = self._lock_of(question)
        if not lock.acquire(timeout=_TURN):
            raise ExternalError(
                "the same question is still being asked for another watch",
                fault=Fault.OVER_BUDGET,
                permanent=False,
                sent=False,
            )
        try:
            known = self._catch_up(question, signal.query, window)
        finally:
            lock.release()
        complete = min(known.until, window.end)
        grid = window.grid()
        grid = grid[(grid - window.step >= known.since) & (grid <= complete)]
        if not len(grid):
            return empty_series(window.step, complete)
        first = grid[0] - window.step
        created = {point.key: point.at for point in self._memory.range(_stream(question), first, grid[-1])}
        places = np.ceil((np.array(sorted(created.values())) - first) / window.step).astype(np.int64) - 1
        values = np.bincount(places, minlength=len(grid)).astype(np.float64)
        return Series(grid, values, window.step, complete)

    def samples(self, signal: Signal, window: Window, limit: int = 10) -> tuple[Ticket, ...]:
        """The newest tickets created in `window`, redacted, newest first; only what is remembered, without asking."""
        known = self._memory.get(_samples(_question(signal.query))) or []
        tickets = [Ticket(**item) for item in known if window.start < item["created_at"] <= window.end]
        return tuple(sorted(tickets, key=lambda ticket: (-ticket.created_at, ticket.id))[:limit])

    def _catch_up(self, question: str, query: Mapping[str, Any], window: Window) -> _Span:
        """Remembers what is new; returns the time of which the question's tickets are all known."""
        known = self._known(question)
        if known and known.since <= window.start and window.end <= known.until:
            return known
        start, end, anew = _to_read(known, window, self._overlap)
        found = self._system.fetch(query, Window(start, end, window.step))
        complete = max(min(found.complete_until, end), start)
        span = _Span(start, complete) if known is None or anew else _Span(known.since, max(known.until, complete))
        self._remember(question, found)
        self._memory.append({_marked(question): [Point(at, 1.0) for at in _marks(start, complete, first=anew)]})
        self._memory.put(_span(question), asdict(span))
        return span

    def _known(self, question: str) -> _Span | None:
        """What the store has dropped for its age is known no more: its marks are gone as well."""
        item = self._memory.get(_span(question))
        marks = self._memory.range(_marked(question), item["since"] - 1.0, item["until"]) if item else ()
        return _Span(marks[0].at, item["until"]) if marks else None

    def _remember(self, question: str, found: Tickets) -> None:
        self._memory.append(
            {_stream(question): [Point(ticket.created_at, 1.0, _key(ticket)) for ticket in found.items]}
        )
        kept = {item["id"]: item for item in self._memory.get(_samples(question)) or []}
        newest = sorted(found.items, key=lambda ticket: -ticket.created_at)[:_SAMPLES]
        seen = kept | {_key(ticket): _redacted(ticket) for ticket in newest}
        items = sorted(seen.values(), key=lambda item: (-item["created_at"], item["id"]))[:_SAMPLES]
        if items != list(kept.values()):
            self._memory.put(_samples(question), items)

    def _lock_of(self, question: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(question, threading.Lock())


def _to_read(known: _Span | None, window: Window, overlap: float) -> tuple[float, float, bool]:
    """Start and end of what is to be read, and whether what was known is of no use any more."""
    if known is None or window.start > known.until + overlap:
        return window.start, window.end, True  # the time since it was left alone is not needed: do not read it
    if window.start < known.since:
        return window.start, max(window.end, known.until), True
    return max(known.since, known.until - overlap), window.end, False


def _marks(start: float, end: float, *, first: bool) -> list[float]:
    """Every midnight after `start` up to `end`, and `start` itself if it is the `first`."""
    midnights = range(math.floor(start / _DAY) + 1, math.floor(end / _DAY) + 1)
    return [start] * first + [day * _DAY for day in midnights]


def _redacted(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": _key(ticket),
        "created_at": ticket.created_at,
        "subject": one_line(redacted(ticket.subject), _SUBJECT),
        "text": one_line(redacted(ticket.text), _TEXT),
        "url": redacted_url(ticket.url) if is_web_url(ticket.url) else "",
    }


def _key(ticket: Ticket) -> str:
    """The ticket's id, as it can be kept."""
    return (ticket.id if is_storable(ticket.id) else ascii(ticket.id)[1:-1])[:_ID]


def _question(query: Mapping[str, Any]) -> str:
    """A short name of the question, the same for every signal that asks it."""
    return hashlib.sha256(json.dumps(query, sort_keys=True, default=dict).encode()).hexdigest()[:24]


def _stream(question: str) -> str:
    return f"tickets:{question}"


def _marked(question: str) -> str:
    return f"tickets:{question}:known"


def _span(question: str) -> str:
    return f"tickets:{question}:span"


def _samples(question: str) -> str:
    return f"tickets:{question}:newest"
