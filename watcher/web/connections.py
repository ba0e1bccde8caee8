"""uvicorn's connection, with an end to waiting: slow, many or large requests must not shut out the others.

Its parser (llhttp) has no limits of its own, nor has uvicorn on what it reads ahead; what that may cost is set here.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from watcher.telemetry.logs import logger
from watcher.web.clients import home
from watcher.web.crowd import Crowd

HEAD_SECONDS = 10.0  # within which the whole head of a request must have come
TAKE_SECONDS = 60.0  # within which a client must have taken what waits for it, as far as it is too much to wait
MOST_HEAD = 32 * 1024  # bytes
MOST_HEADERS = 100  # each costs more memory than it has bytes
MOST_AHEAD = 8  # requests that came before the answer to the first of them
_TOO_MANY = "More requests or headers than are read."
_TOO_LONG = "The request's head is too long."
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LOG_EVERY = 60.0  # seconds: a stranger must not fill the log

# In the state of a request's scope: the status that its connection has answered by itself, over the application's head.
ANSWERED = "watcher.answered"


class PatientProtocol(HttpToolsProtocol):
    """Ends a connection whose next request does not come whole, whose answer is not taken, or whose place or memory is
    needed for others.
    """

    crowd: ClassVar[Crowd[PatientProtocol]]  # of the server: see `sharing`
    _told: ClassVar[dict[str, float]]  # why somebody was sent away -> when that was last logged
    _impatience: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None
    _in_head = False
    _head = 0  # bytes of it that came

    @classmethod
    def sharing(cls, crowd: Crowd[PatientProtocol]) -> type[PatientProtocol]:
        """The protocol of one server, whose connections share `crowd`."""
        return type(cls.__name__, (cls,), {"crowd": crowd, "_told": {}})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        super().connection_made(transport)
        self._wait_for_head()
        leaves = self.crowd.join(self, home(self.client[0] if self.client else ""))
        if leaves is not None:
            leaves.send_away("connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self)
        self._head_came()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._head += len(data)
        if self._in_head and self._head > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response(_TOO_LONG)
        if self._answering():
            self._head_came()
        else:
            self._wait_for_head()
        self._count()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_AHEAD:
            raise ValueError(_TOO_MANY)  # the parser makes a 400 of it
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a body is no header of the request: whoever has read those must not find others later.
        if self._in_head:
            if len(self.headers) >= MOST_HEADERS:
                raise ValueError(_TOO_MANY)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD:
            raise ValueError(_TOO_LONG)
        if self.url == b"*":  # of OPTIONS: no path of ours, and none that the base could read
            self.url = b"/*"
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.transport.is_closing():
            return
        super().on_body(body)
        if not self.cycle.response_complete:
            self._hold(len(body))

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.crowd.came(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # else another request of this connection waits, with its body
            self.crowd.release(self)
        self._count()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._untaken is None:
            self._untaken = self.loop.call_later(TAKE_SECONDS, self.transport.abort)
        self._count()
        self._hold(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()
        if self.cycle is not None and not self.cycle.more_body:
            self.crowd.release(self)
        self._count()

    def send_400_response(self, msg: str) -> None:
        self._answers(400)
        super().send_400_response(msg)

    def send_away(self, why: str) -> None:
        """Ends the connection, and says so if it is in the middle of a request."""
        now = self.loop.time()
        if now - self._told.get(why, -_LOG_EVERY) >= _LOG_EVERY:
            self._told[why] = now
            logger("web").warning("client_sent_away", client=home(self.client[0] if self.client else ""), why=why)
        if self._in_head or (self._answering() and not self.cycle.response_started):
            self._answers(503)
            self.transport.write(_NO_ROOM)
        self.crowd.leave(self)
        self.transport.abort()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answers(self, status: int) -> None:
        """Notes what the client is told instead of what the application will have said."""
        if self._answering() and not self.cycle.response_started:
            self.cycle.scope["state"][ANSWERED] = status

    def _count(self) -> None:
        """Says whether it is the client that waits."""
        if self._answering() and not self.cycle.more_body and self._untaken is None:
            self.crowd.go_on(self)
        else:
            self.crowd.wait(self)

    def _hold(self, size: int) -> None:
        leaves = self.crowd.hold(self, size)
        if leaves is not None:
            leaves.send_away("memory")

    def _wait_for_head(self) -> None:
        # Not begun anew by every byte: a head that drips is what this is for.
        if self._impatience is None:
            self._impatience = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _head_came(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _too_slow(self) -> None:
        self._impatience = None
        if not self._answering() and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()
