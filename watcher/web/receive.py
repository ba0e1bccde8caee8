"""A verified, parsed webhook -> the store, in one transaction: nothing is accepted before it is durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.engine import plan, superseding
from watcher.engine.plan import Matcher
from watcher.model.deploy import Deploy, DeployEvent, Parsed, Phase
from watcher.model.order import RollbackState
from watcher.model.service import Service
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, orders, watches
from watcher.store.database import Tx
from watcher.store.orders import Order
from watcher.web.batches import Batches

_SHOWN = 20  # names of services in an answer


@dataclass(frozen=True, slots=True)
class Received:
    """What to answer. `outcome` is the metric's label: accepted, repeated, ignored, unwatched."""

    status: int
    body: dict[str, Any]
    outcome: str


async def receive(
    batches: Batches,
    services: Matcher,
    hook: str,
    parsed: Parsed,
    body: bytes,
    received_at: float,
    *,
    vendor: bool,
    base_url: str,
) -> Received:
    """Stores what a webhook said and opens, ends or confirms watches.

    `vendor`: the sender is a vendor's hook, which must get a 200 for a deploy that nobody asked to watch. `base_url`:
    of the page, for what people are told about a watch that this ends.

    Raises:
        StoreUnavailableError: nothing was stored; the sender should try again.
    """
    if parsed.ignored is not None:
        return Received(200, {"ignored": parsed.ignored}, "ignored")
    key = plan.delivery_key(hook, parsed.delivery_id, body)
    since = 0.0 if parsed.delivery_id is not None else received_at - plan.REPEAT_WINDOW

    def store(tx: Tx) -> Received:
        answered = deploys.delivery(tx, key, since)
        if answered is not None:
            return _answer(answered, vendor=vendor, repeated=True)
        answer: dict[str, Any] = {"deploy_id": None, "watch_ids": [], "unwatched": None}
        changed = False
        for event in parsed.events:
            identity = plan.identify(hook, event, parsed.delivery_id, body, received_at)
            changed |= _store_event(tx, services, event, identity, hook, received_at, answer, base_url)
        answer["watch_ids"] = list(dict.fromkeys(answer["watch_ids"]))  # two events of one message may be one deploy's
        deploys.remember_delivery(tx, key, received_at, answer)
        return _answer(answer, vendor=vendor, repeated=not changed)

    return await batches.run(store)


def _answer(answer: dict[str, Any], *, vendor: bool, repeated: bool) -> Received:
    body = {name: value for name, value in answer.items() if value is not None and name != "unwatched"}
    unwatched = answer["unwatched"]
    if unwatched is None:
        return Received(200 if repeated else 202, body, "repeated" if repeated else "accepted")
    if vendor:
        return Received(200, {"ignored": unwatched["reason"], **body}, "repeated" if repeated else "unwatched")
    refusal = {"error": unwatched["reason"], "field": "service", "expected": unwatched["expected"], **body}
    return Received(422, refusal, "repeated" if repeated else "unwatched")


def _store_event(
    tx: Tx,
    services: Matcher,
    event: DeployEvent,
    identity: str,
    hook: str,
    received_at: float,
    answer: dict[str, Any],
    base_url: str,
) -> bool:
    """Stores one event and adds its ids to `answer`; whether anything changed."""
    known, off = deploys.by_identity(tx, identity), plan.ahead(event, received_at)
    deploy = plan.merge(known, event, identity=identity, hook=hook, received_at=received_at)
    matched = services.matching(deploy.attributes)
    deploy = replace(deploy, services=tuple(service.name for service in matched))
    answer["deploy_id"] = deploy.id
    if deploy == known:
        answer["watch_ids"] += [watch.id for watch in watches.of_deploy(tx, deploy.id)]
        return False
    deploys.put(tx, deploy)
    if off > plan.CLOCK_TOLERANCE:
        answer["warning"] = f"its times lie {off:.0f} s ahead of our clock: they were moved back to when we were told"
    if not matched:
        answer["unwatched"] = {
            "reason": "no configured service matches this deploy; it is recorded as unwatched",
            "expected": f"one of the services {_listed(services.names)}",
        }
        return True
    if deploy.phase is Phase.FINISHED:
        for service in matched:
            watch_id = _begin(tx, deploy, service, received_at, answer, base_url, new=known is None)
            answer["watch_ids"].append(watch_id)
            if off > plan.CLOCK_TOLERANCE:
                watches.log(tx, watch_id, received_at, "clock_ahead", answer["warning"])
    return True


