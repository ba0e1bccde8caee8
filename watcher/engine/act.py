"""Carries out the outbox's rollbacks: intent is stored before a call, its outcome after; their states live here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from watcher.engine import calls, notes, respond
from watcher.engine.drill import Driller
from watcher.engine.lease import Keeper
from watcher.errors import LeaseLostError
from watcher.kit import text
from watcher.model.order import RollbackOrder, RollbackState, Topic
from watcher.model.service import Freeze
from watcher.model.watch import Watch, WatchState
from watcher.ports import RollbackTarget
from watcher.store import order_claims, orders, watches
from watcher.store.database import Database, Tx
from watcher.store.orders import Order
from watcher.store.restored import restored_at
from watcher.telemetry.metrics import Metrics
from watcher.verdict import restraint

_ATTEMPTS = 8
STOPPED = "the watcher stopped while it made the call; whether it was carried out is not known"
_CANCELLED = frozenset({WatchState.SUPERSEDED, WatchState.STOPPED})
_TOPICS = {
    RollbackState.ACCEPTED: Topic.ROLLBACK_ACCEPTED,
    RollbackState.VERIFIED: Topic.ROLLBACK_ACCEPTED,
    RollbackState.FAILED: Topic.ROLLBACK_FAILED,
    RollbackState.UNKNOWN: Topic.ROLLBACK_UNKNOWN,
    RollbackState.REFUSED: Topic.APPROVAL_REFUSED,
    RollbackState.EXPIRED: Topic.APPROVAL_EXPIRED,
}


class Actor:
    """Carries out rollbacks and drills; notes are another's, so that no rollback waits for one to be sent."""

    def __init__(
        self,
        database: Database,
        targets: Mapping[str, RollbackTarget],
        keeper: Keeper,
        metrics: Metrics,
        base_url: str,
        log: Any,
        freezes: Mapping[str, Sequence[Freeze]] = MappingProxyType({}),
    ) -> None:
        """`targets`: service name -> its rollback target. `freezes`: service name -> those of the configuration."""
        self._database = database
        self._targets = targets
        self._keeper = keeper
        self._metrics = metrics
        self._base_url = base_url
        self._log = log
        self._freezes = freezes
        self._driller = Driller(database, targets, metrics, log)

    def step(self, now: float) -> bool:
        """Claims one due rollback or drill and carries it out; whether there was one.

        What is due by either clock is: a person's word must not wait for a replica whose clock is behind. An approval
        runs out by the clock that all share.
        """
        owner, lease = self._keeper.owner, self._keeper.lease_seconds
        with self._database.write(alone=False) as tx:
            moment = self._database.clock.read(tx, now)
            due = max(now, moment.at)
            claimed = order_claims.claim_rollbacks(tx, due, owner, 1, lease, expired=moment.surely)
        now = moment.at
        for order in claimed:
            with self._keeper.keeping_order(order.id):
                try:
                    if isinstance(order.payload, RollbackOrder) and order.payload.dry_run:
                        self._driller.carry_out(order, order.payload, now)
                    elif isinstance(order.payload, RollbackOrder):
                        self._rollback(order, order.payload, now)
                except LeaseLostError:
                    self._log.info("order_lease_lost", order=order.id)
        return bool(claimed)

    def _rollback(self, order: Order, payload: RollbackOrder, now: float) -> None:
        target = self._targets.get(order.target)
        if order.state is RollbackState.REFUSED:
            self._settle(order, payload, RollbackState.REFUSED, order.detail, now)
        elif order.state is RollbackState.PLANNED and order.expires_at is not None:
            self._settle(order, payload, RollbackState.EXPIRED, "nobody approved in time", now)
        elif target is None:
            gone = "the service has no rollback target any more"
            if _may_be_out(order):
                self._settle(order, payload, RollbackState.UNKNOWN, f"{order.detail or STOPPED}; {gone}", now)
            else:
                self._settle(order, payload, RollbackState.FAILED, gone, now)
        elif _may_be_out(order) and not (target.idempotent and self._wanted(order)):
            again = replace(order, attempts=order.attempts + 1)
            result = calls.reconcile(payload, target, order.detail or STOPPED, again.attempts, _ATTEMPTS)
            self._conclude(again, payload, result, now)
        else:
            self._attempt(order, payload, target, now)

    def _wanted(self, order: Order) -> bool:
        """Whether its watch still wants the rollback; otherwise the target is only asked what became of it."""
        with self._database.read() as tx:
            since = restored_at(tx, order.watch_id)
            return (since is None or order.created_at > since) and _wants(watches.get(tx, order.watch_id))

    def _attempt(self, order: Order, payload: RollbackOrder, target: RollbackTarget, now: float) -> None:
        intent = self._intend(order, payload, now)
        if intent is None:
            return
        self._log.info("rollback_attempted", watch=order.watch_id, rollback=order.id, attempt=intent.attempts)
        with self._database.read() as tx:
            orders.check_held(tx, intent)  # the last thing before the call: we may have slept since the intent
        result = calls.call(payload, target, intent.attempts, _ATTEMPTS, out=_may_be_out(order))
        self._conclude(intent, payload, result, now)

    def _conclude(self, order: Order, payload: RollbackOrder, result: calls.Result, now: float) -> None:
        """Writes what a call came to: settled, or to be taken up again."""
        if result.wait is None:
            self._settle(replace(order, reference=result.reference), payload, result.state, result.detail, now)
            return
        due = replace(order, state=result.state, next_at=now + result.wait, detail=result.detail, updated_at=now)
        with self._database.write() as tx:
            orders.save(tx, due)
            line = f"{result.detail}; next attempt in {text.duration(result.wait)}"
            watches.log(tx, order.watch_id, now, "rollback_retry", line)
        self._log.warning(
            "rollback_retry", watch=order.watch_id, rollback=order.id, error=result.detail, wait=result.wait
        )

    def _intend(self, order: Order, payload: RollbackOrder, now: float) -> Order | None:
        """Stores the intent to call; None, and what was written instead, if the call must not be made (any more)."""
        intent = replace(order, state=RollbackState.ATTEMPTED, attempts=order.attempts + 1, updated_at=now)
        with self._database.write() as tx:
            watch = watches.get(tx, order.watch_id)
            if watch is None or not _wants(watch):
                if _may_be_out(order):  # it was stopped this very moment: the next to take it asks the target
                    orders.save(tx, order)
                    return None
                orders.save(tx, replace(order, state=RollbackState.EXPIRED, next_at=None, updated_at=now))
                watches.log(tx, order.watch_id, now, "rollback_expired", "its watch ended before it was carried out")
                return None
            if not _may_be_out(order):  # of one that may be out already nothing is taken back
                if payload.target_version in watches.regressed_versions(tx, watch.service, watch.environment):
                    detail = f"{payload.target_version} was itself judged regressed meanwhile"
                    self._write_settled(tx, order, payload, RollbackState.FAILED, detail, now)
                    return None
                added = self._freezes.get(watch.service, ())
                held = restraint.freeze(watch.policy, now, added) if order.decided_by is None else None
                if held is not None:  # decided before the freeze began, and due only now
                    self._hold(tx, order, watch, payload, held, now)
                    return None
            orders.save(tx, intent, keep_lease=True)
            line = f"attempt {intent.attempts}: going back to {payload.target_version}"
            watches.log(tx, order.watch_id, now, "rollback_attempted", line)
        return intent

    def _hold(
        self, tx: Tx, order: Order, watch: Watch, payload: RollbackOrder, held: restraint.Held, now: float
    ) -> None:
        orders.save(tx, respond.waiting(order, watch.policy, now, held))
        watches.change(tx, replace(watch, state=WatchState.WATCHING))
        watches.log(tx, watch.id, now, "rollback_held", f"{held.hold.value}: {held.text}")
        sentence = respond.asking(watch, payload.target_version, held)
        message = notes.note(watch, Topic.APPROVAL_WANTED, sentence, now, self._base_url)
        for note in notes.deliver(message, watch.policy, now):
            orders.add(tx, note)
        self._metrics.held_rollbacks.labels(watch.service, held.hold.value).inc()
        self._log.warning("rollback_held", watch=watch.id, service=watch.service, hold=held.hold.value)

    def _settle(self, order: Order, payload: RollbackOrder, state: RollbackState, detail: str, now: float) -> None:
        """Writes where a rollback has come to, what that means for its watch, and who must know."""
        with self._database.write() as tx:
            self._write_settled(tx, order, payload, state, detail, now)

    def _write_settled(
        self, tx: Tx, order: Order, payload: RollbackOrder, state: RollbackState, detail: str, now: float
    ) -> None:
        orders.save(tx, replace(order, state=state, detail=detail, next_at=None, expires_at=None, updated_at=now))
        watch = watches.get(tx, order.watch_id)
        if watch is None:
            return
        watch = _after(watch, state, now)
        watches.change(tx, watch)
        if state is not RollbackState.REFUSED:  # a person's word is in the log since it was given
            watches.log(tx, order.watch_id, now, f"rollback_{state.value}", detail or payload.target_version)
        self._tell(tx, watch, payload, state, detail, now)
        self._metrics.rollbacks.labels(order.target, state.value).inc()
        self._log.info(f"rollback_{state.value}", watch=order.watch_id, rollback=order.id, detail=detail)

    def _tell(
        self, tx: Tx, watch: Watch, payload: RollbackOrder, state: RollbackState, detail: str, now: float
    ) -> None:
        sentence = _sentence(payload, state, detail)
        message = notes.note(watch, _TOPICS[state], sentence, now, self._base_url)
        for note in notes.deliver(message, watch.policy, now):
            orders.add(tx, note)


