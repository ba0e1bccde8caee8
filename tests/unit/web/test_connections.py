"""Clients that are slow on purpose, and clients that take every connection."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator

import psutil
import pytest
from support.seeded_store import Seeded
from support.web_server import HOOK_TOKEN, Running, serving_seeded

from watcher.web import connections, middleware, server
from watcher.web.crowd import MOST_HELD

_PATIENCE = 0.4  # of the server
_SOON = 60.0
_PROOF = {"authorization": f"Bearer {HOOK_TOKEN}"}
_DEPLOY = {"service": "checkout", "environment": "production", "version": "v99"}
_HALF_A_BODY = b"POST /hooks/acme-github HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n{"


@pytest.fixture
def hasty(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(connections, "HEAD_SECONDS", _PATIENCE)
    monkeypatch.setattr(middleware, "_BODY_SECONDS", _PATIENCE)
    return daemon


@contextlib.contextmanager
def _connected(running: Running, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    address = ("127.0.0.1", running.server.port)
    with socket.create_connection(address, timeout=60, source_address=(source, 0)) as connection:
        yield connection


def _until_closed(connection: socket.socket, drip: bytes = b"") -> tuple[bytes, float]:
    """What came until the other side closed, while `drip` is sent again and again; and how long that took."""
    began, answer = time.monotonic(), b""
    connection.settimeout(0.05)
    while time.monotonic() - began < _SOON:
        try:
            if drip:
                connection.sendall(drip)
            part = connection.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            break
        if not part:
            break
        answer += part
    return answer, time.monotonic() - began


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"])
@pytest.mark.parametrize("drip", [b"", b"x-a: b\r\n"])
def test_a_head_that_does_not_come_whole_is_not_waited_for(hasty: Running, begun: bytes, drip: bytes) -> None:
    with _connected(hasty) as connection:
        connection.sendall(begun)
        answer, seconds = _until_closed(connection, drip if begun else b"")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert seconds < _SOON


def test_nor_is_the_head_of_a_second_request(hasty: Running) -> None:
    with _connected(hasty) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        answer, seconds = _until_closed(connection, b"GET /healthz HTTP/1.1\r\nx-a: ")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert seconds < _SOON


@pytest.mark.parametrize(
    "path", ["/hooks/acme-github", "/api/v1/deploys", "/api/v1/watches/w-0043/approve", "/sign-in"]
)
@pytest.mark.parametrize("kind", ["content-length: 5000", "transfer-encoding: chunked"])
def test_a_body_that_drips_is_refused_wherever_it_is_read(hasty: Running, path: str, kind: str) -> None:
    drip = b" " if "length" in kind else b"1\r\n \r\n"
    with _connected(hasty) as connection:
        host = f"127.0.0.1:{hasty.server.port}"
        head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{kind}\r\n\r\n"
        connection.sendall(head.encode())
        answer, seconds = _until_closed(connection, drip)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert seconds < _SOON


def test_a_slow_answer_is_no_slow_request(hasty: Running) -> None:
    """Whoever waits for an answer longer than a head may take is let wait."""
    with _connected(hasty) as connection:
        began = time.monotonic()
        connection.sendall(
            b"GET /api/v1/watches/w-0044?wait=1.5 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - began > 1


def test_an_endless_head_is_cut_off(daemon: Running) -> None:
    with _connected(daemon) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 4 * connections.MOST_HEAD)
        answer, _ = _until_closed(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")


def test_a_long_head_in_one_piece_is_refused(daemon: Running) -> None:
    with _connected(daemon) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * connections.MOST_HEAD + b"\r\n\r\n")
        answer, _ = _until_closed(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert daemon.get("/healthz").status == 200


def test_what_follows_a_body_proves_nothing(daemon: Running) -> None:
    """A header after the body came too late to be counted as an attempt to prove something."""
    head = b"POST /hooks/pipeline HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    with _connected(daemon) as connection:
        connection.sendall(head + b"2\r\n{}\r\n")
        time.sleep(0.1)
        connection.sendall(b"0\r\nauthorization: Bearer %s\r\n\r\n" % HOOK_TOKEN.encode())
        answer, _ = _until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_headers_without_number_are_refused(daemon: Running) -> None:
    with _connected(daemon) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"a:\r\n" * connections.MOST_HEADERS + b"\r\n")
        answer, _ = _until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_requests_are_not_taken_in_without_end_before_the_first_is_answered(daemon: Running) -> None:
    asked = 2000
    with _connected(daemon) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n" * asked)
        answer, _ = _until_closed(connection)
    assert b"HTTP/1.1 400 " in answer
    assert answer.count(b"HTTP/1.1 200 ") < asked / 10


def test_an_answer_that_is_not_taken_is_not_kept_for_ever(seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TAKE_SECONDS", _PATIENCE)
    huge = b"x" * (32 << 20)
    with serving_seeded(seeded, metrics=lambda _accept: (huge, "text/plain")) as running, _connected(running) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(_PATIENCE + 1.0)
        answer, _ = _until_closed(client)
        assert len(answer) < len(huge)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nx-a: ", _HALF_A_BODY], ids=["silent", "head", "body"])
def test_connections_that_keep_us_waiting_never_shut_out_others(daemon: Running, begun: bytes) -> None:
    """More than there may be, from several addresses, each fewer than all: liveness is answered, and so is a deploy."""
    with contextlib.ExitStack() as stack:
        for number in range(1200):
            taken = stack.enter_context(_connected(daemon, f"127.0.0.{2 + number % 4}"))
            with contextlib.suppress(OSError):
                taken.sendall(begun)
            if number % 100 == 99 and number >= 900:
                assert daemon.get("/healthz").status == 200
                assert daemon.post("/hooks/pipeline", _DEPLOY, headers=_PROOF).status in (200, 202)


def test_those_who_wait_for_an_answer_keep_their_place_and_liveness_too(
    seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    with serving_seeded(seeded) as running, contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(_connected(running)) for _ in range(16)]
        for one in waiting:
            one.sendall(b"GET /api/v1/watches/w-0044?wait=4 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        time.sleep(0.5)
        for _ in range(30):
            stack.enter_context(_connected(running))
        assert running.get("/healthz").status == 200
        refused = running.get("/readyz")
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert all(one.recv(15) == b"HTTP/1.1 200 OK" for one in waiting)
        assert running.get("/readyz").status == 200, "as soon as there is room"


def test_half_a_body_of_everybody_does_not_fill_the_memory(seeded: Seeded) -> None:
    half, many = b" " * (900 * 1024), 300
    process = psutil.Process()
    with serving_seeded(seeded, max_body=1 << 20) as running, contextlib.ExitStack() as stack:
        before = process.memory_info().rss
        for number in range(many):
            path = "/hooks/acme-github" if number % 2 else "/api/v1/deploys"
            taken = stack.enter_context(_connected(running))
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {1 << 20}\r\n\r\n"
            with contextlib.suppress(OSError):
                taken.sendall(head.encode() + half)
        assert process.memory_info().rss - before < 3 * MOST_HELD < len(half) * many
        assert running.post("/hooks/pipeline", _DEPLOY, headers=_PROOF).status == 202, "a small body always has room"


@pytest.mark.parametrize(("path", "route"), [("/hooks/acme-github", "/hooks/{name}"), ("/api/v1/deploys", "")])
def test_who_is_sent_away_for_the_memory_is_counted_by_what_it_was_told(daemon: Running, path: str, route: str) -> None:
    half = b" " * 60_000
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(half) + 1}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(_connected(daemon)) for _ in range(MOST_HELD // len(half) + 1)]
        for one in taken:
            one.sendall(head + half)
        assert daemon.saw(route or path, "POST", 503)
        assert [one.recv(12) for one in _told(taken)] == [b"HTTP/1.1 503"]
        assert not [status for *_, status in daemon.observed if status == 499]


def _told(connections: list[socket.socket]) -> list[socket.socket]:
    """Those to which something came."""
    poll, by_number = select.poll(), {one.fileno(): one for one in connections}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(60_000)]


def test_a_body_in_broken_pieces_is_counted_as_the_400_that_it_got(daemon: Running) -> None:
    with _connected(daemon) as connection:
        connection.sendall(b"POST /hooks/acme-github HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(b"no length\r\n")
        answer, _ = _until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert daemon.saw("/hooks/{name}", "POST", 400)


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/watches/w-0043/approve", "/api/v1/watches/w-0043/approve"])
def test_what_people_write_is_short(daemon: Running, path: str) -> None:
    assert daemon.ask("POST", path, body=b"x" * 9000).status == 413


def test_without_a_right_token_no_body_is_waited_for(daemon: Running) -> None:
    with _connected(daemon) as connection:
        connection.sendall(
            b"POST /hooks/pipeline HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-length: 5000\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
