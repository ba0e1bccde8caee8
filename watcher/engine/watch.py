"""Looks at the watches that are due: claims them, asks for all of them together, and says what comes of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import Any

from watcher.engine import schedule
from watcher.engine.asking import NotAskedError
from watcher.engine.facts import Surroundings
from watcher.engine.gather import Gather
from watcher.engine.lease import Keeper
from watcher.engine.look import Batch, Looker, Turn
from watcher.engine.notes import deliver, note
from watcher.engine.recording import Made, Outlook, Recorder
from watcher.engine.rhythm import Rhythm
from watcher.errors import LeaseLostError, StoreUnavailableError
from watcher.kit import clock
from watcher.model.decision import Outcome, Reason
from watcher.model.order import Topic
from watcher.model.service import Freeze
from watcher.model.watch import Watch, WatchState
from watcher.store import claims, orders, watches
from watcher.store.claims import Claim
from watcher.store.database import Database
from watcher.telemetry.metrics import Metrics

_TOGETHER = 100  # watches that one question may serve
_FIRST_TOGETHER = 16  # whole histories are held in memory
_WRITTEN = 25  # looks in one transaction; those who accept deploys wait for it
_COMPANY = 1.0  # seconds that a look may wait for others to be written with it
# Seconds of a step, so that leases last and others are looked at as well: of first looks, each of which learns what is
# normal from a history that was read for it; of looks that are caught up.
_LEARNING, _CATCHING_UP = 120.0, 20.0


class Watcher:
    """Makes the looks that are due."""

    def __init__(
        self,
        database: Database,
        gather: Gather,
        keeper: Keeper,
        metrics: Metrics,
        base_url: str,
        log: Any,
        rollbacks_per_hour: int = 3,
        freezes: Mapping[str, Sequence[Freeze]] = MappingProxyType({}),
        rhythm: Rhythm | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`rollbacks_per_hour`: how many of all services together may go without a person's word. `freezes`: service ->
        those of the configuration, which hold for watches that began under another, too. `rhythm`: of later looks.
        `progress` is called at every little of a long step.
        """
        self._database = database
        self._gather = gather
        self._keeper = keeper
        self._metrics = metrics
        self._base_url = base_url
        self._log = log
        self._rhythm = rhythm or Rhythm()
        self._progress = progress
        self._judging = Lock()
        self._looker = Looker(database, gather, base_url)
        self._recorder = Recorder(database, base_url, rollbacks_per_hour, freezes)

    def step(self, now: float, stopping: Callable[[], bool], *, first: bool | None = None) -> bool:
        """Claims due watches and makes the looks that are due on them; whether there was one.

        What would take too long is given back, still due.

        `first`: only watches that were never looked at, or only others; learning what is normal must not delay looks.
        """
        if not first and not self._rhythm.admits():
            return False
        most = _FIRST_TOGETHER if first else _TOGETHER
        with self._database.write(alone=False) as tx:
            taken = claims.take_due(tx, now, self._keeper.owner, most, self._keeper.lease_seconds, first=first)
        if not first:
            self._rhythm.claimed((claim.watch.policy.step for claim in taken), full=len(taken) == most)
        if not taken:
            return False
        with ExitStack() as kept:
            for claim in taken:
                kept.enter_context(self._keeper.keeping_watch(claim.watch.id))
            self._look_at_all(taken, now, stopping)
        return True

    def _look_at_all(self, taken: Sequence[Claim], now: float, stopping: Callable[[], bool]) -> None:
        """Asks for all of them together; what goes wrong with one is raised once the others have been looked at."""
        waiting, errors = deque(_turn(claim, now) for claim in taken), list[Exception]()
        try:
            asked = [claim.watch for claim in taken]
            batch = Batch(now, self._gather.ask(asked, now), Surroundings(self._database, asked))
            began = clock.monotonic()
            self._leave_unasked(waiting, batch)
            while waiting and not stopping():
                limit = _LEARNING if waiting[0].gathered is None else _CATCHING_UP
                with self._turn(waiting[0].watch):
                    made = self._make_some(waiting, batch, stopping, errors)
                waiting += self._write(made, now, errors)
                self._progress()
                if clock.monotonic() - began > limit:
                    break
        finally:
            self._give_back(waiting)
        for other in errors[1:]:
            self._log.error("look_failed", exception=repr(other))
        if errors:
            raise errors[0]

    def _turn(self, watch: Watch) -> AbstractContextManager[Any]:
        """One thread judges at a time: two that want the interpreter take twice its time for the same work. First looks
        mostly wait for the process that learns.
        """
        return nullcontext() if watch.state is WatchState.SCHEDULED else self._judging

    def _leave_unasked(self, waiting: deque[Turn], batch: Batch) -> None:
        """Gives back the watches that a slow source could not be asked for; the store gives the oldest first."""
        unasked = {watch_id for (watch_id, _), told in batch.told.items() if isinstance(told, NotAskedError)}
        left = [turn for turn in waiting if turn.watch.id in unasked]
        for turn in left:
            waiting.remove(turn)
        self._give_back(left)

    def _make_some(
        self, waiting: deque[Turn], batch: Batch, stopping: Callable[[], bool], errors: list[Exception]
    ) -> list[Made]:
        """The next looks, one a watch: as many as may wait for each other to be written together."""
        made, turns = list[Made](), list[Turn]()
        began = clock.monotonic()
        try:
            while waiting and not stopping():
                turns.append(waiting.popleft())
                made += self._tried(turns[-1], batch, errors)
                self._progress()
                if len(made) >= _WRITTEN or clock.monotonic() - began > _COMPANY or (made and made[-1].decides):
                    break
        except StoreUnavailableError:
            self._lose(turns)
            raise
        return made

    def _tried(self, turn: Turn, batch: Batch, errors: list[Exception]) -> list[Made]:
        try:
            return [self._looker.look(turn, batch)]
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001  # raised once the others have been looked at
            errors.append(error)
            self._push_forward(turn.claim, turn.watch, batch.now)
            return []

    def _write(self, made: Sequence[Made], now: float, errors: list[Exception]) -> list[Turn]:
        """Writes looks; the watches among theirs that are due again."""
        began = clock.monotonic()
        written = self._recorder.write(made, now)
        share = (clock.monotonic() - began) / max(len(made), 1)
        again, away = list[Turn](), None
        for one, result in zip(made, written, strict=True):
            try:
                after = self._after(one, result, one.seconds + share, now)
                if _due(after, now):
                    again.append(Turn(one.claim, after, one.gathered))
            except StoreUnavailableError as error:
                # Whether it is there is not known: the next look, here or elsewhere, starts from the store.
                self._lose([Turn(one.claim, one.before)])
                away = error
            except LeaseLostError:
                self._log.info("watch_lease_lost", watch=one.before.id)
                self._gather.forget(one.before.id)
            except Exception as error:  # noqa: BLE001  # raised once the others have been looked at
                errors.append(error)
        if away is not None:
            self._give_back(again)
            raise away
        return again

    def _after(self, one: Made, result: Outlook | Exception, seconds: float, now: float) -> Watch:
        """The watch after a look was written; raises why it was not."""
        if isinstance(result, LeaseLostError | StoreUnavailableError):
            raise result
        if isinstance(result, Exception):
            self._push_forward(one.claim, one.before, now)
            raise result
        self._observe(one.before, result, one.at, seconds)
        after = result.response.watch
        if after.ended:
            self._gather.forget(after.id)
        return after

    def _lose(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._gather.forget(turn.watch.id)
        self._give_back(turns)

    def _give_back(self, turns: Collection[Turn]) -> None:
        """Lets others look at once, if the store hears it; else, and where a row is being written, leases just end."""
        if not turns:
            return
        with suppress(StoreUnavailableError), self._database.write(alone=False) as tx:
            free = claims.lock_free(tx, [turn.claim for turn in turns])
            for turn in turns:
                if turn.claim.watch.id in free:
                    claims.release(tx, turn.claim)

    def _observe(self, before: Watch, outlook: Outlook, at: float, seconds: float) -> None:
        after = outlook.response.watch
        self._metrics.look_lag.observe(max(clock.now() - at, 0.0))
        self._metrics.look_duration.observe(seconds)
        said = after.outcome.value if after.outcome else after.reason.value
        self._metrics.looks.labels(after.service, said).inc()
        if outlook.blind:
            self._metrics.blind_seconds.labels(after.service).inc(outlook.blind)
        if after.outcome is not before.outcome and after.outcome is not None:
            self._metrics.decisions.labels(after.service, after.outcome.value, after.reason.value).inc()
            self._log.info(
                "watch_decided",
                watch=after.id,
                service=after.service,
                version=after.version,
                outcome=after.outcome.value,
                reason=after.reason.value,
                sentence=after.sentence,
            )
        for hold in (order.held for order in outlook.response.orders if order.held):
            self._metrics.held_rollbacks.labels(after.service, hold.value).inc()
            self._log.warning("rollback_held", watch=after.id, service=after.service, hold=hold.value)
        if after.state is not before.state:
            self._log.info("watch_state", watch=after.id, service=after.service, state=after.state.value)

    def _push_forward(self, claim: Claim, watch: Watch, now: float) -> None:
        """After an unexpected error, so that it cannot stop the others: the next look comes a step later; a watch that
        never succeeds ends in error.
        """
        self._gather.forget(watch.id)
        self._metrics.looks.labels(watch.service, "internal_error").inc()
        with suppress(LeaseLostError), self._database.write(alone=False) as tx:  # it may be another's by now
            if now < watch.ticket_until + schedule.grace(watch) or watch.state is WatchState.RECOVERING:
                claims.release(tx, claim, now + max(watch.policy.step, 5.0))
                return
            sentence = "The watcher failed on this watch until its window was over; its log says why."
            failed = replace(
                watch,
                state=WatchState.DONE,
                outcome=watch.outcome or Outcome.ERROR,
                reason=watch.reason if watch.outcome else Reason.INTERNAL_ERROR,
                sentence=watch.sentence if watch.outcome else sentence,
                ended_at=now,
                next_look_at=None,
            )
            claims.save(tx, claim, failed)
            watches.log(tx, watch.id, now, "failed", sentence)
            for order in deliver(note(failed, Topic.INCONCLUSIVE, sentence, now, self._base_url), watch.policy, now):
                orders.add(tx, order)


def _turn(claim: Claim, now: float) -> Turn:
    return Turn(claim, replace(claim.watch, next_look_at=schedule.time_of(claim.watch, now)))


def _due(watch: Watch, now: float) -> bool:
    return watch.next_look_at is not None and watch.next_look_at <= now
