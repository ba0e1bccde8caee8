"""Host names -> addresses within a time: `getaddrinfo` waits as long as the system's resolver does, for minutes."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from threading import Lock, Thread
from typing import Any

Address = tuple[int, int, int, str, Any]  # as getaddrinfo answers: family, kind, protocol, name, address

_asking: dict[tuple[str, int], Future[Sequence[Address]]] = {}
_lock = Lock()


def addresses(host: str, port: int, seconds: float | None) -> Sequence[Address]:
    """Where `host` can be reached over TCP; `seconds` None waits as long as the resolver.

    A question that is not answered in time goes on in a thread; who asks it again meanwhile waits for the same answer,
    so that there is never more than one thread a name.

    Raises:
        TimeoutError: no answer in time.
        OSError: the name is not known.
    """
    if _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    with _lock:
        future = _asking.get((host, port))
        if future is None:
            future = _asking[host, port] = Future()
            Thread(target=_ask, args=(host, port, future), name=f"resolve {host}", daemon=True).start()
    try:
        return future.result(seconds)
    except NotInTimeError:
        raise TimeoutError(f"the name {host} was not resolved in time") from None


def _is_address(host: str) -> bool:
    """Whether no resolver need be asked, and no thread be made that waits for one."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ask(host: str, port: int, future: Future[Sequence[Address]]) -> None:
    try:
        answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001  # it is raised where it was asked for
        _forget(host, port)
        future.set_exception(error)
    else:
        _forget(host, port)
        future.set_result(answer)


def _forget(host: str, port: int) -> None:
    with _lock:
        _asking.pop((host, port), None)
