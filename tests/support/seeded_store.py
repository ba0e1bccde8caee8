"""A store full of watches in every state, as the page and the API should show them; times hang on `now`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.sqlite_store import sqlite_store

from watcher.model.decision import Decision, Outcome, Reason
from watcher.model.deploy import Deploy, Phase
from watcher.model.finding import Band, Cause, Finding, Findings, State
from watcher.model.order import RollbackOrder, RollbackState
from watcher.model.series import Series
from watcher.model.service import Harm, Kind, Mode, Role, Service, Signal
from watcher.model.tickets import Ticket
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, looks, orders, watches
from watcher.store.database import Database, Tx
from watcher.store.looks import Look
from watcher.store.orders import Order

STEP = 60.0
HISTORY = 6 * 3600.0

CONVERSION = Signal("conversion", Kind.RATIO, Harm.DOWN, "prom", STEP, min_effect=0.03)
LATENCY = Signal("p95 latency", Kind.LATENCY, Harm.UP, "prom", STEP, min_effect=0.2)
TICKETS = Signal("tickets", Kind.COUNT, Harm.UP, "helpdesk", 300.0, is_tickets=True, role=Role.SUPPORTING)
SESSIONS = Signal("sessions", Kind.RATE, Harm.EITHER, "prom", STEP, role=Role.CONTROL)
CHECKOUT = Service(
    name="checkout",
    match={"service": "checkout", "environment": "production"},
    signals=(LATENCY, CONVERSION, TICKETS, SESSIONS),
    mode=Mode.ASK,
    rollback="hook",
)
SEARCH = Service(
    name="search", match={"service": "search", "environment": "production"}, signals=(LATENCY,), mode=Mode.ACT
)
SERVICES: Mapping[str, Service] = {"checkout": CHECKOUT, "search": SEARCH}

REGRESSED_SENTENCE = (
    "conversion fell 31 % (between 26 % and 36 %), to 2.4 % instead of the expected 3.5 %, since 1 min after the"
    " deploy; with it p95 latency rose 42 %; chance does this in fewer than one in 100,000 quiet windows, it was not"
    " there before the deploy and sessions, which the deploy cannot touch, did not move with it, so this deploy is the"
    " likely cause."
)
SAMPLES = (
    Ticket("4711", 0.0, "Cannot pay: the button spins for ever", "", "https://help.example/tickets/4711"),
    Ticket("4712", 0.0, "Charged twice? My order [redacted] is missing", "", "https://help.example/tickets/4712"),
    Ticket("4713", 0.0, "<script>alert('pay')</script> checkout broken", "", ""),
)


@dataclass(frozen=True, slots=True)
class Seeded:
    """The store and what is in it; ids by what the watch shows."""

    database: Database
    now: float
    regressed: Watch  # rolled back, recovered
    waiting: Watch  # for approval
    healthy: Watch
    inconclusive: Watch
    watching: Watch
    superseded: Watch
    unwatched: Deploy

    def samples(self, watch_id: str, signal: str) -> Sequence[Ticket]:
        if watch_id not in {self.regressed.id, self.waiting.id} or signal != TICKETS.name:
            return ()
        return [replace(one, created_at=self.now - 300 * (index + 1)) for index, one in enumerate(SAMPLES)]


def seeded_copy(folder: Path) -> Seeded:
    """A store in `folder`, filled with what was true some moments ago; the caller closes it."""
    content, seeded = _template()
    file = folder / "watcher.db"
    file.write_bytes(content)
    return replace(seeded, database=Database(f"sqlite:///{file}"))


@cache
def _template() -> tuple[bytes, Seeded]:
    """Made once: migrations and thousands of points take their time."""
    with TemporaryDirectory() as folder:
        database = sqlite_store(Path(folder))
        seeded = seed(database, time.time())
        database.close()  # moves the write-ahead log into the file
        return (Path(folder) / "watcher.db").read_bytes(), seeded


def seed(database: Database, now: float) -> Seeded:
    """Fills an empty store."""
    now = float(int(now))
    with database.write() as tx:
        return Seeded(
            database=database,
            now=now,
            superseded=_superseded(tx, now),
            inconclusive=_inconclusive(tx, now),
            regressed=_regressed(tx, now),
            healthy=_healthy(tx, now),
            unwatched=_unwatched(tx, now),
            waiting=_waiting(tx, now),
            watching=_watching(tx, now),
        )


def opened(tx: Tx, service: Service, version: str, finished_at: float, number: int, window: float = 3600.0) -> Watch:
    """A deploy and its watch, as `receive` would have written them."""
    deploy = Deploy(
        id=f"d-{number:04}",
        identity=f"generic:{service.name}/production#{number}",
        hook="pipeline",
        phase=Phase.FINISHED,
        environment="production",
        version=version,
        received_at=finished_at + 1,
        started_at=finished_at - 90,
        finished_at=finished_at,
        previous_version=f"v{number - 1}",
        services=(service.name,),
        attributes={"service": service.name, "environment": "production"},
        links={"Pipeline run": f"https://ci.example/runs/{number}", "Changes": "https://git.example/compare"},
    )
    deploys.put(tx, deploy)
    watch = Watch(
        id=f"w-{number:04}",
        deploy_id=deploy.id,
        service=service.name,
        environment="production",
        version=version,
        previous_version=deploy.previous_version,
        policy=service,
        state=WatchState.SCHEDULED,
        started_at=deploy.started_at,
        finished_at=finished_at,
        until=finished_at + window,
        ticket_until=finished_at + window,
        created_at=finished_at + 1,
        next_look_at=finished_at + 60,
    )
    watches.open_watch(tx, watch)
    watches.log(tx, watch.id, watch.created_at, "opened", f"deploy {version} to production finished")
    return watch


def look(
    tx: Tx, watch: Watch, at: float, findings: Sequence[Finding], failures: Mapping[str, str] | None = None
) -> None:
    """A look that wrote what `watch` says."""
    decision = Decision(watch.outcome, watch.reason, watch.sentence, at, watch.score)
    looks.add(tx, Look(watch.id, at, at + 1, Findings(at, watch.score, tuple(findings)), decision, failures or {}))


def series(
    signal: Signal, watch: Watch, until: float, level: float, factor: float, seed_number: int
) -> tuple[Series, Band]:
    """A day's wave with noise, times `factor` after the deploy; with the band that was expected."""
    random = np.random.default_rng(seed_number)
    start = watch.started_at - HISTORY
    times = np.arange(np.ceil(start / signal.step), np.floor(until / signal.step) + 1) * signal.step
    wave = level * (1 + 0.15 * np.sin(2 * np.pi * times / 86400.0))
    noisy = wave * (1 + 0.05 * random.standard_normal(len(times)))
    values = np.where(times > watch.started_at + signal.step, noisy * factor, noisy)
    totals = None
    if signal.kind is Kind.RATIO:
        totals = np.round(1000 + 100 * random.standard_normal(len(times)))
        values = values * totals
    if signal.is_tickets:
        values = random.poisson(np.maximum(values, 0.0)).astype(np.float64)
    values[len(values) // 3 : len(values) // 3 + 5] = np.nan  # a gap in the history
    measured = Series(times=times, values=values, step=signal.step, complete_until=until, totals=totals)
    return measured, Band(times=times, expected=wave, low=wave * 0.87, high=wave * 1.13)


def _points(tx: Tx, watch: Watch, until: float, factors: Mapping[str, float]) -> None:
    levels = {"conversion": 0.035, "p95 latency": 0.24, "tickets": 3.0, "sessions": 41.0}
    for index, signal in enumerate(watch.policy.signals):
        factor = factors.get(signal.name, 1.0)
        measured, band = series(signal, watch, until, levels[signal.name], factor, int(watch.id[2:]) + index)
        looks.add_points(tx, watch.id, signal.name, measured, band)


def _finding(signal: Signal, state: State, cause: Cause, watch: Watch, until: float, **more: float | str) -> Finding:
    return Finding(
        name=signal.name,
        state=state,
        cause=cause,
        points=int((until - watch.started_at) / signal.step),
        complete_until=until,
        **more,  # type: ignore[arg-type]  # the caller names fields of Finding
    )


def harmed(watch: Watch, until: float) -> list[Finding]:
    onset = watch.started_at + 60
    return [
        _finding(
            LATENCY, State.SUSPECT, Cause.LEVEL_SHIFT, watch, until,
            effect=0.42, effect_low=0.2, effect_high=0.64, onset=onset, expected=0.24, observed=0.341, detectable=0.12,
            score=1.6,
        ),
        _finding(
            CONVERSION, State.ALARM, Cause.LEVEL_SHIFT, watch, until,
            effect=-0.31, effect_low=-0.36, effect_high=-0.26, onset=onset, expected=0.0352, observed=0.0243,
            detectable=0.041, score=5.2,
        ),
        _finding(
            TICKETS, State.QUIET, Cause.NO_HARM, watch, until,
            effect=0.2, effect_low=-0.3, effect_high=0.7, expected=3.0, observed=3.6, detectable=0.9, score=0.4,
        ),
    ]  # fmt: skip


def quiet(watch: Watch, until: float) -> list[Finding]:
    return [
        _finding(
            signal, State.QUIET, Cause.NO_HARM, watch, until,
            effect=0.004, effect_low=-0.02, effect_high=0.03, expected=level, observed=level * 1.004, detectable=0.05,
            score=0.2,
        )
        for signal, level in ((LATENCY, 0.24), (CONVERSION, 0.035), (TICKETS, 3.0))
        if signal in watch.policy.signals
    ]  # fmt: skip


def _rollback(tx: Tx, watch: Watch, at: float, state: RollbackState, detail: str, expires_at: float | None) -> None:
    payload = RollbackOrder(
        rollback_id=f"r-{watch.id[2:]}",
        watch_id=watch.id,
        deploy_id=watch.deploy_id,
        service=watch.service,
        environment=watch.environment,
        bad_version=watch.version,
        target_version=watch.previous_version or "v0",
        sentence=watch.sentence,
        url=f"http://watcher.example/watches/{watch.id}",
    )
    orders.add(
        tx,
        Order(
            id=payload.rollback_id,
            watch_id=watch.id,
            target=watch.service,
            payload=payload,
            state=state,
            created_at=at,
            updated_at=at,
            next_at=None,
            expires_at=expires_at,
            detail=detail,
        ),
    )


def _saved(tx: Tx, watch: Watch) -> Watch:
    watches.change(tx, watch)
    saved = watches.get(tx, watch.id)
    assert saved is not None
    return saved


def _regressed(tx: Tx, now: float) -> Watch:
    watch = opened(tx, replace(CHECKOUT, mode=Mode.ACT), "v41", now - 5 * 3600, 41)
    at = watch.finished_at + 11 * 60
    watch = replace(
        watch,
        state=WatchState.DONE,
        outcome=Outcome.REGRESSED,
        reason=Reason.LEVEL_SHIFT,
        sentence=REGRESSED_SENTENCE,
        score=5.2,
        last_look_at=at,
        next_look_at=None,
        decided_at=at,
        ended_at=at + 900,
        recovered=True,
    )
    look(tx, watch, at, harmed(watch, at))
    _points(tx, watch, at, {"conversion": 0.69, "p95 latency": 1.42})
    _recovered(tx, watch, at, at + 900)
    _rollback(tx, watch, at, RollbackState.VERIFIED, "the pipeline answered 202", None)
    watches.log(tx, watch.id, at, "regressed", REGRESSED_SENTENCE)
    watches.log(tx, watch.id, at + 2, "rollback_accepted", "the pipeline answered 202")
    watches.log(tx, watch.id, at + 65, "rollback_verified", "the pipeline announced v40: the rollback is confirmed")
    watches.log(tx, watch.id, at + 900, "recovered", "conversion and p95 latency are back where they were expected")
    return _saved(tx, watch)


def _recovered(tx: Tx, watch: Watch, start: float, end: float) -> None:
    """Points as before the deploy, from `start` to `end`."""
    levels = {"conversion": 0.035, "p95 latency": 0.24, "tickets": 3.0, "sessions": 41.0}
    for signal in watch.policy.signals:
        measured, band = series(signal, watch, end, levels[signal.name], 1.0, 7)
        keep = measured.times > start
        after = Band(band.times[keep], band.expected[keep], band.low[keep], band.high[keep])
        looks.add_points(tx, watch.id, signal.name, measured.between(start, end), after)


def _waiting(tx: Tx, now: float) -> Watch:
    watch = opened(tx, CHECKOUT, "v43", now - 13 * 60, 43)
    watch = replace(
        watch,
        state=WatchState.WATCHING,
        outcome=Outcome.REGRESSED,
        reason=Reason.LEVEL_SHIFT,
        sentence=REGRESSED_SENTENCE,
        score=5.2,
        last_look_at=now - 20,
        next_look_at=now + 40,
        decided_at=now - 120,
    )
    look(tx, watch, now - 20, harmed(watch, now - 20))
    _points(tx, watch, now - 20, {"conversion": 0.69, "p95 latency": 1.42, "tickets": 2.0})
    _rollback(tx, watch, now - 120, RollbackState.PLANNED, "", now + 1680)
    watches.log(tx, watch.id, now - 120, "regressed", REGRESSED_SENTENCE)
    watches.log(tx, watch.id, now - 119, "approval_wanted", "roll back to v42?")
    return _saved(tx, watch)


def _healthy(tx: Tx, now: float) -> Watch:
    watch = opened(tx, CHECKOUT, "v42", now - 3 * 3600, 42)
    watch = replace(
        watch,
        state=WatchState.DONE,
        outcome=Outcome.HEALTHY,
        reason=Reason.NO_HARM,
        sentence=(
            "p95 latency, conversion and tickets did no worse than expected for 60 min after the deploy; a 5 % rise in"
            " p95 latency or a 5 % loss in conversion would have shown four times in five."
        ),
        score=0.2,
        last_look_at=watch.until,
        next_look_at=None,
        decided_at=watch.until,
        ended_at=watch.until,
    )
    look(tx, watch, watch.until, quiet(watch, watch.until))
    _points(tx, watch, watch.until, {})
    watches.log(tx, watch.id, watch.until, "healthy", watch.sentence)
    return _saved(tx, watch)


def _inconclusive(tx: Tx, now: float) -> Watch:
    watch = opened(tx, SEARCH, "2026.11.20-3", now - 26 * 3600, 20)
    watch = replace(
        watch,
        state=WatchState.DONE,
        outcome=Outcome.INCONCLUSIVE,
        reason=Reason.SOURCE_FAILED,
        sentence=(
            "p95 latency could not be measured to the end because prom failed (prometheus: connection refused), so harm"
            " may have gone unseen; it can be judged again once prom answers."
        ),
        last_look_at=watch.until,
        next_look_at=None,
        decided_at=watch.until,
        ended_at=watch.until,
        blind_seconds=2580.0,
    )
    seen_until = watch.finished_at + 17 * 60
    finding = _finding(LATENCY, State.UNMEASURABLE, Cause.STALE_DATA, watch, seen_until, note="")
    look(tx, watch, watch.until, [finding], {"p95 latency": "prometheus: connection refused"})
    _points(tx, watch, seen_until, {})
    watches.log(tx, watch.id, seen_until, "blind", "p95 latency: prometheus: connection refused")
    watches.log(tx, watch.id, watch.until, "inconclusive", watch.sentence)
    return _saved(tx, watch)


def _watching(tx: Tx, now: float) -> Watch:
    watch = opened(tx, SEARCH, "2026.11.21-1", now - 600, 44, window=1800.0)
    watch = replace(
        watch,
        state=WatchState.WATCHING,
        sentence="10 min into the 30 min window: no harm in p95 latency so far.",
        last_look_at=now - 10,
        next_look_at=now + 50,
    )
    look(tx, watch, now - 10, quiet(watch, now - 10))
    _points(tx, watch, now - 10, {})
    return _saved(tx, watch)


def _superseded(tx: Tx, now: float) -> Watch:
    watch = opened(tx, SEARCH, "2026.11.20-2", now - 27 * 3600, 19)
    ended_at = watch.finished_at + 900
    watch = replace(
        watch,
        state=WatchState.SUPERSEDED,
        sentence="15 min into the 60 min window: no harm in p95 latency so far.",
        next_look_at=None,
        ended_at=ended_at,
        superseded_by="d-0020",
    )
    watches.log(tx, watch.id, ended_at, "superseded", "deploy 2026.11.20-3 took its place")
    return _saved(tx, watch)


def _unwatched(tx: Tx, now: float) -> Deploy:
    deploy = Deploy(
        id="d-0900",
        identity="generic:wiki/production#1",
        hook="pipeline",
        phase=Phase.FINISHED,
        environment="production",
        version="1.8.0",
        received_at=now - 3600,
        started_at=now - 3660,
        finished_at=now - 3600,
        attributes={"service": "wiki", "environment": "production"},
    )
    deploys.put(tx, deploy)
    return deploy
