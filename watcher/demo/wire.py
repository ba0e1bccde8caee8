"""HTTP for the demo's own small servers and calls, on the standard library: the demo stands outside the product."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a route sees it; header names are lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: `body` is sent as it is if it is text, else as JSON."""

    status: int
    body: Any
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


Route = Callable[[Request], Answer]


@dataclass(slots=True)
class Server:
    """A server on a free loopback port; a route whose path ends in `/` takes everything below it."""

    routes: Mapping[tuple[str, str], Route]
    _http: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        routes = self.routes

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(parts.path, dict(parse_qsl(parts.query)), headers, body)
                answer = _route(routes, self.command, request)
                content = answer.encoded()
                self.send_response(answer.status)
                self.send_header("content-type", answer.content_type)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _serve  # noqa: N815 (the names are the library's)

            def log_message(self, *_: object) -> None:
                """Says nothing: the terminal belongs to the story."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> None:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _route(routes: Mapping[tuple[str, str], Route], method: str, request: Request) -> Answer:
    head, slash, _ = request.path.rpartition("/")
    route = routes.get((method, request.path)) or routes.get((method, head + slash))
    return route(request) if route else Answer(404, {"error": f"no such page: {method} {request.path}"})


class CallError(Exception):
    """A call that was not answered, or not with success."""


def call(
    method: str, url: str, *, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 10.0
) -> bytes:
    """One exchange on loopback; the answer's body.

    Raises:
        CallError: no answer, or a status of 400 and more; the text holds the status and the answer's beginning.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(
            method,
            parts.path + (f"?{parts.query}" if parts.query else ""),
            body=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", **(headers or {})},
        )
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException) as error:
        raise CallError(f"{method} {parts.path}: {error!r}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise CallError(f"{method} {parts.path}: {answer.status} {content[:300].decode(errors='replace')}")
    return content


def call_json(
    method: str, url: str, *, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 10.0
) -> Any:
    """As `call`; the answer as JSON."""
    content = call(method, url, body=body, headers=headers, timeout=timeout)
    try:
        return json.loads(content)
    except ValueError as error:
        raise CallError(f"{method} {urlsplit(url).path}: the answer is no JSON") from error
