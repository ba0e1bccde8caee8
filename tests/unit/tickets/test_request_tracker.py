from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from support.fault_server import Answer, FaultServer, Request
from support.measuring import a_signal, tools
from support.memory import DictMemory
from support.request_tracker import PASSWORD, USER
from support.request_tracker import RequestTracker as Server

from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.model.series import Window
from watcher.model.service import Kind
from watcher.model.tickets import Tickets
from watcher.tickets.counting import CountedTickets
from watcher.tickets.request_tracker import RequestTracker, RequestTrackerOptions

NOW = math.floor(time.time() / 60) * 60.0
HOUR = 3600.0


@pytest.fixture(scope="module")
def helpdesk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Far from UTC: a date without a zone would be read five hours off.
    with Server(tmp_path_factory.mktemp("rt"), timezone="America/New_York") as server:
        server.seed((NOW - 30 * HOUR - 60 * number, f"Old {number}") for number in range(230))
        server.seed((NOW - 2 * HOUR + number, f'It\'s "refused" \\ {number}') for number in range(3))
        server.seed([(NOW - HOUR, "Parcel lost")])
        yield server


@pytest.fixture
def source(helpdesk: Server) -> RequestTracker:
    options = RequestTrackerOptions.model_validate({"url": helpdesk.url + "/", "username": USER, "password": PASSWORD})
    return RequestTracker("desk", options, tools(NOW))


def fetch(source: RequestTracker, hours: float = 3.0, **query: Any) -> Tickets:
    return source.fetch(query, Window(NOW - hours * HOUR, NOW, 300))


@pytest.mark.request_tracker
def test_tickets_are_listed_by_creation_whatever_the_zone(source: RequestTracker, helpdesk: Server) -> None:
    tickets = fetch(source)
    assert len(tickets.items) == 4
    assert tickets.complete_until == NOW - 10
    parcel = next(ticket for ticket in tickets.items if ticket.subject == "Parcel lost")
    assert parcel.created_at == NOW - HOUR
    assert parcel.url == f"{helpdesk.url}/Ticket/Display.html?id={parcel.id}"


@pytest.mark.request_tracker
def test_a_window_begins_after_its_start_and_ends_with_its_end(source: RequestTracker) -> None:
    found = source.fetch({}, Window(NOW - 2 * HOUR, NOW - 2 * HOUR + 1, 1))
    assert [ticket.created_at for ticket in found.items] == [NOW - 2 * HOUR + 1]


@pytest.mark.request_tracker
def test_every_page_is_read(source: RequestTracker) -> None:
    tickets = fetch(source, hours=48, queue="General")
    old = [ticket.id for ticket in tickets.items if ticket.subject.startswith("Old")]
    assert len(old) == len(set(old)) == 230


@pytest.mark.request_tracker
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"queue": "General"}, 4),
        ({"subject_contains": ["parcel", "cart"]}, 1),
        ({"subject_contains": ['It\'s "refused" \\']}, 3),
        ({"query": "Subject LIKE 'lost' OR Subject LIKE 'refused'", "queue": "General"}, 4),
        ({"query": "Status = 'resolved'"}, 0),
    ],
)
def test_questions_choose_among_the_tickets(source: RequestTracker, query: dict[str, Any], count: int) -> None:
    assert len(fetch(source, **query).items) == count


@pytest.mark.request_tracker
def test_a_queue_that_does_not_exist_is_an_error_and_no_silence(source: RequestTracker) -> None:
    with pytest.raises(ExternalError, match="there is no queue named Genreal") as error:
        fetch(source, queue="Genreal")
    assert (error.value.fault, error.value.permanent) == (Fault.QUERY, True)


@pytest.mark.request_tracker
def test_a_query_that_is_refused_is_quoted(source: RequestTracker) -> None:
    with pytest.raises(ExternalError, match="the query was refused: Unknown field: Colour") as error:
        fetch(source, query="Colour = 'red'")
    assert (error.value.fault, error.value.permanent) == (Fault.QUERY, True)


@pytest.mark.request_tracker
def test_a_wrong_password_is_told(helpdesk: Server) -> None:
    options = RequestTrackerOptions.model_validate({"url": helpdesk.url, "username": USER, "password": "wrong-one"})
    with pytest.raises(ExternalError) as error:
        fetch(RequestTracker("desk", options, tools(NOW)))
    assert (error.value.fault, error.value.permanent) == (Fault.UNAUTHORIZED, True)
    assert "wrong-one" not in str(error.value)


