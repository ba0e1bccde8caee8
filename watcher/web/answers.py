"""Errors as answers: one JSON shape, `{error, field?, expected?}`, a page for a browser, never a traceback."""

from __future__ import annotations

import math
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from watcher.errors import (
    ConflictError,
    MalformedError,
    NotFoundError,
    StoreUnavailableError,
    UnauthenticatedError,
    WatcherError,
)
from watcher.web import rendering

_STATUSES: dict[type[WatcherError], int] = {
    UnauthenticatedError: 401,
    MalformedError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    StoreUnavailableError: 503,
}
_RETRY_SECONDS = 5
# By pydantic's type of problem; in braces what it says of it.
_EXPECTED = MappingProxyType(
    {
        "missing": "a value",
        "extra_forbidden": "no such key",
        "model_attributes_type": "a JSON object, sent as application/json",
        "string_type": "text",
        "string_too_short": "text that is not empty",
        "string_too_long": "text of at most {max_length} characters",
        "int_parsing": "a whole number",
        "float_parsing": "a number",
        "greater_than_equal": "at least {ge:g}",
        "less_than_equal": "at most {le:g}",
    }
)


class ErrorView(BaseModel):
    """What went wrong."""

    error: str = Field(description="One line for people.")
    field: str | None = Field(default=None, description="Path of the offending field; empty for the whole body.")
    expected: str | None = Field(default=None, description="What was expected there.")


def install(app: FastAPI) -> None:
    """Every way to fail, answered."""
    app.add_exception_handler(WatcherError, _ours)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _accident)


def of(request: Request, error: WatcherError | StarletteHTTPException) -> Response:
    """The answer to what failed outside the application that `install` was given."""
    return _http(request, error) if isinstance(error, StarletteHTTPException) else _ours(request, error)


def internal_error() -> Response:
    return JSONResponse({"error": "internal error"}, 500)


def too_many(seconds: int) -> Response:
    """The answer to a client that asked too much, and may ask again in so many seconds."""
    return JSONResponse({"error": f"too many requests: wait {seconds} s"}, 429, {"retry-after": str(seconds)})


def too_often(seconds: float) -> StarletteHTTPException:
    """The same as an error."""
    whole = math.ceil(seconds)
    return StarletteHTTPException(429, f"too many requests: wait {whole} s", {"retry-after": str(whole)})


def busy() -> Response:
    """The answer to whoever comes while too many others wait for theirs."""
    headers = {"retry-after": str(_RETRY_SECONDS), "connection": "close"}
    return JSONResponse({"error": "too many requests are being answered"}, 503, headers)


def malformed(field: str, expected: str) -> dict[str, str]:
    """The body of a `400`."""
    return {"error": f"{field}: expected {expected}" if field else f"expected {expected}"} | {
        "field": field,
        "expected": expected,
    }


def _ours(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    if isinstance(error, MalformedError):
        return _answer(request, status, malformed(error.field, error.expected))
    if status == 500:
        return internal_error()
    # What a store says of itself may name its host: that is for the log.
    text = "the store is unavailable" if isinstance(error, StoreUnavailableError) else str(error)
    return _answer(request, status, {"error": text})


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 -- the handler is installed for it
    if error.status_code == 400:  # nothing of ours: FastAPI could not read the body
        return _answer(request, 400, malformed("", "JSON in UTF-8"))
    phrase = HTTPStatus(error.status_code).phrase
    text = phrase.lower() if error.detail == phrase else str(error.detail)
    return _answer(request, error.status_code, {"error": text}, dict(error.headers or {}))


def _gone(_request: Request, _error: Exception) -> Response:
    """For nobody: whoever asked went away in the middle of the body."""
    return Response(status_code=499)


def _accident(_request: Request, _error: Exception) -> Response:
    """It is raised again, to be logged."""
    return internal_error()


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- the handler is installed for it
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    field = "" if first["type"] == "json_invalid" else ".".join(where)
    expected = "JSON" if first["type"] == "json_invalid" else _expected(first)
    return _answer(request, 400, malformed(field, expected))


def _expected(problem: dict[str, Any]) -> str:
    known = _EXPECTED.get(problem["type"])
    if known is not None:
        return known.format(**problem.get("ctx", {}))
    return str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")


def _answer(request: Request, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    headers = headers or {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 503:
        headers["retry-after"] = str(_RETRY_SECONDS)
    if _wants_page(request):
        title = HTTPStatus(status).phrase
        name = "sign_in.html" if status == 401 else "error.html"
        return rendering.render(request, name, status, title=title, error=body["error"], headers=headers)
    return JSONResponse(body, status, headers)


def _wants_page(request: Request) -> bool:
    path = request.url.path
    return not path.startswith(("/api/", "/hooks/", "/events")) and "text/html" in request.headers.get("accept", "")
