"""Lists the tickets of any helpdesk that answers JSON: a URL, and JMESPath for where the tickets stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from watcher.kit.addresses import WebUrl, placeholders
from watcher.kit.expressions import Expression, TimeUnit, find, identifier, kind, malformed, moment
from watcher.kit.units import Duration
from watcher.model.series import Window
from watcher.model.tickets import Ticket, Tickets
from watcher.ports import Tools
from watcher.tickets.paging import Listed, Question


class HttpJsonOptions(Listed):
    """Where tickets are listed, and where they stand in the answer."""

    url: WebUrl = Field(description="Address; `{start}` and `{end}` of the window are filled in.")
    params: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Query parameters of every request; placeholders are filled in."
    )
    time_format: TimeUnit = Field(
        default="s", description="How `{start}` and `{end}` are written: unix s or ms, or iso."
    )
    items: Expression = Field(default="@", description="JMESPath of the list of tickets.")
    id: Expression = Field(default="id", description="JMESPath, in a ticket, of its id.")
    created_at: Expression = Field(default="created_at", description="JMESPath, in a ticket, of when it was created.")
    subject: Expression | None = Field(default="subject", description="JMESPath, in a ticket, of its subject.")
    text: Expression | None = Field(default=None, description="JMESPath, in a ticket, of its text.")
    link: Expression | None = Field(default=None, description="JMESPath, in a ticket, of its address for people.")
    next: Expression | None = Field(
        default=None, description="JMESPath of the next page's address, on the same host; null after the last."
    )
    time_unit: TimeUnit = Field(default="iso", description="How tickets write their time: iso, or unix s or ms.")
    settle: Duration = Field(
        default=0.0, ge=0, le=86400, description="Seconds until a new ticket is sure to be listed."
    )


class HttpJsonQuery(BaseModel):
    """Which tickets count; what is given must all hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    params: Mapping[str, str] = Field(default_factory=dict, description="Query parameters of this signal.")
    where: Expression | None = Field(
        default=None, description="JMESPath that is true in a ticket that counts, such as `contains(tags, 'checkout')`."
    )


class HttpJson:
    """`fetch`; safe to use from several threads."""

    Options = HttpJsonOptions
    Query = HttpJsonQuery

    def __init__(self, name: str, options: HttpJsonOptions, tools: Tools) -> None:
        self.name = name
        self._options = options
        self._http = tools.http(options)
        self._now = tools.now

    def fetch(self, query: Mapping[str, Any], window: Window) -> Tickets:
        """As the port says."""
        wanted = HttpJsonQuery.model_validate(dict(query))
        now = self._now()
        tickets = []
        for place, item in enumerate(self._items(wanted, window)):
            ticket = self._ticket(item, place)
            counts = wanted.where is None or find(wanted.where, item) is True
            if counts and window.start < ticket.created_at <= window.end:
                tickets.append(ticket)
        return Tickets(tuple(tickets), min(window.end, now - self._options.settle))

    def _items(self, wanted: HttpJsonQuery, window: Window) -> Iterator[Any]:
        options = self._options
        fill = placeholders(window.start, window.end, window.step, options.time_format)
        params = {name: fill(value.get_secret_value()) for name, value in options.params.items()}
        params |= {name: fill(value) for name, value in wanted.params.items()}
        url, first = fill(options.url), params or None
        question = Question(self._http, options)
        while True:
            document = question.get(url, params=first).json()
            items = find(options.items, document)
            if not isinstance(items, list):
                raise malformed(f"items `{options.items}`: expected a list, found {kind(items)}")
            question.count(len(items))
            yield from items
            following = find(options.next, document) if options.next else None
            if not following:
                return
            url, first = _same_host(url, following), None

    def _ticket(self, item: Any, place: int) -> Ticket:
        options = self._options
        where = f"items[{place}]"
        return Ticket(
            id=identifier(find(options.id, item), f"{where}.{options.id}"),
            created_at=moment(find(options.created_at, item), options.time_unit, f"{where}.{options.created_at}"),
            subject=_text(options.subject, item),
            text=_text(options.text, item),
            url=_text(options.link, item),
        )


def _text(expression: str | None, item: Any) -> str:
    found = find(expression, item) if expression else None
    return found if isinstance(found, str) else ""


def _same_host(url: str, following: Any) -> str:
    """The next page's address; what we send with it is for the host we were told to ask, and for no other."""
    if not isinstance(following, str):
        raise malformed(f"next: expected an address, found {kind(following)}")
    joined = urljoin(url, following)
    if urlsplit(joined)[:2] != urlsplit(url)[:2]:
        raise malformed("next: leads to another host")
    return joined