def _listed(names: Sequence[str]) -> str:
    """Names of services to be read by a person: of a fleet, the first few."""
    shown = ", ".join(names[:_SHOWN]) or "(none is configured)"
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _begin(
    tx: Tx, deploy: Deploy, service: Service, now: float, answer: dict[str, Any], base_url: str, *, new: bool
) -> str:
    """Opens a watch, or confirms the rollback that this deploy is; the watch's id."""
    receipt = _receipt(tx, deploy, service)
    if receipt is not None:
        answer["receipt_of"] = receipt.id
        return _confirm(tx, receipt, deploy, now)
    watch = plan.new_watch(deploy, service, now)
    if not new and watches.exists(tx, watch.id):
        return watch.id
    newer = None
    for other in watches.active(tx, service.name, deploy.environment):
        if plan.came_late(watch, other):
            newer = other
        else:
            _supersede(tx, other, deploy, now, base_url)
    if newer is not None:  # the message came late: the newer deploy is being watched already
        watch = replace(
            watch, state=WatchState.SUPERSEDED, superseded_by=newer.deploy_id, ended_at=now, next_look_at=None
        )
    watches.open_watch(tx, watch)
    watches.log(tx, watch.id, now, "opened", f"deploy {deploy.version} to {deploy.environment} finished")
    return watch.id


def _receipt(tx: Tx, deploy: Deploy, service: Service) -> Order | None:
    if deploy.rollback_id is not None:
        known = orders.rollback(tx, deploy.rollback_id)
        if known is not None and known.target == service.name:
            return known
    under_way = orders.open_rollbacks(tx, service.name)
    if not under_way:
        return None
    newest = {watch.id for watch in watches.history(tx, service.name, deploy.environment, limit=1)}
    for order in under_way:
        # By its version alone only while nothing came between: later the same version is a deploy of its own.
        known_by_id = deploy.rollback_id is not None
        if plan.is_receipt(deploy, order.payload) and (known_by_id or order.watch_id in newest):  # type: ignore[arg-type]  # these are rollbacks
            return order
    return None


def _confirm(tx: Tx, order: Order, deploy: Deploy, now: float) -> str:
    """The pipeline announced the old version: the rollback is verified, and its watch looks for recovery."""
    watch = watches.get(tx, order.watch_id)
    if order.state is not RollbackState.VERIFIED:
        orders.change(tx, replace(order, state=RollbackState.VERIFIED, updated_at=now, next_at=None, expires_at=None))
        text = f"the pipeline announced {deploy.version}: the rollback is confirmed"
        watches.log(tx, order.watch_id, now, "rollback_verified", text)
        if watch is not None and not watch.ended:
            recovery_until = watch.recovery_until or now + watch.policy.recovery_window
            watches.change(tx, replace(watch, state=WatchState.RECOVERING, recovery_until=recovery_until))
    return order.watch_id


def _supersede(tx: Tx, watch: Watch, deploy: Deploy, now: float, base_url: str) -> None:
    """Ends a watch whose deploy is no longer what users meet, and whatever rollback it still had in mind."""
    order = None if watch.rollback_id is None else orders.rollback_of(tx, watch.id)
    ended = superseding.supersede(watch, order, deploy, now, base_url)
    watches.change(tx, ended.watch)
    if ended.order is not None:
        orders.change(tx, ended.order)
    for event, text in ended.events:
        watches.log(tx, watch.id, now, event, text)
    for note in ended.notes:
        orders.add(tx, note)
