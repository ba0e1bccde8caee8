from __future__ import annotations

from typing import Any

import pytest
from support.fault_server import Answer, FaultServer, Request
from support.measuring import tools
from support.stopwatch import Stopwatch

from watcher.errors import ExternalError, Fault
from watcher.model.series import Window
from watcher.model.tickets import Ticket, Tickets
from watcher.tickets.http_json import HttpJson, HttpJsonOptions

WINDOW = Window(60, 300, 60)


def fetch(
    *documents: Any, options: dict[str, Any] | None = None, now: float = 10_000.0, **query: Any
) -> tuple[Tickets, list[Request]]:
    with FaultServer() as server:
        pages = iter(documents)
        server.answer = lambda _request: Answer.of(next(pages))
        settings = {"url": f"{server.url}/tickets", "headers": {"x-key": "k-e-y"}} | (options or {})
        source = HttpJson("desk", HttpJsonOptions.model_validate(settings), tools(now))
        return source.fetch(query, WINDOW), server.requests


def at(second: int) -> str:
    return f"1970-01-01T00:{second // 60:02d}:{second % 60:02d}Z"


def test_a_plain_list_needs_no_configuration() -> None:
    tickets, _ = fetch([{"id": 7, "created_at": at(61), "subject": "Help"}, {"id": "8", "created_at": at(300)}])
    assert tickets == Tickets((Ticket("7", 61, "Help"), Ticket("8", 300)), complete_until=300)


def test_tickets_are_read_where_the_expressions_point() -> None:
    options = {
        "items": "data.cases",
        "id": "key",
        "created_at": "times[0]",
        "time_unit": "ms",
        "subject": "title",
        "text": "body.plain",
        "link": "links.self",
    }
    case = {
        "key": "A-1",
        "times": [120000],
        "title": "Help",
        "body": {"plain": "me"},
        "links": {"self": "https://desk.example/A-1"},
    }
    tickets, _ = fetch({"data": {"cases": [case]}}, options=options)
    assert tickets.items == (Ticket("A-1", 120, "Help", "me", "https://desk.example/A-1"),)


def test_only_tickets_of_the_window_that_count_are_kept() -> None:
    items = [
        {"id": number, "created_at": at(second), "tags": tags}
        for number, (second, tags) in enumerate(
            [(60, ["a"]), (61, ["a"]), (120, ["b"]), (300, ["a", "b"]), (301, ["a"])]
        )
    ]
    assert [ticket.id for ticket in fetch(items)[0].items] == ["1", "2", "3"]
    assert [ticket.id for ticket in fetch(items, where="contains(tags, 'a')")[0].items] == ["1", "3"]


def test_pages_are_followed_on_the_same_host_only() -> None:
    first = {"tickets": [{"id": 1, "created_at": at(61)}], "next": "/tickets?page=2"}
    last = {"tickets": [{"id": 2, "created_at": at(62)}], "next": None}
    options = {"items": "tickets", "next": "next", "params": {"since": "{start}"}}
    tickets, requests = fetch(first, last, options=options)
    assert [ticket.id for ticket in tickets.items] == ["1", "2"]
    assert [request.query for request in requests] == [{"since": ["60"]}, {"page": ["2"]}]
    assert requests[1].headers["x-key"] == "k-e-y"
    for elsewhere in ("http://evil.example/tickets", "//evil.example/", "https://127.0.0.1/"):
        with pytest.raises(ExternalError, match="next: leads to another host"):
            fetch(first | {"next": elsewhere}, options=options)


def endless(server: FaultServer, page: Answer, **options: Any) -> ExternalError:
    """What comes of pages that never end."""
    server.answer = lambda _request: page
    settings = {"url": server.url, "items": "tickets", "next": "next"} | options
    with pytest.raises(ExternalError) as error:
        HttpJson("desk", HttpJsonOptions.model_validate(settings), tools(1.0)).fetch({}, WINDOW)
    return error.value


def test_pages_without_an_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcher.tickets.paging._MOST_PAGES", 20)
    with FaultServer() as server:
        error = endless(server, Answer.of({"tickets": [], "next": "/again"}))
        assert len(server.requests) == 20
    assert (error.fault, error.permanent) == (Fault.TOO_LARGE, True)


def test_more_tickets_than_a_question_may_list_are_given_up() -> None:
    page = {"tickets": [{"id": number, "created_at": at(61)} for number in range(7)], "next": "/again"}
    with FaultServer() as server:
        error = endless(server, Answer.of(page), max_tickets=20)
        assert len(server.requests) == 3
    assert (error.fault, error.permanent) == (Fault.TOO_LARGE, True)
    assert str(error) == "more than 20 tickets (`max_tickets`)"


@pytest.mark.parametrize("delay", [0.0, 0.1, 120.0])
def test_all_pages_of_a_question_share_one_deadline(delay: float) -> None:
    """Be they many, each slow, or one that never comes."""
    page = Answer(200, body=b'{"tickets": [], "next": "/again"}', delay=delay)
    with FaultServer() as server, Stopwatch() as stopwatch:
        error = endless(server, page, question_timeout=0.5, timeout=60)
        assert stopwatch.seconds < 30
    assert (error.fault, error.permanent) == (Fault.TIMEOUT, False)
    assert str(error) == "not all pages within 0.5 s (`question_timeout`)"


def test_the_window_and_the_question_are_sent() -> None:
    options = {"params": {"from": "{start}", "key": "k-e-y"}, "time_format": "iso"}
    _, [request] = fetch([], options=options, params={"to": "{end}", "tag": "checkout"})
    assert request.query == {"from": [at(60)], "key": ["k-e-y"], "to": [at(300)], "tag": ["checkout"]}


def test_what_has_not_settled_is_not_complete() -> None:
    assert fetch([], options={"settle": 30}, now=290)[0].complete_until == 260


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, r"items `@`: expected a list, found an object"),
        ([5], r"items\[0\].id: expected an id, found nothing"),
        ([{"id": 1}], r"items\[0\].created_at: expected a time"),
        ([{"id": [1], "created_at": at(61)}], r"items\[0\].id: expected an id, found a list"),
        ([{"id": True, "created_at": at(61)}], r"items\[0\].id: expected an id"),
        ([{"id": 1, "created_at": at(61)}, {"id": 2, "created_at": "yesterday"}], r"items\[1\].created_at"),
    ],
)
def test_what_is_shaped_otherwise_is_malformed(document: Any, place: str) -> None:
    with pytest.raises(ExternalError, match=place) as error:
        fetch(document)
    assert (error.value.fault, error.value.permanent) == (Fault.MALFORMED, False)


def test_words_that_are_no_text_are_left_out() -> None:
    tickets, _ = fetch([{"id": 1, "created_at": at(61), "subject": {"html": "x"}}])
    assert tickets.items[0].subject == ""
