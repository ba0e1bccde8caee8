from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.fault_server import Answer, FaultServer, Request
from support.measuring import tools

from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.model.series import Window
from watcher.model.tickets import Tickets
from watcher.tickets.zendesk import Zendesk, ZendeskOptions

DATA = Path(__file__).parents[2] / "conformance" / "data" / "zendesk"
FIRST, LAST, NOTHING = (
    json.loads((DATA / f"{name}.json").read_text()) for name in ("first_page", "last_page", "nothing_new")
)
DAY = clock.parse_iso("2023-11-14T00:00:00Z")
NOW = clock.parse_iso("2023-11-14T22:15:00Z")
PATH = "/api/v2/incremental/tickets/cursor.json"


@dataclass
class Desk:
    """A helpdesk whose pages are told one after the other; after the last one there is nothing new."""

    server: FaultServer
    pages: list[Any] = field(default_factory=lambda: [FIRST, LAST])
    now: float = NOW
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server.answer = self.answer
        options = {"url": self.server.url, "user": "bot@acme.example", "token": "t-o-k-e-n"} | self.settings
        self.source = Zendesk("desk", ZendeskOptions.model_validate(options), tools(lambda: self.now))

    def answer(self, _request: Request) -> Answer:
        page = self.pages.pop(0) if self.pages else NOTHING
        return page if isinstance(page, Answer) else Answer.of(page)

    def fetch(self, start: float = DAY, end: float | None = None, **query: Any) -> Tickets:
        return self.source.fetch(query, Window(start, self.now if end is None else end, 300))

    def ids(self, **query: Any) -> list[str]:
        return sorted(ticket.id for ticket in self.fetch(**query).items)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


@pytest.fixture
def desk(server: FaultServer) -> Desk:
    return Desk(server)


def test_it_reads_the_pages_of_the_export_to_their_end(desk: Desk) -> None:
    tickets = desk.fetch()
    assert sorted(ticket.id for ticket in tickets.items) == ["35436", "35437", "35438"]
    first, second = desk.server.requests
    assert (first.method, first.path, second.path) == ("GET", PATH, PATH)
    assert float(first.query["start_time"][0]) <= DAY
    assert second.query == {"cursor": [FIRST["after_cursor"]]}
    credentials = base64.b64encode(b"bot@acme.example/token:t-o-k-e-n").decode()
    assert first.headers["authorization"] == f"Basic {credentials}"


def test_a_ticket_has_what_people_need(desk: Desk) -> None:
    ticket = next(ticket for ticket in desk.fetch().items if ticket.id == "35436")
    assert ticket.subject == "Help, checkout is on fire!"
    assert ticket.created_at == clock.parse_iso("2023-11-14T10:00:05Z")
    assert ticket.text.startswith("The fire is very colorful.")
    assert ticket.url == f"{desk.server.url}/agent/tickets/35436"


def test_the_last_minute_is_not_complete(desk: Desk) -> None:
    assert desk.fetch().complete_until == NOW - 60
    assert desk.fetch(end=NOW - 600).complete_until == NOW - 600


def test_tickets_count_by_creation_and_not_by_change(desk: Desk) -> None:
    start = clock.parse_iso("2023-11-14T22:00:00Z")
    assert desk.ids(start=start) == ["35437", "35438"], "35436 only changed since"
    assert desk.ids(start=start, end=start + 100) == ["35437"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"tags": ["checkout"]}, ["35436", "35437"]),
        ({"tags": ["payments", "delivery"]}, ["35437", "35438"]),
        ({"tags": ["checkout"], "subject_contains": ["CARD", "cart"]}, ["35437"]),
        ({"subject_contains": ["parcel"]}, ["35438"]),
        ({"brand_id": 124}, ["35438"]),
        ({"group_id": 98738}, ["35436", "35437"]),
        ({"tags": ["nothing"]}, []),
    ],
)
def test_questions_choose_among_the_tickets(desk: Desk, query: dict[str, Any], ids: list[str]) -> None:
    assert desk.ids(**query) == ids


def test_several_questions_share_one_export(desk: Desk) -> None:
    for tag in ("checkout", "delivery", "payments"):
        desk.fetch(tags=[tag])
    assert len(desk.server.requests) == 2