@pytest.mark.request_tracker
def test_a_ticket_that_customers_write_is_counted(source: RequestTracker, helpdesk: Server) -> None:
    counted = CountedTickets(source, DictMemory())
    signal = a_signal(Kind.COUNT, 300, is_tickets=True, subject_contains=["brand new"])
    yesterday = math.floor((NOW - 24 * HOUR) / 300) * 300
    window = Window(yesterday - HOUR, yesterday, 300)
    assert counted.fetch(signal, window).values.sum() == 0
    helpdesk.create("A brand new trouble, call +49 171 1234567", window.end + 60)
    later = Window(window.start, window.end + 300, 300)
    assert counted.fetch(signal, later).values.tolist()[-1] == 1
    [ticket] = counted.samples(signal, later)
    assert ticket.subject == "A brand new trouble, call [phone]"


def test_it_proves_itself_by_a_token() -> None:
    def answer(request: Request) -> Answer:
        return Answer.of({"items": [], "pages": 0, "total": 0})

    with FaultServer() as server:
        server.answer = answer
        options = RequestTrackerOptions.model_validate({"url": f"{server.url}/rt", "token": "1-14-abc"})
        RequestTracker("desk", options, tools(NOW)).fetch({"queue": "Web shop"}, Window(0, 600, 300))
        queue, tickets = server.requests
    assert queue.path == "/rt/REST/2.0/queue/Web%20shop"
    assert tickets.path == "/rt/REST/2.0/tickets"
    assert tickets.headers["authorization"] == "token 1-14-abc"
    assert tickets.query["query"] == [f"Created > '-{int(NOW) + 3900} seconds' AND Queue = 'Web shop'"]


def test_who_may_not_see_a_queue_may_see_its_tickets() -> None:
    with FaultServer() as server:
        server.answer = lambda request: (
            Answer.of({"message": "Forbidden"}, 403)
            if "queue/" in request.path
            else Answer.of({"items": [], "pages": 0})
        )
        options = RequestTrackerOptions.model_validate({"url": server.url, "token": "1-14-abc"})
        assert RequestTracker("desk", options, tools(NOW)).fetch({"queue": "Web"}, Window(0, 600, 300)).items == ()


def test_an_id_with_half_a_character_is_an_id_like_any() -> None:
    created = clock.iso(NOW - HOUR)
    with FaultServer() as server:
        server.answer = lambda _request: Answer.of({"items": [{"id": "a\ud800", "Created": created}], "pages": 1})
        options = RequestTrackerOptions.model_validate({"url": server.url, "token": "t"})
        (ticket,) = RequestTracker("desk", options, tools(NOW)).fetch({}, Window(NOW - 2 * HOUR, NOW, 300)).items
    assert (ticket.id, ticket.url) == ("a\ud800", f"{server.url}/Ticket/Display.html?id=a%3F")


@pytest.mark.parametrize("options", [{}, {"token": "t", "username": "u", "password": "p"}, {"password": "p"}])
def test_there_is_one_way_in(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="expected token, or username and password"):
        RequestTrackerOptions.model_validate({"url": "http://rt"} | options)


def test_a_list_without_an_end_comes_to_a_limit_of_tickets_and_one_of_time() -> None:
    page = {"items": [{"id": 1, "Created": "2026-01-01T00:00:00Z"}] * 100, "pages": 10_000}
    with FaultServer() as server:
        server.answer = lambda _request: Answer.of(page)
        common = {"url": server.url, "token": "1-14-abc"}
        limits: list[tuple[dict[str, float], Fault, str]] = [
            ({"max_tickets": 450}, Fault.TOO_LARGE, "more than 450 tickets (`max_tickets`)"),
            ({"question_timeout": 0.5}, Fault.TIMEOUT, "not all pages within 0.5 s (`question_timeout`)"),
        ]
        for limit, fault, words in limits:
            options = RequestTrackerOptions.model_validate(common | limit)
            with pytest.raises(ExternalError) as error:
                RequestTracker("desk", options, tools(NOW)).fetch({}, Window(0, 600, 300))
            assert (error.value.fault, str(error.value)) == (fault, words)
