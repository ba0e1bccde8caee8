"""What an orchestrator and Prometheus ask. They need no token and tell no secret."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from watcher.web.context import Context

router = APIRouter(tags=["probes"])


@router.get("/healthz", responses={503: {"description": "A loop of the daemon is dead: restart it."}})
async def healthz(web: Context) -> JSONResponse:  # asynchronous, so that it waits for no thread
    """Whether every loop lives. A source, a store or a sender that fails never shows here."""
    dead = {name: round(seconds, 1) for name, seconds in web.health().items()}
    if dead:
        return JSONResponse({"status": "dead", "loops": dead}, 503)
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses={503: {"description": "The store does not answer, or its schema is old."}})
def readyz(web: Context) -> JSONResponse:
    """Whether deploys can be accepted: the store answers and its schema is current."""
    if not web.database.ready():
        return JSONResponse({"status": "the store is unavailable or not migrated"}, 503, {"retry-after": "5"})
    return JSONResponse({"status": "ok"})


@router.get("/metrics", response_class=Response)
def metrics(request: Request, web: Context) -> Response:
    """Prometheus metrics of the daemon itself (docs/metrics.md)."""
    body, content_type = web.metrics(request.headers.get("accept", ""))
    return Response(body, media_type=None, headers={"content-type": content_type})
