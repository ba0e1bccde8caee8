"""One look at one watch: gather, detect, decide. It writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from watcher import detect, verdict
from watcher.engine import blindness, respond, schedule
from watcher.engine.asking import Answers
from watcher.engine.facts import Surroundings, blames, certain, context_of, record_of
from watcher.engine.gather import Gather, Gathered
from watcher.engine.recording import Made, Outlook
from watcher.kit import clock
from watcher.model.decision import Outcome
from watcher.model.finding import Recovery, State
from watcher.model.order import RollbackState
from watcher.model.watch import Watch, WatchState
from watcher.store import looks, watches
from watcher.store.claims import Claim
from watcher.store.database import Database
from watcher.store.looks import Look

_SETTLED = frozenset({RollbackState.ACCEPTED, RollbackState.VERIFIED, RollbackState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed watch that is to be looked at; `gathered` once it was looked at in this turn."""

    claim: Claim
    watch: Watch
    gathered: Gathered | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Watches looked at together, at `now`: what was asked for all of them, and who else deployed."""

    now: float
    told: Answers
    around: Surroundings


class Looker:
    """Makes looks; safe to use from several threads, for different watches."""

    def __init__(self, database: Database, gather: Gather, base_url: str) -> None:
        self._database = database
        self._gather = gather
        self._base_url = base_url

    def look(self, turn: Turn, batch: Batch) -> Made:
        """The next look at a watch, not yet written.

        Raises:
            StoreUnavailableError: what came before cannot be read.
        """
        watch, now = turn.watch, batch.now
        # Questions are asked once: what later looks of this turn may see was answered with the first one's.
        gathered = turn.gathered or self._gather.gather(watch, now, batch.told)
        began = clock.monotonic()
        at = watch.next_look_at if watch.next_look_at is not None else now
        ours = gathered.last is not None and gathered.last.at == watch.last_look_at  # nobody else has looked since
        previous = gathered.last if ours else self._last_look(watch)
        if watch.state is WatchState.RECOVERING:
            outlook = self._recovery_look(watch, gathered, previous, at, now)
        else:
            outlook = self._harm_look(watch, gathered, previous, batch, at)
        return Made(turn.claim, watch, gathered, outlook, at, clock.monotonic() - began, ours)

    def _harm_look(
        self,
        watch: Watch,
        gathered: Gathered,
        previous: Look | None,
        batch: Batch,
        at: float,
    ) -> Outlook:
        now = batch.now
        before = previous.findings if previous else None
        findings = detect.look(gathered.calibration, gathered.recent, at, before, gathered.judged)
        facts = respond.Facts(
            history=(),
            last_look=schedule.is_last_look(watch, at, gathered.recent),
            last_ticket_look=schedule.is_last_ticket_look(watch, at, gathered.recent),
            base_url=self._base_url,
            now=now,
        )
        context = context_of(watch, gathered.failures, (), facts.last_look, facts.last_ticket_look)
        if blames(findings):
            others = batch.around.of(watch, fresh=certain(findings) and watch.outcome is None)
            context = replace(context, nearby=verdict.telling(context, findings, others))
        decision = verdict.decide(context, findings)
        if decision.outcome is Outcome.REGRESSED:
            facts = self._with_history(facts, watch)
        blind = blindness.blind_time(watch, findings, gathered.failures, at)
        response = respond.respond(watch, blindness.with_blind_time(decision, watch.blind_seconds + blind), facts)
        record = record_of(gathered, now, context, decision)
        look = Look(watch.id, at, now, findings, decision, dict(gathered.failures), record)
        return Outlook(look, blindness.told(watch, response, findings, blind, now, self._base_url), blind)

    def _last_look(self, watch: Watch) -> Look | None:
        with self._database.read() as tx:
            return looks.last(tx, watch.id)

    def _with_history(self, facts: respond.Facts, watch: Watch) -> respond.Facts:
        """What came before, without which nobody knows where to go back to."""
        with self._database.read() as tx:
            history = watches.history(tx, watch.service, watch.environment)
            regressed = watches.regressed_versions(tx, watch.service, watch.environment)
        return replace(facts, history=history, regressed=regressed)

    def _recovery_look(self, watch: Watch, gathered: Gathered, previous: Look | None, at: float, now: float) -> Outlook:
        """While the rollback is on its way only points are gathered; then the signals are watched coming back."""
        accepted = watch.rollback_state in _SETTLED and watch.recovery_until is not None
        since = watch.recovery_until - watch.policy.recovery_window if accepted and watch.recovery_until else now
        if not accepted or at < since:
            latest = schedule.newest(watch, at, since)  # before it there is nothing to see, however long we were away
            waiting = replace(watch, last_look_at=latest, next_look_at=schedule.next_look(watch, latest))
            return Outlook(None, respond.Response(waiting), 0.0)
        recoveries = detect.recovery(gathered.calibration, gathered.recent, since, at)
        harmed = previous.findings.signals if previous else ()
        names = [finding.name for finding in harmed if finding.state is State.ALARM] or list(recoveries)
        chosen = {name: recoveries.get(name, Recovery.UNMEASURABLE) for name in names}
        response = respond.respond_to_recovery(watch, chosen, at=at, now=now, base_url=self._base_url)
        return Outlook(None, response, 0.0)
