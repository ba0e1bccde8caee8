"""One look at one watch: gather, detect, decide, and write all of it in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from watcher import detect, verdict
from watcher.engine import blindness, respond, schedule
from watcher.engine.asking import Answers
from watcher.engine.facts import NEARBY, blames, context_of, nearby, record_of
from watcher.engine.gather import Gather, Gathered, write_points
from watcher.engine.lease import Keeper
from watcher.engine.notes import deliver, note
from watcher.errors import LeaseLostError, StoreUnavailableError
from watcher.kit import clock
from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Recovery, State
from watcher.model.order import RollbackOrder, RollbackState, Topic
from watcher.model.service import Freeze
from watcher.model.watch import Watch, WatchState
from watcher.store import claims, deploys, looks, orders, records, watches
from watcher.store.claims import Claim
from watcher.store.database import Database, Tx
from watcher.store.looks import Look
from watcher.telemetry.metrics import Metrics
from watcher.verdict import Nearby
from watcher.verdict.restraint import HOUR, restraint

_TOGETHER = 100  # watches that one question may serve
_FIRST_TOGETHER = 16  # whole histories are held in memory
_SETTLED = frozenset({RollbackState.ACCEPTED, RollbackState.VERIFIED, RollbackState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Outlook:
    """One look's work, before it is written."""

    look: Look | None
    response: respond.Response
    blind: float


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
    ) -> None:
        """`rollbacks_per_hour`: how many of all services together may go without a person's word. `freezes`: service ->
        those of the configuration, which hold for watches that began under another, too.
        """
        self._database = database
        self._gather = gather
        self._keeper = keeper
        self._metrics = metrics
        self._base_url = base_url
        self._log = log
        self._rollbacks_per_hour = rollbacks_per_hour
        self._freezes = freezes

    def step(self, now: float, stopping: Callable[[], bool], *, first: bool | None = None) -> bool:
        """Claims due watches and makes every look that is due on them; whether there was one.

        `first`: only watches that were never looked at, or only others; learning what is normal must not delay looks.
        """
        most = _FIRST_TOGETHER if first else _TOGETHER
        with self._database.write(alone=False) as tx:
            taken = claims.take_due(tx, now, self._keeper.owner, most, self._keeper.lease_seconds, first=first)
        if not taken:
            return False
        with ExitStack() as kept:
            for claim in taken:
                kept.enter_context(self._keeper.keeping_watch(claim.watch.id))
            self._look_at_all(taken, now, stopping)
        return True

    def _look_at_all(self, taken: Sequence[Claim], now: float, stopping: Callable[[], bool]) -> None:
        """Asks for all of them together; what goes wrong with one is raised once the others have been looked at."""
        waiting, errors = list(taken), list[Exception]()
        try:
            told = self._gather.ask([claim.watch for claim in taken], now)
            while waiting and not stopping():
                try:
                    self._look_until(waiting.pop(0), told, now, stopping)
                except StoreUnavailableError:
                    raise
                except Exception as error:  # noqa: BLE001  # raised below
                    errors.append(error)
        finally:
            for claim in waiting:
                self._give_back(claim)
        for other in errors[1:]:
            self._log.error("look_failed", exception=repr(other))
        if errors:
            raise errors[0]

    def _look_until(self, claim: Claim, told: Answers, now: float, stopping: Callable[[], bool]) -> None:
        watch = claim.watch
        try:
            gathered = self._gather.gather(watch, now, told)
            while _due(watch, now) and not stopping():
                watch = self._look(claim, watch, gathered, now)
            if _due(watch, now):  # we are to stop; else the last look has given it back
                with self._database.write(alone=False) as tx:
                    claims.release(tx, claim)
        except LeaseLostError:
            self._log.info("watch_lease_lost", watch=watch.id)
            self._gather.forget(watch.id)
        except StoreUnavailableError:
            # Whether the last write is there is not known: the next look, here or elsewhere, starts from the store.
            self._gather.forget(watch.id)
            self._give_back(claim)
            raise
        except Exception:
            # A poisoned watch is pushed forward, so that it cannot stop the others; then the error is loud.
            self._gather.forget(watch.id)
            self._push_forward(claim, watch, now)
            raise
        if watch.ended:
            self._gather.forget(watch.id)

    def _give_back(self, claim: Claim) -> None:
        """Lets others look at once, if the store hears it; else the lease ends by itself."""
        with suppress(StoreUnavailableError), self._database.write(alone=False) as tx:
            claims.release(tx, claim)

    def _look(self, claim: Claim, watch: Watch, gathered: Gathered, now: float) -> Watch:
        began = clock.monotonic()
        at = watch.next_look_at if watch.next_look_at is not None else now
        ours = gathered.last is not None and gathered.last.at == watch.last_look_at  # nobody else has looked since
        previous = gathered.last if ours else self._last_look(watch)
        if watch.state is WatchState.RECOVERING:
            outlook = self._recovery_look(watch, gathered, previous, at, now)
        else:
            outlook = self._harm_look(watch, gathered, previous, at, now)
        outlook = self._write(claim, watch, gathered, outlook, now, ours=ours)
        self._observe(watch, outlook, at, clock.monotonic() - began)
        return outlook.response.watch

    def _harm_look(
        self,
        watch: Watch,
        gathered: Gathered,
        previous: Look | None,
        at: float,
        now: float,
    ) -> Outlook:
        findings = detect.look(gathered.calibration, gathered.recent, at, previous.findings if previous else None)
        facts = respond.Facts(
            history=(),
            last_look=schedule.is_last_look(watch, at, gathered.recent),
            last_ticket_look=schedule.is_last_ticket_look(watch, at, gathered.recent),
            base_url=self._base_url,
            now=now,
        )
        others = self._nearby(watch) if blames(findings) else ()
        context = context_of(watch, gathered.failures, others, facts.last_look, facts.last_ticket_look)
        decision = verdict.decide(context, findings)
        if decision.outcome is Outcome.REGRESSED:
            facts = self._with_history(facts, watch)
        blind = blindness.blind_time(watch, findings, gathered.failures, at)
        response = respond.respond(watch, blindness.with_blind_time(decision, watch.blind_seconds + blind), facts)
        record = record_of(gathered, now, last_look=facts.last_look, last_ticket_look=facts.last_ticket_look)
        look = Look(watch.id, at, now, findings, decision, dict(gathered.failures), record)
        return Outlook(look, blindness.told(watch, response, findings, blind, now, self._base_url), blind)

    def _last_look(self, watch: Watch) -> Look | None:
        with self._database.read() as tx:
            return looks.last(tx, watch.id)

    def _nearby(self, watch: Watch) -> tuple[Nearby, ...]:
        with self._database.read() as tx:
            return nearby(watch, deploys.since(tx, watch.started_at - NEARBY))

    def _with_history(self, facts: respond.Facts, watch: Watch) -> respond.Facts:
        """What came before, without which nobody knows where to go back to."""
        with self._database.read() as tx:
            history = watches.history(tx, watch.service, watch.environment)
            regressed = watches.regressed_versions(tx, watch.service, watch.environment)
        return replace(facts, history=history, regressed=regressed)

    def _recovery_look(self, watch: Watch, gathered: Gathered, previous: Look | None, at: float, now: float) -> Outlook:
        """While the rollback is on its way only points are gathered; then the signals are watched coming back."""
        accepted = watch.rollback_state in _SETTLED and watch.recovery_until is not None
        if not accepted or watch.recovery_until is None:
            waiting = replace(watch, last_look_at=at, next_look_at=schedule.next_look(watch, at))
            return Outlook(None, respond.Response(waiting), 0.0)
        since = watch.recovery_until - watch.policy.recovery_window
        recoveries = detect.recovery(gathered.calibration, gathered.recent, since, at)
        harmed = previous.findings.signals if previous else ()
        names = [finding.name for finding in harmed if finding.state is State.ALARM] or list(recoveries)
        chosen = {name: recoveries.get(name, Recovery.UNMEASURABLE) for name in names}
        response = respond.respond_to_recovery(watch, chosen, at=at, now=now, base_url=self._base_url)
        return Outlook(None, response, 0.0)

    def _write(
        self, claim: Claim, before: Watch, gathered: Gathered, outlook: Outlook, now: float, *, ours: bool
    ) -> Outlook:
        """Writes the look and what follows from it; what was really written, for a rollback may have to wait.

        `ours`: the store has nothing of this watch that `gathered` does not know.
        """
        decides = bool(outlook.response.orders)  # a budget is asked and spent at once
        with self._database.write(alone=decides) as tx:
            response = self._restrained(tx, outlook.response, now)
            claims.save(tx, claim, response.watch, release=not _due(response.watch, now))
            if outlook.look is not None:
                looks.add(tx, outlook.look, new=ours)
            if gathered.settled and not gathered.stored:
                looks.keep_calibration(tx, before.id, now, gathered.data)
            elif not gathered.settled and outlook.look is not None:
                records.keep_provisional(tx, before.id, now, gathered.data)
            write_points(tx, before.id, gathered, now, ours=ours)
            for order in response.orders:
                orders.add(tx, order)
            for event, line in response.events:
                watches.log(tx, before.id, now, event, line)
        gathered.written(outlook.look)
        return replace(outlook, response=response)

    def _restrained(self, tx: Tx, response: respond.Response, now: float) -> respond.Response:
        """The response, asking a person where a freeze or a budget forbids to go on alone."""
        policy = response.watch.policy
        acts = any(isinstance(order.payload, RollbackOrder) and not order.expires_at for order in response.orders)
        if not acts:
            return response
        spent, added = orders.spent(tx, now - HOUR), self._freezes.get(policy.name, ())
        held = restraint(policy, spent, self._rollbacks_per_hour, now, added)
        return respond.hold_back(response, held, self._base_url, now) if held else response

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
        """After an unexpected error: the next look comes a step later; a watch that never succeeds ends in error."""
        self._metrics.looks.labels(watch.service, "internal_error").inc()
        with self._database.write(alone=False) as tx:
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


def _due(watch: Watch, now: float) -> bool:
    return watch.next_look_at is not None and watch.next_look_at <= now
