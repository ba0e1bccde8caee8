"""Connections that keep to one limit for being made, and to one for a whole answer.

The system resolves names in its own time, and each of a name's addresses would be given the whole limit. A socket's
time-out starts anew with every byte, and `http.client` reads an answer's headers byte by byte if they come so: headers
that drip would outlast every limit. Here each step waits only for what is left of the limit.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPResponse
from typing import Any

from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
)

from watcher.kit import clock, names


def limit(pools: PoolManager) -> None:
    """Makes the connections of `pools` keep to their read time-out as a limit on the whole answer."""
    pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class BrokenTlsError(ProtocolError):
    """TLS failed while a request was sent or its answer read."""


class _Reader(io.RawIOBase):
    """Reads `sock` until `deadline` (monotonic seconds), then raises `TimeoutError`."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline
        self._raw = sock.makefile("rb", buffering=0)  # it keeps the socket open until it is closed itself

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """As much of a socket as an answer needs."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline))


def _answer(deadline: float, sock: socket.socket, *arguments: Any, **more: Any) -> HTTPResponse:
    return HTTPResponse(_Socket(sock, deadline), *arguments, **more)  # type: ignore[arg-type]  # it only makes a file of it


def _connected(connection: HTTPConnection) -> socket.socket:
    """A socket to any of the host's addresses, all of them tried within the connection's limit."""
    deadline = None if connection.timeout is None else clock.monotonic() + connection.timeout
    failed: OSError = OSError("the name has no address")
    try:
        for family, kind, protocol, _, address in names.addresses(
            _name(connection), connection.port, connection.timeout
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(_left(deadline))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failed = error
            else:
                return sock
        raise failed
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection to {connection.host} in time") from error
    except OSError as error:
        raise NewConnectionError(connection, f"no connection: {error}") from error


def _name(connection: HTTPConnection) -> str:
    name = connection._dns_host.strip("[]")  # noqa: SLF001  # with its final dot, which `host` is without
    try:
        name.encode("idna")
    except UnicodeError:
        raise LocationParseError(f"'{name}', label empty or too long") from None
    return name


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - clock.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Http(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)

    def getresponse(self) -> Any:
        if self.timeout is not None:
            self.response_class = partial(_answer, clock.monotonic() + self.timeout)  # type: ignore[assignment]
        return super().getresponse()


class _Https(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)

    def request(self, *arguments: Any, **more: Any) -> None:
        with _after_the_handshake():
            super().request(*arguments, **more)

    def getresponse(self) -> Any:
        if self.timeout is not None:
            self.response_class = partial(_answer, clock.monotonic() + self.timeout)  # type: ignore[assignment]
        with _after_the_handshake():
            return super().getresponse()


@contextmanager
def _after_the_handshake() -> Iterator[None]:
    """TLS that breaks now is no TLS that could not be begun: the request may have arrived."""
    try:
        yield
    except ssl.SSLError as error:
        raise BrokenTlsError from error


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https
