"""What the one door for HTTP keeps out: answers without an end, other addresses, clocks that are off."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.fault_server import Answer, FaultServer
from support.programs import require

from watcher.errors import ExternalError, Fault
from watcher.kit import http_dates
from watcher.kit.http import Connection, HttpClient
from watcher.sources.http_json import HttpJsonOptions


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


def failing(server: FaultServer, answer: Answer, url: str = "", **connection: Any) -> ExternalError:
    server.answer = lambda _request: answer
    with pytest.raises(ExternalError) as error:
        HttpClient(Connection(**connection)).request("GET", url or server.url)
    return error.value


@pytest.mark.parametrize(
    "answer",
    [Answer(drip_headers=0.02), Answer(200, body=b"x" * 6000, drip=0.02), Answer(delay=120)],
    ids=["headers drip", "body drips", "nothing comes"],
)
def test_the_limit_is_one_on_the_whole_exchange(server: FaultServer, answer: Answer) -> None:
    began = time.monotonic()
    error = failing(server, answer, timeout=0.4)
    assert error.fault is Fault.TIMEOUT
    assert error.sent
    assert time.monotonic() - began < 60


def test_a_gigabyte_is_not_read(server: FaultServer) -> None:
    tracemalloc.start()
    try:
        error = failing(server, Answer(endless=1 << 30), max_bytes=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (error.fault, error.permanent) == (Fault.TOO_LARGE, True)
    assert peak < 8 << 20
    assert server.sent < 64 << 20


def test_a_promise_of_too_much_is_enough(server: FaultServer) -> None:
    answer = Answer(200, {"content-length": "1073741824"}, b"x" * 120, drip=1.0)  # who reads on times out
    assert failing(server, answer, timeout=60, max_bytes=1 << 20).fault is Fault.TOO_LARGE


def test_headers_that_contradict_each_other_were_an_answer_all_the_same(server: FaultServer) -> None:
    answer = Answer(garbage=b"HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\n")
    error = failing(server, answer)
    assert (error.fault, error.sent) == (Fault.MALFORMED, True)


def test_what_speaks_no_tls_is_told_so(server: FaultServer) -> None:
    error = failing(server, Answer(), server.url.replace("http:", "https:"))
    assert (error.fault, error.sent) == (Fault.TLS, False)


@contextmanager
def breaking_tls(folder: Path) -> Iterator[tuple[str, Path, list[bytes]]]:
    """A server that answers one request over TLS with what is no TLS: its address, its certificate, the request."""
    (openssl,) = require("openssl")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run([openssl, *made, *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    received: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(listening.accept()[0], server_side=True) as taken:
            received.append(taken.recv(65536))
            with socket.socket(fileno=os.dup(taken.fileno())) as plain:
                plain.sendall(b"no TLS at all" * 10)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        thread = Thread(target=serve, args=(listening,))
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/rollback", certificate, received
        thread.join()


def test_tls_that_breaks_after_the_request_says_that_it_may_have_arrived(tmp_path: Path) -> None:
    with breaking_tls(tmp_path) as (url, certificate, received):
        client = HttpClient(Connection(ca_file=str(certificate)))
        with pytest.raises(ExternalError) as error:
            client.request("POST", url)
    assert received[0].startswith(b"POST /rollback")
    assert (error.value.fault, error.value.permanent, error.value.sent) == (Fault.TLS, False, True)


def test_a_certificate_that_is_not_trusted_stops_the_request(tmp_path: Path) -> None:
    with breaking_tls(tmp_path) as (url, _, received), pytest.raises(ExternalError) as error:
        HttpClient(Connection()).request("POST", url)
    assert (error.value.fault, error.value.sent, received) == (Fault.TLS, False, [])


@pytest.mark.parametrize(
    "location", ["/other", "http://169.254.169.254/latest", "http://127.0.0.1:9/", "file:///etc/passwd"]
)
def test_no_redirect_is_followed(server: FaultServer, location: str) -> None:
    error = failing(server, Answer(302, {"location": location}))
    assert (error.fault, error.permanent) == (Fault.REDIRECT, True)
    assert len(server.requests) == 1
    assert location not in str(error)


@pytest.mark.parametrize("change", [("127.0.0.1", "localhost"), ("http:", "https:"), ("127.0.0.1", "127.0.0.1:9/@")])
def test_only_the_configured_address_is_asked(server: FaultServer, change: tuple[str, str]) -> None:
    server.answer = lambda _request: Answer.of({})
    client = HttpClient(HttpJsonOptions(url=f"{server.url}/points"))
    assert client.request("GET", f"{server.url}/another/path?page=2").status == 200
    with pytest.raises(ExternalError) as error:
        client.request("GET", server.url.replace(*change))
    assert (error.value.fault, error.value.permanent, error.value.sent) == (Fault.FORBIDDEN_ADDRESS, True, False)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("7", 0, 7),
        ("0", 0, 0),
        (30, 0, 30),
        (30, -3600, 30),  # by its own clock, which is off
        (30, 3600, 30),
        (-30, 0, 0),
        ("soon", 0, None),
        ("-5", 0, None),
        ("1" * 400, 0, None),
    ],
)
def test_retry_after(server: FaultServer, said: str | int, date: float, seconds: float | None) -> None:
    its_time = time.time() + date
    text = said if isinstance(said, str) else formatdate(its_time + said, usegmt=True)
    error = failing(server, Answer(429, {"retry-after": text, "date": formatdate(its_time, usegmt=True)}))
    assert error.fault is Fault.RATE_LIMITED
    assert error.retry_after == (None if seconds is None else pytest.approx(seconds, abs=1.1))


@pytest.mark.parametrize(
    ("headers", "behind"),
    [
        ({}, 0),
        ({"date": "yesterday"}, 0),
        ({"date": -300}, 300),
        ({"date": 300}, -300),
        ({"date": -300, "age": "299"}, 1),
        ({"date": -300, "age": "old"}, 0),
    ],
)
def test_a_servers_clock(headers: dict[str, Any], behind: float) -> None:
    written = {
        name: formatdate(time.time() + value, usegmt=True) if isinstance(value, int) else value
        for name, value in headers.items()
    }
    assert http_dates.clock_behind(written) == pytest.approx(behind, abs=1.1)


def test_a_clock_that_is_a_little_off_only_makes_data_late() -> None:
    assert http_dates.lag(1.5) == 0
    assert http_dates.lag(-45) == 0
    assert http_dates.lag(45) == 45
    for far in (61, -61):
        with pytest.raises(ExternalError) as error:
            http_dates.lag(far)
        assert error.value.fault is Fault.CLOCK_OFF
