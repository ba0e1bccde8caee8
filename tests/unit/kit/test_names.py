"""A resolver that never answers holds nobody for longer than the request may take, and one thread at most."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.fault_server import Answer, FaultServer

from watcher.errors import ExternalError, Fault
from watcher.kit import names
from watcher.kit.http import Connection, HttpClient

NAME = "metrics.example"


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set the system's resolver does not answer; then every name is this machine."""
    event, real = threading.Event(), socket.getaddrinfo

    def resolve(_host: str, port: int, *_arguments: Any, **more: Any) -> Any:
        event.wait(60)
        return real("127.0.0.1", port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield event
    event.set()


def waiting() -> int:
    return sum(thread.name == f"resolve {NAME}" for thread in threading.enumerate())


def test_a_name_that_is_not_resolved_is_a_connection_that_is_not_made_in_time(answered: threading.Event) -> None:
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(ExternalError, match=rf"^{NAME}: no connection in time$") as told:
            HttpClient(Connection(timeout=0.2)).request("GET", f"http://{NAME}:9/")
        assert (told.value.fault, told.value.sent, told.value.permanent) == (Fault.TIMEOUT, False, False)
    assert time.monotonic() - began < 30
    assert waiting() == 1, "who asks again waits for the same answer"
    answered.set()


def test_who_asks_while_it_is_being_resolved_gets_the_answer_too(answered: threading.Event) -> None:
    with FaultServer() as server:
        server.answer = lambda _request: Answer(200, body=b"{}")
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(TimeoutError):
            names.addresses(NAME, port, 0.05)
        threading.Timer(0.3, answered.set).start()
        assert HttpClient(Connection(timeout=30)).request("GET", f"http://{NAME}:{port}/").status == 200
    assert not waiting()


def test_all_addresses_of_a_name_share_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them takes no connections: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        one = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: [one] * 200)
        began = time.monotonic()
        with pytest.raises(ExternalError) as told:
            HttpClient(Connection(timeout=0.3)).request("GET", f"http://{NAME}:{port}/")
        assert told.value.fault is Fault.TIMEOUT
        assert time.monotonic() - began < 30  # each for itself: 60
        for filler in fillers:
            filler.close()


def test_a_name_that_is_not_known_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: Any, **_more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ExternalError, match=rf"^{NAME}: no connection$") as told:
        HttpClient(Connection()).request("GET", f"http://{NAME}/")
    assert (told.value.fault, told.value.sent) == (Fault.CONNECTION, False)
