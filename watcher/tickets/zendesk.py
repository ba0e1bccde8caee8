"""Lists the tickets of Zendesk through its incremental export.

Source: https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/ -- the export lists
tickets in the order of their last change, leaves out the last minute, and may be asked ten times a minute. So one
export serves every question: it is read on from where it ended, kept in memory, and searched here. It is begun again
after a restart; what was counted before is remembered elsewhere.
"""

from __future__ import annotations

import base64
import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from watcher.errors import ExternalError, Fault
from watcher.kit.addresses import BaseUrl
from watcher.kit.expressions import identifier, malformed, moment
from watcher.kit.units import Duration
from watcher.model.series import Window
from watcher.model.tickets import Ticket, Tickets
from watcher.ports import HttpResponse, Tools
from watcher.tickets.paging import Listed, Question, too_many

_PATH = "/api/v2/incremental/tickets/cursor.json"
_HIDDEN = 60.0  # seconds: the export leaves out what is newer
_MINUTE = 60.0
_DAY = 86400.0
_KEPT = 45 * _DAY
_TEXT = 1000


class ZendeskOptions(Listed):
    """Where Zendesk is; either `user` and `token`, or `bearer_token` (OAuth)."""

    timeout: Duration = Field(default=30.0, gt=0, le=300, description="Seconds for a whole exchange, body included.")
    url: BaseUrl = Field(description="Address, such as `https://acme.zendesk.com`.")
    user: str | None = Field(default=None, description="E-mail address of an administrator.")
    token: SecretStr | None = Field(default=None, description="API token of `user`.")
    requests_per_minute: int = Field(
        default=10, ge=1, le=30, description="How often the export may be asked; 30 with the high-volume add-on."
    )
    settle: Duration = Field(
        default=0.0, ge=0, le=86400, description="Seconds until a ticket is final, beyond the minute that is hidden."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.user is None) != (self.token is None):
            raise ValueError("user and token go together")
        if (self.token is None) == (self.bearer_token is None):
            raise ValueError("expected user and token, or bearer_token")
        return self