def test_it_reads_on_from_where_it_ended(desk: Desk) -> None:
    desk.fetch()
    desk.now += 60
    desk.fetch(start=NOW - 600)
    assert desk.server.requests[2].query == {"cursor": [LAST["after_cursor"]]}
    assert desk.fetch(start=NOW - 600).complete_until == NOW


def test_an_older_window_begins_the_export_again(desk: Desk) -> None:
    desk.fetch(start=DAY)
    desk.pages = [FIRST, LAST]
    desk.fetch(start=DAY - 86400)
    assert float(desk.server.requests[2].query["start_time"][0]) <= DAY - 86400


def test_a_window_that_has_just_begun_asks_for_nothing_that_zendesk_would_refuse(desk: Desk) -> None:
    desk.fetch(start=NOW - 5)
    assert float(desk.server.requests[0].query["start_time"][0]) <= NOW - 60


def test_an_export_of_nothing_begins_again_from_the_same_time(server: FaultServer) -> None:
    nothing = NOTHING | {"after_cursor": None, "after_url": None}
    desk = Desk(server, pages=[nothing, nothing])
    assert desk.fetch().items == ()
    desk.now += 60
    assert desk.fetch().items == ()
    assert [set(request.query) for request in server.requests] == [{"start_time"}, {"start_time"}]


def test_it_never_asks_more_often_than_allowed_and_reads_on_later(server: FaultServer) -> None:
    pages = [FIRST | {"after_cursor": f"c{number}"} for number in range(14)]
    desk = Desk(server, pages=[*pages, LAST])
    with pytest.raises(ExternalError) as error:
        desk.fetch()
    assert (error.value.fault, error.value.permanent, error.value.sent) == (Fault.RATE_LIMITED, False, False)
    assert error.value.retry_after == 60
    assert len(server.requests) == 10
    desk.now += 61
    assert len(desk.fetch().items) == 3
    assert server.requests[10].query == {"cursor": ["c9"]}
    assert len(server.requests) == 15


def test_retry_after_is_obeyed_without_asking_again(server: FaultServer) -> None:
    desk = Desk(server, pages=[FIRST, Answer(429, {"retry-after": "93"}, b"Number of allowed API requests exceeded")])
    with pytest.raises(ExternalError) as error:
        desk.fetch()
    assert (error.value.fault, error.value.retry_after) == (Fault.RATE_LIMITED, 93)
    for wait, left in ((0, 93), (50, 43)):
        desk.now = NOW + wait
        with pytest.raises(ExternalError, match=f"again in {left} s"):
            desk.fetch()
    assert len(server.requests) == 2
    desk.now, desk.pages = NOW + 94, [LAST]
    assert len(desk.fetch().items) == 3


def test_a_limit_without_a_time_is_obeyed_for_a_minute(server: FaultServer) -> None:
    desk = Desk(server, pages=[Answer(429)])
    for _ in range(2):
        with pytest.raises(ExternalError):
            desk.fetch()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"ratelimit-remaining": "0", "ratelimit-reset": "41"}, 41),
        ({"x-rate-limit-remaining": "0"}, 60),
        ({"ratelimit-remaining": "699", "ratelimit-reset": "41"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "soon"}, 60),
    ],
)
def test_an_account_whose_requests_are_used_up_is_left_alone(
    server: FaultServer, headers: dict[str, str], wait: float | None
) -> None:
    desk = Desk(server, pages=[Answer.of(FIRST, headers=headers), LAST])
    if wait is None:
        assert len(desk.fetch().items) == 3
        return
    with pytest.raises(ExternalError) as error:
        desk.fetch()
    assert error.value.retry_after == wait


@pytest.mark.parametrize(
    "page",
    [
        FIRST | {"after_cursor": None},  # there is more, and nobody says where
        FIRST | {"end_of_stream": "false"},
        FIRST | {"tickets": {}},
        FIRST | {"tickets": [5]},
        FIRST | {"tickets": [{"id": 5}]},
        FIRST | {"tickets": [{"id": True, "created_at": "2023-11-14T22:00:00Z"}]},
        FIRST | {"tickets": [{"id": 5, "created_at": 1700000000}]},
        FIRST | {"tickets": [{"id": 5, "created_at": "2023-11-14T22:00:00Z", "tags": "checkout"}]},
        {"error": "InvalidValue", "description": "start_time"},
    ],
)
def test_a_page_that_is_none_is_malformed(server: FaultServer, page: Any) -> None:
    desk = Desk(server, pages=[page])
    with pytest.raises(ExternalError) as error:
        desk.fetch()
    assert (error.value.fault, error.value.permanent) == (Fault.MALFORMED, False)


