"""Around every request: what its client may still ask, a cap on its body in size and time, security headers on its
answer, one observation, and no traceback ever.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from fastapi import HTTPException
from fastapi.responses import Response
from starlette.datastructures import State
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher.kit import clock
from watcher.telemetry.logs import logger
from watcher.web import answers
from watcher.web.connections import ANSWERED
from watcher.web.context import Web
from watcher.web.limits import Limiter

# No inline script or style anywhere: what a ticket or a version says can never run.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Nothing to other sites; `no-referrer` would also hide the Origin of our own forms, which guards them.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GONE = 499  # nobody waited for the answer
_BODY_SECONDS = 20.0  # within which a whole body must have come
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")  # a year
_UNLIMITED = frozenset({"/healthz"})  # a flood must not get the daemon restarted
_LARGE = ("/hooks/", "/api/v1/deploys")  # what pipelines send; all else is written by people
_MOST_WRITTEN = 8 * 1024  # bytes


class Guard:
    """The outermost layer; `state` is the application's, which holds its context. `busy`: whether as many requests are
    being answered as may be.
    """

    def __init__(self, app: ASGIApp, state: State, *, busy: Callable[[], bool]) -> None:
        self._app = app
        self._state = state
        self._busy = busy
        self._limiter: Limiter = state.limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = clock.monotonic()
        web: Web = self._state.web  # read anew each time: a reload changes it
        self._limiter.rates = web.rates
        client, proves = web.proxies.client(scope), _proves(scope)
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    *_fitting(scope, message, https=web.external_url.startswith("https:")),
                ]
            await send(message)

        try:
            refusal = self._refusal(scope, client, began, proves=proves)
            if refusal is None:
                await self._app(scope, _capped(scope, receive, _most(scope, web.max_body)), observed)
            else:
                await refusal(scope, receive, observed)
        except ClientDisconnect:  # in the middle of its body
            pass
        except Exception:  # noqa: BLE001 -- the last line of defence; it is logged
            logger("web").exception("request_failed", route=_route(scope), method=scope["method"])
            if not status:
                await answers.internal_error()(scope, receive, observed)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            told = scope.get("state", {}).get(ANSWERED) or status or _GONE
            web.observe(_route(scope), method, told, clock.monotonic() - began)

    def _refusal(self, scope: Scope, client: str, now: float, *, proves: bool) -> Response | None:
        """The answer to a client that asks too much; None if it may ask."""
        if scope["path"] in _UNLIMITED:
            return None
        if self._busy():
            return answers.busy()
        wait = self._limiter.wait(client, now, proves=proves)
        if not wait:
            return None
        if self._limiter.first_refusal(client, now):
            logger("web").warning(
                "client_limited", client=client, route=scope["path"].strip("/").partition("/")[0][:40]
            )
        return answers.too_many(math.ceil(wait))


def _most(scope: Scope, most: int) -> int:
    """Bytes that the body may have."""
    return most if scope["path"].startswith(_LARGE) else min(most, _MOST_WRITTEN)


def _fitting(scope: Scope, message: Message, *, https: bool) -> list[tuple[bytes, bytes]]:
    """Our headers, and no caching of anything but static files."""
    present = {name.lower() for name, _ in message.get("headers", ())}
    extra = [header for header in (*_HEADERS, *([_HTTPS_ONLY] if https else [])) if header[0] not in present]
    if b"cache-control" not in present:
        static = scope["path"].startswith("/static/")
        extra.append((b"cache-control", b"no-cache" if static else b"no-store"))
    return extra


def _proves(scope: Scope) -> bool:
    """Whether a secret is shown that can be guessed at. A session cannot: its signature is of 256 bits."""
    path: str = scope["path"]
    shown = any(name == b"authorization" for name, _ in scope["headers"])
    return shown or path.startswith("/hooks/") or path == "/sign-in"


def _capped(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive`, which refuses a body over `limit` bytes as soon as it is announced or has come (413), and one that
    drips (408).
    """
    too_large = HTTPException(413, f"the body is larger than {limit} bytes", {"connection": "close"})
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    size, whole = 0, False
    deadline = clock.monotonic() + _BODY_SECONDS

    async def capped() -> Message:
        nonlocal size, whole
        if whole:  # what comes now is only whether somebody still listens
            return await receive()
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        try:
            async with asyncio.timeout(deadline - clock.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "the body did not come in time", {"connection": "close"}) from None
        size += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if size > limit:
            raise too_large
        return message

    return capped


def _route(scope: Scope) -> str:
    """The route's template, never the path: ids would make endless metric labels."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "unmatched"