class ZendeskQuery(BaseModel):
    """Which tickets count; what is given must all hold. Deleted tickets never count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tags: tuple[str, ...] = Field(default=(), description="Tags, one of which the ticket must bear.")
    subject_contains: tuple[str, ...] = Field(default=(), description="Texts, one of which the subject must contain.")
    brand_id: int | None = Field(default=None, description="Number of the brand.")
    group_id: int | None = Field(default=None, description="Number of the group.")

    def matches(self, item: _Item) -> bool:
        subject = item.ticket.subject.casefold()
        return (
            (not self.tags or not item.tags.isdisjoint(self.tags))
            and (not self.subject_contains or any(text.casefold() in subject for text in self.subject_contains))
            and self.brand_id in {None, item.brand_id}
            and self.group_id in {None, item.group_id}
        )


class _Item(NamedTuple):
    ticket: Ticket
    tags: frozenset[str]
    brand_id: int | None
    group_id: int | None


@dataclass(slots=True)
class _Export:
    """What changed since `since`, as far as it was read; `caught_up`: when it was last asked and had nothing more."""

    since: float
    cursor: str | None = None
    caught_up: float = -math.inf
    items: dict[str, _Item] = field(default_factory=dict)

    def forget_until(self, horizon: float) -> None:
        """Tickets created before `horizon` are held no more."""
        if horizon <= self.since:
            return
        self.since = horizon
        self.items = {name: item for name, item in self.items.items() if item.ticket.created_at > horizon}


class Zendesk:
    """`fetch`; safe to use from several threads, which share one export."""

    Options = ZendeskOptions
    Query = ZendeskQuery

    def __init__(self, name: str, options: ZendeskOptions, tools: Tools) -> None:
        self.name = name
        self._options = options
        self._http = tools.http(options)
        self._now = tools.now
        self._headers = _headers(options)
        self._lock = threading.Lock()
        self._export: _Export | None = None
        self._too_far = -math.inf  # an export from here on would hold more than is allowed
        self._asked: deque[float] = deque(maxlen=options.requests_per_minute)
        self._barred_until = -math.inf

    def fetch(self, query: Mapping[str, Any], window: Window) -> Tickets:
        """As the port says. A long history may take several calls: each reads on where the last was rate-limited, or
        came to the end of its time.
        """
        wanted = ZendeskQuery.model_validate(dict(query))
        question = Question(self._http, self._options)
        if not self._lock.acquire(timeout=question.left()):
            raise question.late()
        try:
            export = self._export_since(window.start)
            self._catch_up(export, question)
            if window.start < export.since:
                raise too_many(self._options)
            items = tuple(
                item.ticket
                for item in export.items.values()
                if window.start < item.ticket.created_at <= window.end and wanted.matches(item)
            )
            export.forget_until(export.caught_up - _KEPT)
            return Tickets(items, min(window.end, export.caught_up - _HIDDEN - self._options.settle))
        finally:
            self._lock.release()

    def _export_since(self, start: float) -> _Export:
        """The export that reaches back to `start`; begun anew if the present one does not."""
        if self._export is None or start < self._export.since:
            begin = math.floor(min(start, self._now() - _HIDDEN) / _MINUTE - 1) * _MINUTE
            if begin <= self._too_far:
                raise too_many(self._options)
            self._export = _Export(begin)
        return self._export

    def _catch_up(self, export: _Export, question: Question) -> None:
        """Reads until the export has nothing more; what is younger than two requests' due is new enough."""
        if self._now() - export.caught_up < 2 * _MINUTE / self._options.requests_per_minute:
            return
        ended = False
        while not ended:
            now = self._now()
            page = self._page(export, question, now)
            ended = page["end_of_stream"]
            for place, raw in enumerate(page["tickets"]):
                self._keep(export, raw, place, now)
            export.cursor = page["after_cursor"] or export.cursor
            self._keep_within(export)
            if ended:
                export.caught_up = now

    def _keep_within(self, export: _Export) -> None:
        """Of an export that has caught up the oldest tickets go, which were counted; another is given up."""
        most = self._options.max_tickets
        if len(export.items) <= most:
            return
        if export.caught_up > -math.inf:
            export.forget_until(sorted(item.ticket.created_at for item in export.items.values())[-most - 1])
            return
        self._too_far, self._export = max(self._too_far, export.since), None
        raise too_many(self._options)

    def _page(self, export: _Export, question: Question, now: float) -> dict[str, Any]:
        self._wait_for_turn(now)
        self._asked.append(now)
        params = {"cursor": export.cursor} if export.cursor else {"start_time": f"{export.since:.0f}"}
        try:
            answer = question.get(self._options.url + _PATH, params=params, headers=self._headers)
        except ExternalError as error:
            if error.fault is Fault.RATE_LIMITED:
                self._barred_until = now + (_MINUTE if error.retry_after is None else error.retry_after)
            raise
        self._barred_until = max(self._barred_until, now + _reset(answer))
        return _checked(answer.json())

    def _wait_for_turn(self, now: float) -> None:
        """Raises (rate limited, with the seconds to wait) instead of asking more often than is allowed."""
        full = len(self._asked) == self._asked.maxlen
        turn = max(self._barred_until, self._asked[0] + _MINUTE if full else -math.inf)
        if now < turn:
            raise ExternalError(
                f"asked as often as allowed; again in {turn - now:.0f} s",
                fault=Fault.RATE_LIMITED,
                permanent=False,
                sent=False,
                retry_after=turn - now,
            )

    def _keep(self, export: _Export, raw: Any, place: int, now: float) -> None:
        where = f"tickets[{place}]"
        if not isinstance(raw, dict):
            raise malformed(f"{where}: expected a ticket")
        name = identifier(raw.get("id"), f"{where}.id")
        created = moment(raw.get("created_at"), "iso", f"{where}.created_at")
        if created <= export.since or raw.get("status") == "deleted":
            export.items.pop(name, None)
            return
        tags = raw.get("tags") or []
        if not isinstance(tags, list):
            raise malformed(f"{where}.tags: expected a list")
        text = str(raw.get("description") or "")[:_TEXT] if created > now - _DAY else ""
        ticket = Ticket(name, created, str(raw.get("subject") or ""), text, f"{self._options.url}/agent/tickets/{name}")
        export.items[name] = _Item(ticket, frozenset(map(str, tags)), raw.get("brand_id"), raw.get("group_id"))


def _headers(options: ZendeskOptions) -> dict[str, str]:
    if options.user is None or options.token is None:
        return {}
    credentials = f"{options.user}/token:{options.token.get_secret_value()}"
    return {"authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def _checked(page: Any) -> dict[str, Any]:
    """The page, if it is one; a stream that has not ended must say where to read on."""
    if (
        not isinstance(page, dict)
        or not isinstance(page.get("tickets"), list)
        or not isinstance(page.get("end_of_stream"), bool)
        or not isinstance(page.get("after_cursor"), str | None)
        or not (page["end_of_stream"] or page.get("after_cursor"))
    ):
        raise malformed("not a page of the incremental ticket export")
    return page | {"after_cursor": page.get("after_cursor")}


def _reset(answer: HttpResponse) -> float:
    """Seconds that the answer's rate headers ask to wait: none while requests remain."""
    if answer.headers.get("ratelimit-remaining", answer.headers.get("x-rate-limit-remaining", "")).strip() != "0":
        return 0.0
    text = answer.headers.get("ratelimit-reset", "").strip()
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else _MINUTE
