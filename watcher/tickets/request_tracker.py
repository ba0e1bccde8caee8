"""Lists the tickets of Request Tracker 5 through REST 2.0 (https://docs.bestpractical.com/rt/5.0/RT/REST2.html)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from watcher.errors import ExternalError, Fault
from watcher.kit.addresses import BaseUrl, quoted_answer
from watcher.kit.expressions import identifier, malformed, moment
from watcher.kit.http import HttpStatusError
from watcher.kit.units import Duration
from watcher.model.series import Window
from watcher.model.tickets import Ticket, Tickets
from watcher.ports import Tools
from watcher.tickets.paging import Listed, Question

_PAGE = 100
# "So long ago" is an hour off over a change to or from summer time; the rest is for clocks that differ.
_CLOCKS = 3600.0 + 300.0


class RequestTrackerOptions(Listed):
    """Where Request Tracker is; either `token`, or `username` and `password`."""

    url: BaseUrl = Field(description="Address of Request Tracker, without `/REST/2.0`.")
    token: SecretStr | None = Field(default=None, description="Authentication token of a user who may see the tickets.")
    settle: Duration = Field(
        default=10.0, ge=0, le=86400, description="Seconds until a new ticket is sure to be listed, clocks included."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.token is None) == (self.username is None):
            raise ValueError("expected token, or username and password")
        return self


class RequestTrackerQuery(BaseModel):
    """Which tickets count; what is given must all hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: str | None = Field(default=None, min_length=1, description="Name of the queue.")
    query: str | None = Field(default=None, min_length=1, description="TicketSQL, such as `CF.{Shop} = 'web'`.")
    subject_contains: tuple[str, ...] = Field(default=(), description="Texts, one of which the subject must contain.")


class RequestTracker:
    """`fetch`; safe to use from several threads."""

    Options = RequestTrackerOptions
    Query = RequestTrackerQuery

    def __init__(self, name: str, options: RequestTrackerOptions, tools: Tools) -> None:
        self.name = name
        self._options = options
        self._http = tools.http(options)
        self._now = tools.now
        token = options.token
        self._headers = {"authorization": f"token {token.get_secret_value()}"} if token else {}
        self._queues: set[str] = set()  # those that are known to exist

    def fetch(self, query: Mapping[str, Any], window: Window) -> Tickets:
        """As the port says; the text is left empty, for it would take one more request a ticket."""
        wanted = RequestTrackerQuery.model_validate(dict(query))
        now = self._now()
        question = Question(self._http, self._options)
        if wanted.queue is not None:
            self._check_queue(question, wanted.queue)
        items = tuple(
            ticket
            for ticket in self._listed(question, _ticket_sql(wanted, now - window.start))
            if window.start < ticket.created_at <= window.end
        )
        return Tickets(items, min(window.end, now - self._options.settle))

    def _listed(self, question: Question, ticket_sql: str) -> Iterator[Ticket]:
        for page in count(1):
            answer = self._ask(
                question,
                "/REST/2.0/tickets",
                {
                    "query": ticket_sql,
                    "fields": "Subject,Created",
                    "orderby": "id",
                    "order": "ASC",
                    "per_page": str(_PAGE),
                    "page": str(page),
                },
            )
            items = answer.get("items") if isinstance(answer, dict) else None
            pages = answer.get("pages") if isinstance(answer, dict) else None
            if not isinstance(items, list) or not isinstance(pages, int | float):
                raise malformed("not a list of tickets")
            question.count(len(items))
            yield from (self._ticket(item, place) for place, item in enumerate(items))
            if not items or page >= pages:
                return

    def _ticket(self, item: Any, place: int) -> Ticket:
        if not isinstance(item, dict):
            raise malformed(f"items[{place}]: expected a ticket")
        number = identifier(item.get("id"), f"items[{place}].id")
        return Ticket(
            id=number,
            created_at=moment(item.get("Created"), "iso", f"items[{place}].Created"),
            subject=str(item.get("Subject") or ""),
            url=f"{self._options.url}/Ticket/Display.html?id={quote(number, safe='', errors='replace')}",
        )

    def _check_queue(self, question: Question, queue: str) -> None:
        """A list of a queue that does not exist is empty, and would pass for silence."""
        if queue in self._queues:
            return
        try:
            self._ask(question, f"/REST/2.0/queue/{quote(queue, safe='')}", {})
        except HttpStatusError as error:
            if error.response.status == 404 and self._is_request_tracker(error):
                raise ExternalError(f"there is no queue named {queue}", fault=Fault.QUERY, permanent=True) from None
            if error.response.status != 403:  # who may see the tickets need not see their queue
                raise
        self._queues.add(queue)

    @staticmethod
    def _is_request_tracker(error: HttpStatusError) -> bool:
        try:
            return isinstance(error.response.json().get("message"), str)
        except (ExternalError, AttributeError):
            return False

    def _ask(self, question: Question, path: str, params: Mapping[str, str]) -> Any:
        url = f"{self._options.url}{path}"
        try:
            return question.get(url, params=params or None, headers=self._headers).json()
        except HttpStatusError as error:
            if error.response.status == 400 and self._is_request_tracker(error):
                said = quoted_answer(error.response.json()["message"], self._options)
                raise ExternalError(f"the query was refused: {said}", fault=Fault.QUERY, permanent=True) from None
            raise


def _ticket_sql(wanted: RequestTrackerQuery, ago: float) -> str:
    # Dates are read in the zone of the user who asks, whatever zone they bear; "so long ago" means the same to all.
    parts = [f"Created > '-{math.ceil(ago + _CLOCKS)} seconds'"]
    if wanted.queue is not None:
        parts.append(f"Queue = {_literal(wanted.queue)}")
    if wanted.subject_contains:
        parts.append(f"({' OR '.join(f'Subject LIKE {_literal(text)}' for text in wanted.subject_contains)})")
    if wanted.query is not None:
        parts.append(f"({wanted.query})")
    return " AND ".join(parts)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
