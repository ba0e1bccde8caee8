"""Around every request: a cap on its body, security headers on its answer, one observation, and no traceback ever."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher.kit import clock
from watcher.telemetry.logs import logger
from watcher.web import answers
from watcher.web.context import Web

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


class Guard:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = clock.monotonic()
        web: Web = scope["app"].state.web  # read anew each time: a reload changes it
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_fitting(scope, message)]
            await send(message)

        try:
            await self._app(scope, _capped(scope, receive, web.max_body), observed)
        except Exception:  # noqa: BLE001 -- the last line of defence; it is logged
            logger("web").exception("request_failed", route=_route(scope), method=scope["method"])
            if not status:
                await answers.internal_error()(scope, receive, observed)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            web.observe(_route(scope), method, status or _GONE, clock.monotonic() - began)


def _capped(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive`, which refuses (413) a body over `limit` bytes as soon as it is announced or has come."""
    too_large = HTTPException(413, f"the body is larger than {limit} bytes", {"connection": "close"})
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    size = 0

    async def capped() -> Message:
        nonlocal size
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large
        return message

    return capped


def _fitting(scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
    """Our headers, and no caching of anything but static files."""
    present = {name.lower() for name, _ in message.get("headers", ())}
    extra = [header for header in _HEADERS if header[0] not in present]
    if b"cache-control" not in present:
        static = scope["path"].startswith("/static/")
        extra.append((b"cache-control", b"no-cache" if static else b"no-store"))
    return extra


def _route(scope: Scope) -> str:
    """The route's template, never the path: ids would make endless metric labels."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "unmatched"
