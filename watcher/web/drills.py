"""Drills: a person orders a dry run through the outbox, and asks what came of it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from watcher.engine import plan
from watcher.errors import ConflictError, NotFoundError
from watcher.model.order import RollbackOrder, RollbackState
from watcher.model.service import Service
from watcher.store import orders, watches
from watcher.store.database import Tx
from watcher.store.orders import Order
from watcher.telemetry.logs import logger
from watcher.web import api
from watcher.web.answers import ErrorView
from watcher.web.auth import Approver, Reader, documented
from watcher.web.context import Context, Web
from watcher.web.schemas import OptionalWord, Time

_UNDER_WAY = frozenset({RollbackState.PLANNED, RollbackState.ATTEMPTED})

router = APIRouter(prefix="/api/v1", tags=["drills"], dependencies=[documented], responses=api.router.responses)


class DrillRequest(BaseModel):
    """What the dry-run order names; what is left out is taken from the service's newest deploy."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    environment: OptionalWord = None
    bad_version: OptionalWord = Field(default=None, description="What would be rolled back.")
    target_version: OptionalWord = Field(default=None, description="What would be gone back to.")


class DrillView(BaseModel):
    """A drill: a rollback order that says `dry_run`, and changes nothing."""

    id: str
    service: str
    environment: str
    bad_version: str
    target_version: str
    state: RollbackState = Field(description="`accepted`: the rollback target took the dry-run order.")
    attempts: int
    detail: str = Field(description="What the target answered, or why the call failed.")
    reference: str
    ordered_by: str | None
    created_at: Time
    updated_at: Time
    next_at: Time | None = Field(description="When it is tried (again); null once nothing more happens.")


class DrillList(BaseModel):
    """The newest drills of a service, newest first."""

    drills: list[DrillView]


@router.post(
    "/services/{name}/drills",
    status_code=202,
    response_model=None,
    responses={202: {"model": DrillView, "description": "Stored; an actor carries it out."}, 409: {"model": ErrorView}},
)
def order_drill(name: str, body: DrillRequest, web: Context, who: Approver) -> JSONResponse:
    """Orders a drill: the service's rollback target gets a signed order with `dry_run`, by the way of a rollback.

    `404`: no such service. `409`: it has no rollback target, a drill is under way, or no version is known to name.
    """
    service = web.services.get(name)
    if service is None:
        raise NotFoundError(f"there is no service {name}")
    if service.rollback is None:
        raise ConflictError(f"{name} has no rollback target to drill")
    now = web.now()
    with web.database.write() as tx:
        earlier = orders.drills(tx, name)
        under_way = next((drill for drill in earlier if drill.state in _UNDER_WAY), None)
        if under_way is not None:
            raise ConflictError(f"the drill {under_way.id} is under way")
        drill_id = plan.short_id("drill", name, f"{now:.6f}", earlier[0].id if earlier else "")
        payload = _payload(tx, web, service, body, drill_id)
        order = Order(
            id=payload.rollback_id,
            watch_id="",
            target=name,
            payload=payload,
            state=RollbackState.PLANNED,
            created_at=now,
            updated_at=now,
            next_at=now,
            decided_by=who.name,
        )
        orders.add(tx, order)
    logger("web").info("drill_ordered", service=name, drill=order.id, by=who.name)
    return JSONResponse(_view(order, payload).model_dump(mode="json"), 202)


def _payload(tx: Tx, web: Web, service: Service, body: DrillRequest, drill_id: str) -> RollbackOrder:
    newest = watches.listing(tx, limit=50, service=service.name)
    last = next((watch for watch in newest if body.environment in (None, "", watch.environment)), None)
    target = None
    if last is not None:
        history = watches.history(tx, service.name, last.environment)
        regressed = watches.regressed_versions(tx, service.name, last.environment)
        target = plan.target_version(last, history, regressed)
    named = {
        "environment": body.environment or (last.environment if last else None),
        "bad_version": body.bad_version or (last.version if last else None),
        "target_version": body.target_version or target,
    }
    missing = [key for key, value in named.items() if not value]
    if missing:
        raise ConflictError(f"no deploy of {service.name} says what a rollback would name: give {', '.join(missing)}")
    return RollbackOrder(
        rollback_id=drill_id,
        watch_id="",
        deploy_id="",
        service=service.name,
        **{key: value for key, value in named.items() if value},
        sentence="This is a drill: nothing is wrong, and nothing may change.",
        url=f"{web.external_url.rstrip('/')}/services/{service.name}",
        dry_run=True,
    )


@router.get("/services/{name}/drills")
def list_drills(name: str, web: Context, _who: Reader) -> DrillList:
    """The newest drills of a service, newest first."""
    if name not in web.services:
        raise NotFoundError(f"there is no service {name}")
    with web.database.read() as tx:
        return DrillList(drills=shown(tx, name))


@router.get("/drills/{drill_id}")
def show_drill(drill_id: str, web: Context, _who: Reader) -> DrillView:
    """One drill."""
    with web.database.read() as tx:
        order = orders.drill(tx, drill_id)
    if order is None or not isinstance(order.payload, RollbackOrder):
        raise NotFoundError(f"there is no drill {drill_id}")
    return _view(order, order.payload)


def shown(tx: Tx, service: str) -> list[DrillView]:
    """The newest drills of a service, newest first."""
    return [_view(one, one.payload) for one in orders.drills(tx, service) if isinstance(one.payload, RollbackOrder)]


def _view(order: Order, payload: RollbackOrder) -> DrillView:
    return DrillView(
        id=order.id,
        service=order.target,
        environment=payload.environment,
        bad_version=payload.bad_version,
        target_version=payload.target_version,
        state=RollbackState(order.state),
        attempts=order.attempts,
        detail=order.detail,
        reference=order.reference,
        ordered_by=order.decided_by,
        created_at=order.created_at,
        updated_at=order.updated_at,
        next_at=order.next_at,
    )
