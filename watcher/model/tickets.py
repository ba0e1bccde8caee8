"""What customers wrote to support."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket. `created_at` is unix seconds; `text` may be empty where the system does not hand it out."""

    id: str
    created_at: float
    subject: str = ""
    text: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Tickets:
    """Tickets created in a window, and the time up to which the list is complete."""

    items: tuple[Ticket, ...]
    complete_until: float
