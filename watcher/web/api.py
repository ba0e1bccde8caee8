"""`/api/v1`: what the page, the command line and pipelines ask (docs/api.md)."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from watcher.errors import ConflictError, MalformedError, NotFoundError
from watcher.model.deploy import Phase
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, rehearsals, watches
from watcher.store.database import Tx
from watcher.web import decide, views
from watcher.web.answers import ErrorView
from watcher.web.auth import Approver, Deployer, Reader, documented
from watcher.web.context import Context, Web
from watcher.web.hooks import batches_of, lower_headers, store
from watcher.web.live import Live
from watcher.web.paging import page_of
from watcher.web.rehearsal_schemas import RehearsalView
from watcher.web.schemas import (
    ChartsView,
    DecisionRequest,
    DeployAccepted,
    DeployList,
    DeployRequest,
    WatchDetail,
    WatchList,
    WatchView,
)

API_HOOK = "api"  # the name under which deploys told to the API are kept and counted
LONGEST_WAIT = 60.0

Limit = Annotated[int, Query(ge=1, le=200)]
Before = Annotated[float | None, Query(description="Unix seconds; only what is older.", allow_inf_nan=False)]

router = APIRouter(
    prefix="/api/v1",
    dependencies=[documented],
    responses={
        400: {"model": ErrorView, "description": "Not understood; names the field."},
        401: {"model": ErrorView, "description": "No token, or none of ours."},
        403: {"model": ErrorView, "description": "The token lacks the scope, or another site asked."},
        "4XX": {"model": ErrorView},
        503: {"model": ErrorView, "description": "The store is unavailable; try again."},
    },
)


@router.post(
    "/deploys",
    tags=["deploys"],
    status_code=202,
    response_model=None,
    responses={
        200: {"model": DeployAccepted, "description": "Known already: the same ids, nothing new."},
        202: {"model": DeployAccepted, "description": "Stored durably."},
        422: {"model": ErrorView, "description": "No configured service matches; the deploy is kept as unwatched."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": DeployRequest.model_json_schema()}},
        }
    },
)
async def tell_deploy(request: Request, web: Context, _who: Deployer) -> Response:
    """Tells of a deploy; the body is that of the generic hook, and `Idempotency-Key` marks repeats."""
    now, body = web.now(), await request.body()
    try:
        parsed = web.parse_deploy(lower_headers(request), body, now)
    except MalformedError:
        web.count(API_HOOK, "malformed")
        raise
    return await store(web, batches_of(request), API_HOOK, parsed, body, now, vendor=False)


@router.get("/deploys", tags=["deploys"])
def list_deploys(web: Context, _who: Reader, limit: Limit = 50, before: Before = None) -> DeployList:
    """Deploys, newest first, watched or not."""
    with web.database.read() as tx:
        found, following = page_of(partial(deploys.recent, tx), limit, before, lambda one: one.received_at)
        return DeployList(deploys=views.deploy_views(tx, found), next_before=following)


@router.get("/watches", tags=["watches"])
def list_watches(
    web: Context,
    _who: Reader,
    service: str | None = None,
    state: WatchState | None = None,
    limit: Limit = 50,
    before: Before = None,
) -> WatchList:
    """Watches, newest first."""
    with web.database.read() as tx:
        read = partial(watches.listing, tx, service=service, state=state)
        found, following = page_of(read, limit, before, lambda one: one.created_at)
    return WatchList(watches=[views.watch_view(watch, web.external_url) for watch in found], next_before=following)


@router.get("/watches/{watch_id}", tags=["watches"], responses={409: {"model": ErrorView}})
async def show_watch(
    watch_id: str,
    request: Request,
    web: Context,
    _who: Reader,
    wait: Annotated[
        float, Query(ge=0, description="Seconds to wait for the gate to be decided; capped at 60.", allow_inf_nan=False)
    ] = 0.0,
) -> WatchDetail:
    """One watch by its id, or by its deploy's: of several the one that decides (`siblings` names the others).

    `404`: unknown, or a deploy that nobody watches. `409`: a deploy that has not finished, so nothing is watched yet.
    """
    if wait:
        await _wait(request, web, watch_id, min(wait, LONGEST_WAIT))
    return await run_in_threadpool(_detail, web, watch_id)


async def _wait(request: Request, web: Web, watch_id: str, seconds: float) -> None:
    """Until every watch meant is decided, or one regressed, or the time is over, or nobody listens any more."""
    live: Live = request.app.state.live
    async for revision in live.changes(watch_id, seconds):
        if revision is not None and await run_in_threadpool(_decided, web, watch_id):
            return
        if await request.is_disconnected():
            return


def _decided(web: Web, watch_id: str) -> bool:
    with web.database.read() as tx:
        try:
            return views.gate(meant(tx, watch_id)) is not None
        except ConflictError:
            return False


def _detail(web: Web, watch_id: str) -> WatchDetail:
    with web.database.read() as tx:
        return views.watch_detail(tx, meant(tx, watch_id), web.external_url)


def meant(tx: Tx, any_id: str) -> Watch:
    """The watch with this id, or the one that decides for the deploy with this id.

    Raises:
        NotFoundError: there is none.
        ConflictError: the deploy has not finished, so there is none yet.
    """
    found = watches.find(tx, any_id)
    if found:
        return views.worst(found)
    deploy = deploys.get(tx, any_id)
    if deploy is None:
        raise NotFoundError(f"there is no watch or deploy {any_id}")
    if not deploy.services:
        raise NotFoundError(f"deploy {any_id} is not watched: no configured service matches it")
    if deploy.phase in (Phase.ANNOUNCED, Phase.STARTED):
        raise ConflictError(f"deploy {any_id} has not finished: nothing is watched yet")
    raise NotFoundError(f"deploy {any_id} is not watched")


@router.get("/watches/{watch_id}/chart", tags=["watches"])
def chart(
    watch_id: str,
    web: Context,
    _who: Reader,
    since: Annotated[float, Query(description="Unix seconds; only later points.", allow_inf_nan=False)] = 0.0,
) -> ChartsView:
    """Everything to draw of one watch: the measured, the expected, the deploy and the onset, signal by signal."""
    with web.database.read() as tx:
        watch = meant(tx, watch_id)
    samples = {signal.name: web.samples(watch.id, signal.name) for signal in watch.policy.signals if signal.is_tickets}
    with web.database.read() as tx:
        return views.charts_view(tx, watch, samples, since, web.banded)


@router.get("/services/{name}/rehearsal", tags=["services"])
def show_rehearsal(name: str, web: Context, _who: Reader) -> RehearsalView:
    """What placebo deploys over the service's own history have shown, newest. `404`: unknown, or not yet rehearsed."""
    with web.database.read() as tx:
        found = rehearsals.latest(tx, name) if name in web.services else None
    if found is None:
        known = name in web.services
        raise NotFoundError(f"{name} is not rehearsed yet" if known else f"there is no service {name}")
    return RehearsalView.model_validate(found)