def _may_be_out(order: Order) -> bool:
    """Whether a call may have been received: from then on nothing of the order is taken back."""
    return order.state is RollbackState.ATTEMPTED


def _wants(watch: Watch | None) -> bool:
    return watch is not None and watch.state not in _CANCELLED


def _after(watch: Watch, state: RollbackState, now: float) -> Watch:
    """The watch once its rollback has come to `state`: it looks for recovery, or it is over."""
    if watch.ended:
        return watch
    if state in (RollbackState.ACCEPTED, RollbackState.VERIFIED, RollbackState.UNKNOWN):
        return replace(
            watch,
            state=WatchState.RECOVERING,
            recovery_until=watch.recovery_until or now + watch.policy.recovery_window,
        )
    return replace(watch, state=WatchState.DONE, ended_at=now, next_look_at=None)


def _sentence(payload: RollbackOrder, state: RollbackState, detail: str) -> str:
    said = f" ({detail})" if detail else ""
    back = f"Going back from {payload.bad_version} to {payload.target_version}"
    return {
        RollbackState.ACCEPTED: f"{back}: the rollback target took the order{said}. Watching for recovery.",
        RollbackState.VERIFIED: f"{back} was carried out{said}. Watching for recovery.",
        RollbackState.FAILED: f"{back} failed{said}: a person must roll back now. {payload.sentence}",
        RollbackState.UNKNOWN: f"{back} may or may not have happened{said}: look now. {payload.sentence}",
        RollbackState.REFUSED: f"{back} was refused{said}.",
        RollbackState.EXPIRED: f"{back} was not done{said}: the bad version is still out. {payload.sentence}",
    }[state]
