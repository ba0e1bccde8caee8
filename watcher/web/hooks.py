"""`POST /hooks/<name>`: what a CD system tells us. The raw body is verified before anything looks into it."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from watcher.errors import MalformedError, NotFoundError, StoreUnavailableError, UnauthenticatedError, WatcherError
from watcher.model.deploy import Parsed
from watcher.ports import ProvedByHead
from watcher.telemetry.logs import logger
from watcher.web import answers
from watcher.web.answers import ErrorView, malformed
from watcher.web.auth import proving
from watcher.web.batches import Batches
from watcher.web.context import Context, Web, web_of
from watcher.web.receive import receive
from watcher.web.schemas import DeployAccepted

_PATH = "/hooks/"

router = APIRouter(tags=["hooks"])


@router.post(
    _PATH + "{name}",
    status_code=202,
    response_model=None,
    responses={
        200: {"description": "A repeat of what is known, or nothing to do: `{ignored: reason}`."},
        202: {"model": DeployAccepted, "description": "Stored durably."},
        400: {"model": ErrorView, "description": "Not understood; names the field."},
        401: {"model": ErrorView, "description": "The sender did not prove who it is."},
        404: {"model": ErrorView, "description": "No such hook."},
        408: {"model": ErrorView, "description": "The body did not come in time."},
        413: {"model": ErrorView, "description": "The body is too large."},
        429: {"model": ErrorView, "description": "Too many requests, or too many wrong proofs."},
        422: {"model": ErrorView, "description": "No configured service matches (generic hooks only)."},
        503: {"model": ErrorView, "description": "Nothing was stored; send it again."},
    },
)
async def hook(name: str, request: Request, web: Context) -> Response:
    """A webhook of a CD system, of the kind that the configuration gives this name."""
    if name not in web.hooks:
        raise NotFoundError("no such hook")
    adapter, headers = web.hooks[name], lower_headers(request)
    try:
        if isinstance(adapter, ProvedByHead):
            with proving(request):
                adapter.verify_head(headers)
        body = await request.body()
        now = web.now()
        with proving(request):
            adapter.verify(headers, body, now)
    except UnauthenticatedError as error:
        logger("web").warning("hook_unauthenticated", hook=name, why=str(error))
        web.count(name, "unauthenticated")
        return JSONResponse({"error": "unauthenticated"}, 401, {"www-authenticate": "Bearer"})
    return await _proved(web, batches_of(request), name, headers, body, now)


def batches_of(request: Request) -> Batches:
    batches: Batches = request.app.state.batches
    return batches


def lower_headers(request: Request) -> dict[str, str]:
    """Header names in lower case; one that comes twice is joined, so that neither half is believed alone."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _proved(
    web: Web, batches: Batches, name: str, headers: Mapping[str, str], body: bytes, now: float
) -> Response:
    adapter = web.hooks[name]
    try:
        parsed = adapter.parse(headers, body, now)
    except MalformedError as error:
        logger("web").warning("hook_malformed", hook=name, field=error.field, expected=error.expected)
        web.count(name, "malformed")
        return JSONResponse(malformed(error.field, error.expected), 400)
    return await store(web, batches, name, parsed, body, now, vendor=getattr(adapter, "vendor", True))


async def store(
    web: Web, batches: Batches, name: str, parsed: Parsed, body: bytes, now: float, *, vendor: bool
) -> Response:
    """Stores a message and answers it; the answer comes after the durable write.

    Raises:
        StoreUnavailableError: nothing was stored.
    """
    try:
        url = web.external_url
        received = await receive(batches, web.matcher, name, parsed, body, now, vendor=vendor, base_url=url)
    except StoreUnavailableError as error:
        logger("web").error("hook_not_stored", hook=name, error=str(error))
        web.count(name, "unavailable")
        raise
    web.count(name, received.outcome)
    if "warning" in received.body and received.outcome != "repeated":
        web.clock_ahead(name)
        logger("web").warning("deploy_clock_ahead", hook=name, why=received.body["warning"])
    logger("web").info(
        "deploy_received",
        hook=name,
        outcome=received.outcome,
        deploy_id=received.body.get("deploy_id"),
        watch_ids=received.body.get("watch_ids", []),
        ignored=received.body.get("ignored"),
    )
    return JSONResponse(received.body, received.status)


class Shortcut:
    """Hands webhooks to their function as they are, and everything else to the application.

    For a function that reads the request itself FastAPI's layers do nothing but cost as much as storing a deploy; the
    route that it has there documents it.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._route = next(route for route in router.routes if isinstance(route, APIRoute))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        name = path.removeprefix(_PATH)
        if scope["type"] != "http" or scope["method"] != "POST" or name == path or not name or "/" in name:
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route"] = self._app, self._route
        request = Request(scope, receive, send)
        try:
            answer = await hook(name, request, web_of(request))
        except (WatcherError, HTTPException) as error:
            answer = answers.of(request, error)
        await answer(scope, receive, send)
