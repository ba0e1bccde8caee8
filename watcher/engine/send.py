"""Sends notes, again until they arrive, and renews alerts until they are resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watcher.engine.lease import Keeper
from watcher.errors import ExternalError, LeaseLostError
from watcher.model.order import Note, Severity
from watcher.model.watch import WatchState
from watcher.ports import Notifier, Renews
from watcher.store import order_claims, orders, watches
from watcher.store.database import Database
from watcher.store.orders import NoteState, Order
from watcher.telemetry.metrics import Metrics

_ATTEMPTS = 12
_BACKOFF = (2.0, 5.0, 15.0, 60.0, 300.0)
_ALERT_LIFE = 4 * 3600.0  # an alert that nothing resolves is no longer renewed after this
_GONE = frozenset({WatchState.SUPERSEDED, WatchState.STOPPED})  # but what is said of that itself is not over by it
_LOUDNESS = list(Severity)


class Sender:
    """Hands notes to their notifiers."""

    def __init__(
        self, database: Database, notifiers: Mapping[str, Notifier], keeper: Keeper, metrics: Metrics, log: Any
    ) -> None:
        """`notifiers`: by their names."""
        self._database = database
        self._notifiers = notifiers
        self._keeper = keeper
        self._metrics = metrics
        self._log = log

    def step(self, notifier: str, now: float) -> bool:
        """Claims one due note to `notifier` and sends it; whether there was one. One that hangs delays no other."""
        with self._database.write(alone=False) as tx:
            due = max(now, self._database.clock.read(tx, now).at)  # rollbacks, and notes of them, are by that clock
            claimed = order_claims.claim_notes(tx, due, self._keeper.owner, 1, self._keeper.lease_seconds, notifier)
        for order in claimed:
            with self._keeper.keeping_order(order.id):
                try:
                    if isinstance(order.payload, Note):
                        self._send(order, order.payload, now)
                except LeaseLostError:
                    self._log.info("order_lease_lost", order=order.id)
        return bool(claimed)

    def step_unknown(self, now: float) -> bool:
        """The same for notes to notifiers that are not configured any more."""
        with self._database.read() as tx:
            unknown = order_claims.waited_for(tx) - self._notifiers.keys()
        return any(self.step(notifier, now) for notifier in sorted(unknown))

    def _send(self, order: Order, note: Note, now: float) -> None:
        """Sends a claimed note and writes how it stands."""
        notifier = self._notifiers.get(order.target)
        if notifier is None:
            self._finish(order, NoteState.FAILED, f"no notifier named {order.target} is configured any more", now)
            return
        # The end of an alert is always told to those who renew it, or it would fire on until it expires.
        ends_alert = note.resolved and isinstance(notifier, Renews)
        if not ends_alert and _LOUDNESS.index(note.severity) < _LOUDNESS.index(notifier.min_severity):
            self._finish(order, NoteState.SENT, f"not sent: quieter than {notifier.min_severity.value}", now)
            return
        if order.state is NoteState.RENEWING and self._over(order, now):
            self._finish(order, NoteState.SENT, "", now)
            return
        with self._database.read() as tx:
            orders.check_held(tx, order)  # the last thing before it goes out: we may have slept since the claim
        try:
            notifier.send(note)
        except ExternalError as error:
            self._failed(order, note, error, now)
            return
        self._metrics.notifications.labels(order.target, "sent").inc()
        if isinstance(notifier, Renews) and not note.resolved and note.severity is Severity.CRITICAL:
            self._renew(order, now, now + notifier.renew_every)
        else:
            self._finish(order, NoteState.SENT, "", now)

    def _over(self, order: Order, now: float) -> bool:
        """Whether the alert of this note was resolved, has lived long enough, or is of a deploy that is gone."""
        if order.expires_at is not None and now > order.expires_at:
            return True
        with self._database.read() as tx:
            watch = watches.get(tx, order.watch_id)
            others = orders.notes_of(tx, order.watch_id)
        if watch is None or (watch.state in _GONE and (watch.ended_at is None or order.created_at < watch.ended_at)):
            return True
        return any(
            isinstance(other.payload, Note) and other.payload.resolved and other.created_at >= order.created_at
            for other in others
        )

    def _renew(self, order: Order, now: float, next_at: float) -> None:
        renewed = replace(
            order,
            state=NoteState.RENEWING,
            attempts=0,
            detail="",
            next_at=next_at,
            expires_at=order.expires_at or order.created_at + _ALERT_LIFE,
            updated_at=now,
        )
        with self._database.write() as tx:
            orders.save(tx, renewed)

    def _failed(self, order: Order, note: Note, error: ExternalError, now: float) -> None:
        attempts = order.attempts + 1
        self._metrics.notifications.labels(order.target, "failed").inc()
        if error.permanent or attempts >= _ATTEMPTS:
            self._log.error("note_failed", note=note.id, notifier=order.target, error=str(error), title=note.title)
            self._finish(replace(order, attempts=attempts), NoteState.FAILED, str(error), now)
            return
        wait = max(_BACKOFF[min(attempts - 1, len(_BACKOFF) - 1)], error.retry_after or 0.0)
        self._log.warning("note_retry", note=note.id, notifier=order.target, error=str(error), wait=wait)
        with self._database.write() as tx:
            orders.save(tx, replace(order, attempts=attempts, detail=str(error), next_at=now + wait, updated_at=now))

    def _finish(self, order: Order, state: NoteState, detail: str, now: float) -> None:
        with self._database.write() as tx:
            orders.save(tx, replace(order, state=state, detail=detail, next_at=None, updated_at=now))
