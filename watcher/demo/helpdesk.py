"""The shop's helpdesk: customers who write, about this and that, and about the checkout when it is broken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from watcher.demo.traffic import Tick, Traffic

_QUESTIONS = (
    ("Where is my parcel?", "I ordered last week and the tracking page has not moved for three days."),
    ("Wrong size", "Can I send the blue one back and get a size larger?"),
    ("Invoice with VAT number", "Our accounting needs an invoice with our VAT number on it, please."),
    ("Gift wrapping", "Do you wrap presents, and what does it cost?"),
    ("Change my address", "I have moved. How do I change the address in my account?"),
    ("When is it back in stock?", "The walnut shelf has been sold out for weeks. Will there be more?"),
    ("Newsletter", "Please take me off the newsletter list."),
    ("Voucher", "My voucher says it has expired, but it is from this month."),
)
_COMPLAINTS = (
    ("Checkout does not work", "I press Pay and the checkout only says that something went wrong."),
    ("Cannot pay", "The checkout hangs after I enter my card. I tried three times."),
    ("Error at checkout", "There is an error page at checkout, and my basket is empty afterwards."),
    ("Order not possible", "The checkout spins for a minute, then fails. Did you charge me?"),
    ("Payment page broken?", "The last step of the checkout never loads on my phone."),
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket; `at` is when it was sent, unix seconds."""

    id: int
    at: float
    subject: str
    text: str

    def as_json(self, url: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "created_at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "subject": self.subject,
            "text": self.text,
            "url": f"{url}/tickets/{self.id}",
        }


class Helpdesk:
    """Collects tickets. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []
        self._unsent: list[tuple[float, str, str]] = []
        self._next_id = 1

    def take(self, tick: Tick, start: float, seconds: float, traffic: Traffic) -> None:
        """What the users of `tick` write. A complaint is sent only after it has been typed, in a later tick."""
        for _ in range(tick.questions):
            self._write(traffic.moment(start, seconds), _QUESTIONS, traffic)
        for _ in range(tick.complaints):
            self._write(traffic.moment(start, seconds) + traffic.delay(), _COMPLAINTS, traffic)
        self._send(start + seconds)

    def between(self, after: float, until: float) -> list[Ticket]:
        """Tickets with `after < at <= until`, oldest first."""
        return [ticket for ticket in self._tickets if after < ticket.at <= until]

    def find(self, ticket_id: int) -> Ticket | None:
        return next((ticket for ticket in self._tickets if ticket.id == ticket_id), None)

    def _write(self, at: float, texts: tuple[tuple[str, str], ...], traffic: Traffic) -> None:
        self._unsent.append((at, *texts[traffic.pick(len(texts))]))

    def _send(self, until: float) -> None:
        for at, subject, text in sorted(item for item in self._unsent if item[0] <= until):
            self._tickets.append(Ticket(self._next_id, at, subject, text))
            self._next_id += 1
        self._unsent = [item for item in self._unsent if item[0] > until]
