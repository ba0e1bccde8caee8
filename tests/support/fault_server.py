"""A real HTTP server on loopback that answers as it is told, faults of the wire included.

with FaultServer() as server:
    server.answer = lambda request: Answer(status=429, headers={"retry-after": "7"})
    client.get(server.url)
    assert server.requests[0].path == "/"
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from watcher.errors import Fault


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. Header names are lower case; `query` is parsed, every value a list."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back.

    Attributes:
        delay: seconds to wait before anything is sent.
        truncate: promise the whole body, send half of it, close.
        drip: seconds to wait after every byte of the body.
        drip_headers: seconds to wait after every byte of an endless header.
        endless: send so many bytes of body, without saying how many, until the client goes away.
        reset: close the connection with a TCP reset instead of answering.
        garbage: these raw bytes instead of an HTTP answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    truncate: bool = False
    drip: float = 0.0
    drip_headers: float = 0.0
    endless: int = 0
    reset: bool = False
    garbage: bytes | None = None

    @classmethod
    def of(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """`value` as a JSON answer."""
        return cls(status, {"content-type": "application/json"} | dict(headers or {}), json.dumps(value).encode())


_PIECE = 64 * 1024


class FaultServer:
    """A threaded server; `requests` holds what came in, `answer` decides what goes out."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.sent = 0  # bytes of endless bodies
        self.answer: Callable[[Request], Answer] = lambda _request: Answer(404)
        self.now: Callable[[], float] = time.time  # for the Date of its answers
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them, so no socket outlives the test
    request_queue_size = 64
    owner: FaultServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is a test's business, not the console's."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 300.0

    def _serve(self) -> None:
        owner = self.server.owner
        url = urlsplit(self.path)
        request = Request(
            self.command,
            url.path,
            parse_qs(url.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("content-length") or 0)),
        )
        owner.requests.append(request)
        answer = owner.answer(request)
        self.close_connection = True
        owner.stopping.wait(answer.delay)
        with contextlib.suppress(ConnectionError):
            self._send(answer, owner.stopping)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 -- the base class looks them up

    def _send(self, answer: Answer, stopping: threading.Event) -> None:
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if answer.garbage is not None:
            self.wfile.write(answer.garbage)
            return
        if answer.drip_headers:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-endless: ")
            while not stopping.wait(answer.drip_headers):
                self.wfile.write(b"x")
            return
        self._send_head(answer)
        for _ in range(0, answer.endless, _PIECE):
            self.wfile.write(b"9" * _PIECE)
            self.server.owner.sent += _PIECE
        body = answer.body[: len(answer.body) // 2] if answer.truncate else answer.body
        if not answer.drip:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            if stopping.wait(answer.drip):
                return

    def _send_head(self, answer: Answer) -> None:
        usual = {"date": self.date_time_string(), "connection": "close"}
        usual |= {} if answer.endless else {"content-length": str(len(answer.body))}
        self.send_response_only(answer.status)
        for name, value in (usual | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.owner.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
        """Silent."""


_JSON = {"content-type": "application/json"}

WIRE_FAULTS: dict[str, Answer] = {
    **{f"status_{status}": Answer(status, _JSON, b"{}") for status in (*range(400, 407), 408, 409, 410, 413, 415)},
    **{f"status_{status}": Answer(status, _JSON, b"{}") for status in (418, 421, 422, 423, 424, 425, 428, 431, 451)},
    **{f"status_{status}": Answer(status, _JSON, b"{}") for status in (500, 501, 502, 503, 504, 507, 508, 511, 599)},
    "rate_limited": Answer(429, _JSON | {"retry-after": "7"}, b"{}"),
    "rate_limited_without_a_time": Answer(429, _JSON, b"{}"),
    "rate_limited_unreadably": Answer(429, _JSON | {"retry-after": "soon"}, b"{}"),
    "unavailable_retry_after": Answer(503, _JSON | {"retry-after": "30"}, b"{}"),
    **{
        f"redirect_{status}": Answer(status, {"location": "http://127.0.0.1:9/elsewhere"})
        for status in (301, 302, 303, 307, 308)
    },
    "timeout": Answer(200, _JSON, b"{}", delay=120.0),
    "drip": Answer(200, _JSON, b'{"a": "' + b"x" * 4000 + b'"}', drip=0.05),
    "truncated": Answer(200, _JSON, b'{"a": "' + b"x" * 4000 + b'"}', truncate=True),
    "huge": Answer(200, _JSON, b'{"a": "' + b"x" * (3 * 1024 * 1024) + b'"}'),
    "reset": Answer(reset=True),
    "closed": Answer(garbage=b""),
    "garbage": Answer(garbage=b"\x16\x03\x01\x02\x00\x01\x00 this is not HTTP\r\n\r\n"),
}

# Answers of status 200 whose body a reader of JSON cannot use; those who do not read the body may accept them.
BODY_FAULTS: dict[str, Answer] = {
    "empty": Answer(200, _JSON, b""),
    "html": Answer(200, {"content-type": "text/html"}, b"<!doctype html><title>Sign in</title>"),
    "half_json": Answer(200, _JSON, b'{"status": "success", "data": {"res'),
    "not_utf8": Answer(200, _JSON, b'{"status": "\xff\xfe"}'),
    "deep_json": Answer(200, _JSON, b"[" * 200_000),
    **{
        f"json_{name}": Answer.of(value)
        for name, value in {
            "null": None,
            "number": 17,
            "string": "success",
            "true": True,
            "list": ["success", 1, None],
            "empty_object": {},
            "empty_list": [],
            "wrong_types": {"status": ["success"], "data": "result", "results": 5, "tickets": {}, "items": "no"},
        }.items()
    },
}

FAULTS: dict[str, Answer] = WIRE_FAULTS | BODY_FAULTS
MOST_BYTES = 1 << 20  # that a client in kits that use these should take of a body


def patience(name: str) -> float:
    """Seconds that a client should allow an exchange: few only where running out of time is the fault.

    Many elsewhere, because the machine may stall for seconds; and these two faults take minutes, for the same reason.
    """
    return 0.5 if name in {"timeout", "drip"} else 60.0


_RETRIED = frozenset({408, 409, 423, 425, 429})


def expected(name: str) -> tuple[Fault, bool]:
    """`(fault, permanent)` that a wire fault must be told as, or a body fault by whoever reads JSON."""
    answer = FAULTS[name]
    if name in BODY_FAULTS:
        return Fault.MALFORMED, False
    if answer.status >= 400:
        fault = {401: Fault.UNAUTHORIZED, 403: Fault.UNAUTHORIZED, 429: Fault.RATE_LIMITED}
        return fault.get(answer.status, Fault.STATUS), answer.status < 500 and answer.status not in _RETRIED
    if answer.status >= 300:
        return Fault.REDIRECT, True
    return {
        "timeout": (Fault.TIMEOUT, False),
        "drip": (Fault.TIMEOUT, False),
        "huge": (Fault.TOO_LARGE, True),
    }.get(name, (Fault.CONNECTION, False))
