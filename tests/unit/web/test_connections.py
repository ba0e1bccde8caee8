"""Clients that are slow on purpose, and clients that take every connection."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from support.web_server import HOOK_TOKEN, Running

from watcher.web import connections, middleware

_PATIENCE = 0.4  # of the server
_SOON = 60.0


@pytest.fixture
def hasty(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(connections, "HEAD_SECONDS", _PATIENCE)
    monkeypatch.setattr(middleware, "_BODY_SECONDS", _PATIENCE)
    return daemon


@contextlib.contextmanager
def _connected(running: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", running.server.port), timeout=60) as connection:
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


@pytest.mark.parametrize("path", ["/hooks/pipeline", "/api/v1/deploys", "/api/v1/watches/w-0043/approve", "/sign-in"])
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


def test_one_client_cannot_take_every_connection(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_FROM_ONE", 5)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(_connected(daemon))
        with pytest.raises(OSError, match=r"reset|closed|Remote"):
            daemon.get("/healthz")
    assert _status(daemon) == 200


def _status(running: Running) -> int:
    """The status once the server has noticed that connections are closed."""
    until = time.monotonic() + _SOON
    while True:
        try:
            return running.get("/healthz").status
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)