def test_memory_does_not_grow_for_ever(desk: Desk) -> None:
    desk.fetch()
    desk.now += 60 * 86400
    desk.fetch(start=desk.now - 600)
    assert desk.source._export is not None
    assert desk.source._export.items == {}


def test_oauth_needs_no_user(server: FaultServer) -> None:
    options = ZendeskOptions.model_validate({"url": server.url, "bearer_token": "o-auth"})
    server.answer = lambda _request: Answer.of(NOTHING)
    Zendesk("desk", options, tools(NOW)).fetch({}, Window(DAY, NOW, 300))
    assert server.requests[0].headers["authorization"] == "Bearer o-auth"


@pytest.mark.parametrize(
    "options", [{}, {"user": "a@b"}, {"token": "t"}, {"user": "a@b", "token": "t", "bearer_token": "b"}]
)
def test_there_is_one_way_in(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="user and token"):
        ZendeskOptions.model_validate({"url": "https://acme.zendesk.com"} | options)


def page(first: int, number: int, *, ended: bool = False, at: str = "2023-11-14T22:00:00Z") -> dict[str, Any]:
    """That many tickets, by ids from `first` on."""
    tickets = [{"id": first + place, "created_at": at, "subject": "Help"} for place in range(number)]
    return {"tickets": tickets, "after_cursor": f"c{first}", "end_of_stream": ended}


def test_a_desk_that_is_slow_has_one_deadline_and_is_read_on_from_where_it_was(server: FaultServer) -> None:
    slow = [Answer(200, body=json.dumps(page(5 * number, 5)).encode(), delay=0.1) for number in range(40)]
    desk = Desk(server, pages=[*slow, page(900, 5, ended=True)], settings={"question_timeout": 1.0})
    desk.source._asked = deque(maxlen=1000)  # so slow that it is never asked too often
    with pytest.raises(ExternalError) as error:
        desk.fetch()
    assert (error.value.fault, error.value.permanent) == (Fault.TIMEOUT, False)
    assert str(error.value) == "not all pages within 1 s (`question_timeout`)"
    read = len(server.requests)
    assert 0 < read < 40
    desk.pages = [page(900, 5, ended=True)]
    assert len(desk.fetch().items) >= 10
    assert set(server.requests[-1].query) == {"cursor"}


def test_who_waits_for_the_export_of_another_question_has_the_same_deadline(server: FaultServer) -> None:
    desk = Desk(server, settings={"question_timeout": 3})
    with desk.source._lock, pytest.raises(ExternalError, match="question_timeout") as error:
        desk.fetch()
    assert error.value.fault is Fault.TIMEOUT
    assert not server.requests
    assert len(desk.fetch().items) == 3


def test_an_export_of_more_tickets_than_allowed_is_given_up_and_not_begun_again(server: FaultServer) -> None:
    desk = Desk(server, pages=[page(0, 8), page(8, 8), page(16, 8)], settings={"max_tickets": 20})
    for _ in range(2):
        with pytest.raises(ExternalError) as error:
            desk.fetch()
        assert (error.value.fault, error.value.permanent) == (Fault.TOO_LARGE, True)
        assert str(error.value) == "more than 20 tickets (`max_tickets`)"
    assert len(server.requests) == 3
    desk.pages = [page(30, 8, ended=True)]
    assert len(desk.fetch(start=DAY + 3600).items) == 8, "a question that goes back less far is another"


def test_once_it_has_caught_up_the_oldest_tickets_make_room(server: FaultServer) -> None:
    older = page(0, 15, ended=True, at="2023-11-14T21:00:00Z")
    newer = page(15, 15, ended=True, at="2023-11-14T22:14:30Z")
    desk = Desk(server, pages=[older, newer], settings={"max_tickets": 20})
    assert len(desk.fetch().items) == 15
    desk.now += 60
    assert len(desk.fetch(start=NOW - 600).items) == 15
    assert desk.source._export is not None
    assert len(desk.source._export.items) == 15
    desk.pages = [page(0, 30, ended=True)]
    with pytest.raises(ExternalError, match="max_tickets"):  # what it no longer holds is no silence
        desk.fetch()
