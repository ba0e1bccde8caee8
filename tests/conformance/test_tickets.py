"""What every ticket system must do, whichever service it asks: run over the whole registry.

A new ticket system is red here until it is described in `DESCRIBED`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.fault_server import FAULTS, MOST_BYTES, WIRE_FAULTS, Answer, FaultServer, expected, patience
from support.hostile import anything, assert_silent, assert_strict, echo, nearly
from support.measuring import a_signal, tools
from support.memory import DictMemory

from watcher import registry
from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.model.series import Window
from watcher.model.service import Kind
from watcher.model.tickets import Tickets
from watcher.ports import TicketSystem
from watcher.tickets.counting import CountedTickets

NOW = 1_700_000_100.0  # on the five minutes
WINDOW = Window(NOW - 3600, NOW, 300)
SECRET_CONNECTION = {"headers": {"x-api-key": "s3cret-header"}, "timeout": 60, "max_bytes": MOST_BYTES}
BASIC = {"username": "watcher", "password": "s3cret-password"}


@dataclass(frozen=True)
class Described:
    """One kind of ticket system.

    Attributes:
        ways_in: the options by which it may be told who we are.
        tickets: the service's answer that lists tickets, given their `(id, created_at)`.
        query: a question.
        hides: seconds that the service never tells of.
    """

    ways_in: Sequence[Mapping[str, Any]]
    tickets: Callable[[Sequence[tuple[str, float]]], Any]
    query: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    hides: float = 0.0


def of_request_tracker(tickets: Sequence[tuple[str, float]]) -> Any:
    items = [
        {"id": name, "type": "ticket", "Subject": "Help", "Created": clock.iso(at), "_url": f"http://rt/{name}"}
        for name, at in tickets
    ]
    return {"items": items, "count": len(items), "total": len(items), "page": 1, "pages": 1, "per_page": 100}


def of_zendesk(tickets: Sequence[tuple[str, float]]) -> Any:
    items = [
        {
            "id": int(name),
            "created_at": clock.iso(at),
            "subject": "Help",
            "description": "",
            "tags": [],
            "status": "new",
        }
        for name, at in tickets
    ]
    return {"tickets": items, "after_cursor": "c", "after_url": "u", "end_of_stream": True}


def of_json(tickets: Sequence[tuple[str, float]]) -> Any:
    return {"tickets": [{"id": name, "created_at": clock.iso(at), "subject": "Help"} for name, at in tickets]}


DESCRIBED = {
    "request_tracker": Described(ways_in=(BASIC, {"token": "s3cret-token"}), tickets=of_request_tracker),
    "zendesk": Described(
        ways_in=({"user": "watcher", "token": "s3cret-token"}, {"bearer_token": "s3cret-token"}),
        tickets=of_zendesk,
        hides=60,
    ),
    "http_json": Described(
        ways_in=(BASIC, {"bearer_token": "s3cret-token"}),
        tickets=of_json,
        options={"items": "tickets", "next": "next", "params": {"key": "s3cret-param"}},
    ),
}


def test_every_ticket_system_is_described() -> None:
    assert DESCRIBED.keys() == set(registry.kinds("ticket_systems"))


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


@dataclass
class Asked:
    """One kind of ticket system in front of the server, at `now`."""

    kind: str
    server: FaultServer
    way_in: int = 0
    now: float = NOW

    def __post_init__(self) -> None:
        self.described = DESCRIBED[self.kind]
        self.system = self.make()

    def options(self, **more: Any) -> Any:
        settings = {"url": self.server.url} | SECRET_CONNECTION | dict(self.described.options)
        settings |= dict(self.described.ways_in[self.way_in]) | more
        return registry.adapter("ticket_systems", self.kind).Options.model_validate(settings)

    def make(self, **more: Any) -> TicketSystem:
        made: TicketSystem = registry.adapter("ticket_systems", self.kind)(
            "desk", self.options(**more), tools(lambda: self.now)
        )
        return made

    def ask(self, window: Window = WINDOW) -> Tickets:
        return self.system.fetch(self.described.query, window)

    def lists(self, *tickets: tuple[str, float]) -> None:
        self.server.answer = lambda _request: Answer.of(self.described.tickets(tickets))


@pytest.fixture(params=sorted(DESCRIBED))
def asked(request: pytest.FixtureRequest, server: FaultServer) -> Asked:
    server.requests.clear()
    return Asked(request.param, server)


def outcome(asked: Asked) -> Tickets | ExternalError:
    try:
        return asked.ask()
    except ExternalError as error:
        return error


def assert_sound(tickets: Tickets, window: Window, now: float) -> None:
    assert all(window.start < ticket.created_at <= window.end for ticket in tickets.items)
    assert all(isinstance(ticket.id, str) and ticket.id for ticket in tickets.items)
    assert np.isfinite(tickets.complete_until)
    assert tickets.complete_until <= min(window.end, now)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_told_as_what_it_is(asked: Asked, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    asked.system = asked.make(timeout=patience(fault))
    asked.server.answer = lambda _request: FAULTS[fault]
    found = outcome(asked)
    if isinstance(found, ExternalError):
        assert (found.fault, found.permanent) == expected(fault)
        assert fault != "rate_limited" or found.retry_after == 7
        assert_silent(found, found.__cause__, caplog.text)
    else:
        assert fault not in WIRE_FAULTS, "a fault of the wire cannot be an answer"
        assert_sound(found, WINDOW, NOW)
        assert not found.items


@pytest.mark.parametrize("fault", ["status_500", "reset", "empty", "rate_limited"])
def test_a_fault_is_never_a_count_of_zero(asked: Asked, fault: str) -> None:
    asked.server.answer = lambda _request: FAULTS[fault]
    counted = CountedTickets(asked.system, DictMemory())
    signal = a_signal(Kind.COUNT, 300, is_tickets=True, **asked.described.query)
    with pytest.raises(ExternalError):
        counted.fetch(signal, WINDOW)
    asked.now += 120
    asked.lists(("1", NOW - 1000))
    assert counted.fetch(signal, WINDOW).values.sum() == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("way_in", [0, 1])
def test_no_secret_is_in_what_it_says_even_if_the_service_repeats_it(
    asked: Asked, way_in: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked(asked.kind, asked.server, way_in)
    asked.server.answer = echo(status)
    with pytest.raises(ExternalError) as error:
        asked.ask()
    assert_silent(error.value, error.value.__cause__, caplog.text, asked.system, asked.options())
    assert len(str(error.value)) < 400
    sent = asked.server.requests[-1].headers
    assert sent["x-api-key"] == "s3cret-header", "it was sent, only not told"
    assert sent["authorization"]


def test_a_service_that_is_not_there_may_be_asked_again(asked: Asked) -> None:
    asked.system = asked.make(url="http://127.0.0.1:9/x")
    with pytest.raises(ExternalError) as error:
        asked.ask()
    assert (error.value.fault, error.value.permanent) == (Fault.CONNECTION, False)


def test_no_ticket_is_an_answer(asked: Asked) -> None:
    asked.lists()
    tickets = asked.ask()
    assert tickets.items == ()
    assert NOW - asked.described.hides - 15 <= tickets.complete_until <= NOW - asked.described.hides


def test_tickets_of_the_window_and_no_others_are_listed(asked: Asked) -> None:
    window = Window(NOW - 1200, NOW - 600, 300)
    times = {"1": NOW - 1200, "2": NOW - 1199, "3": NOW - 600, "4": NOW - 599}
    asked.lists(*times.items())
    tickets = asked.ask(window)
    assert {ticket.id: ticket.created_at for ticket in tickets.items} == {"2": NOW - 1199, "3": NOW - 600}
    assert tickets.complete_until == window.end
    assert_sound(tickets, window, NOW)


def test_what_has_not_settled_is_not_complete(asked: Asked) -> None:
    asked.system = asked.make(settle=600)
    asked.lists()
    assert asked.ask().complete_until == NOW - 600 - asked.described.hides


def test_its_options_and_queries_are_strict_and_described(asked: Asked) -> None:
    adapter = registry.adapter("ticket_systems", asked.kind)
    for way_in in asked.described.ways_in:
        good = {"url": asked.server.url} | SECRET_CONNECTION | dict(asked.described.options) | dict(way_in)
        assert_strict(adapter.Options, good)
    assert_strict(adapter.Query, dict(asked.described.query))
    with pytest.raises(ValidationError):
        asked.options(unknown=1)
    with pytest.raises(ValidationError):
        adapter.Query.model_validate({"unknown": 1})


def fuzz(asked: Asked, document: Any) -> None:
    asked.server.answer = lambda _request: Answer(
        200, {"content-type": "application/json"}, json.dumps(document).encode()
    )
    found = outcome(asked)
    if isinstance(found, ExternalError):
        assert found.fault in {Fault.MALFORMED, Fault.RATE_LIMITED, Fault.TOO_LARGE, Fault.STATUS}
    else:
        assert_sound(found, WINDOW, NOW)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(document=anything)
def test_no_answer_makes_it_raise_anything_else(asked: Asked, document: Any) -> None:
    fuzz(Asked(asked.kind, asked.server), document)


@pytest.mark.parametrize("kind", sorted(DESCRIBED))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_nearly_right_answer_makes_it_raise_anything_else(
    kind: str, server: FaultServer, data: st.DataObject
) -> None:
    good = DESCRIBED[kind].tickets([("1", NOW - 900), ("2", NOW - 800)])
    fuzz(Asked(kind, server), data.draw(nearly(good)))
