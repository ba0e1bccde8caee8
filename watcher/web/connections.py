"""uvicorn's connection, with an end to waiting: slow or many connections of one client must not shut out the others.

Its parser (llhttp) has no limits of its own; what a head may cost is set here.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0  # within which the whole head of a request must have come
MOST_CONNECTIONS = 1000
MOST_FROM_ONE = 500
MOST_HEAD = 32 * 1024  # bytes
_TOO_LONG = "The request's head is too long."
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """Ends a connection whose next request does not come whole, and the newest of a client that has too many."""

    _impatience: asyncio.TimerHandle | None = None
    _in_head = False
    _head = 0  # bytes of it that came

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        super().connection_made(transport)
        if self._from_one() > MOST_FROM_ONE:
            transport.abort()
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head += len(data)
        if self._in_head and self._head > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response(_TOO_LONG)
        if self._answering():
            self._head_came()
        else:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a body is no header of the request: whoever has read those must not find others later.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD:
            raise ValueError(_TOO_LONG)  # the parser makes a 400 of it
        if self.url == b"*":  # of OPTIONS: no path of ours, and none that the base could read
            self.url = b"/*"
        super().on_headers_complete()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _from_one(self) -> int:
        own = self.client[0] if self.client else None
        clients = (getattr(other, "client", None) for other in self.connections)
        return sum(1 for client in clients if client is not None and client[0] == own)

    def _wait_for_head(self) -> None:
        # Not begun anew by every byte: a head that drips is what this is for.
        if self._impatience is None:
            self._impatience = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _head_came(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _too_slow(self) -> None:
        self._impatience = None
        if not self._answering() and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()
