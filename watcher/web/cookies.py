"""Our two cookies: the session, and the secret by which our own forms know themselves (double submit).

No script can read them, no other site can send them, and behind https no neighbouring host can set them (`__Host-`).
"""

from __future__ import annotations

import hmac
import re
import secrets

from fastapi import HTTPException, Request
from fastapi.responses import Response

from watcher.web.context import web_of

SESSION = "watcher_session"
FORM = "watcher_form"
_FORM_SECRET = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)


def read(request: Request, name: str) -> str:
    """The cookie's value, or an empty text."""
    return request.cookies.get(_full(request, name), "")


def put(request: Request, response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Sets a cookie for `seconds`, or until the browser is closed."""
    response.set_cookie(
        _full(request, name), value, max_age=seconds, httponly=True, samesite="strict", secure=_is_https(request)
    )


def drop(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(_full(request, name), httponly=True, samesite="strict", secure=_is_https(request))


def form_secret(request: Request) -> str:
    """The browser's own, or a new one."""
    known = read(request, FORM)
    return known if _FORM_SECRET.fullmatch(known) else secrets.token_urlsafe(24)


def check_form(request: Request, shown: str) -> None:
    """Refuses (403) a form that we did not make for this browser."""
    known = read(request, FORM)
    if not _FORM_SECRET.fullmatch(known) or not hmac.compare_digest(known.encode(), shown.encode("utf-8", "replace")):
        raise HTTPException(403, "this form was not made for this browser, or is too old: load the page again")


def _is_https(request: Request) -> bool:
    return web_of(request).external_url.startswith("https:")


def _full(request: Request, name: str) -> str:
    return f"__Host-{name}" if _is_https(request) else name