@router.post("/watches/{watch_id}/approve", tags=["decisions"])
def approve(watch_id: str, body: DecisionRequest, web: Context, who: Approver) -> WatchView:
    """Approves the rollback that waits. `409`: none waits, or it is too late."""
    return _decide(web, watch_id, body.reason, who.name, approved=True)


@router.post("/watches/{watch_id}/refuse", tags=["decisions"])
def refuse(watch_id: str, body: DecisionRequest, web: Context, who: Approver) -> WatchView:
    """Refuses the rollback that waits. `409`: none waits, or it is too late."""
    return _decide(web, watch_id, body.reason, who.name, approved=False)


@router.post("/watches/{watch_id}/stop", tags=["decisions"])
def stop(watch_id: str, body: DecisionRequest, web: Context, who: Approver) -> WatchView:
    """Ends a watch. `409`: it has ended already."""
    with web.database.read() as tx:
        watch = meant(tx, watch_id)
    stopped = decide.stop(web.database, watch.id, by=who.name, reason=body.reason, now=web.now())
    return views.watch_view(stopped, web.external_url)


def _decide(web: Web, watch_id: str, reason: str, by: str, *, approved: bool) -> WatchView:
    with web.database.read() as tx:
        watch = meant(tx, watch_id)
    decided = decide.decide(web.database, watch.id, approve=approved, by=by, reason=reason, now=web.now())
    return views.watch_view(decided, web.external_url)
