"""What the store knows, shaped for the API and the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from watcher.model.decision import Outcome
from watcher.model.deploy import Deploy
from watcher.model.finding import Finding
from watcher.model.order import RollbackState
from watcher.model.series import Floats
from watcher.model.service import Signal
from watcher.model.tickets import Ticket
from watcher.model.watch import Watch
from watcher.store import deploys, looks, orders, watches
from watcher.store.database import Tx
from watcher.store.looks import Chart, Look
from watcher.store.orders import Order
from watcher.web.context import Banded
from watcher.web.schemas import (
    ChartsView,
    ChartView,
    DeployView,
    EventView,
    Numbers,
    RollbackDetail,
    RollbackView,
    SignalView,
    TicketView,
    WatchDetail,
    WatchView,
)

# For a deploy with several watches: whose word a pipeline should hear first. None: still to be waited for.
_GATES = (Outcome.REGRESSED, None, Outcome.ERROR, Outcome.INCONCLUSIVE, "superseded", "stopped", Outcome.HEALTHY)


def gate(watch: Watch) -> str | None:
    """What a pipeline should act on, or None while it must wait."""
    if watch.outcome is not None:
        return watch.outcome.value
    return watch.state.value if watch.ended else None


def worst(found: Sequence[Watch]) -> Watch:
    """The watch that decides for its deploy: one that regressed, else one that is still open, else the worst."""
    return min(found, key=lambda watch: _GATES.index(gate(watch)) if gate(watch) in _GATES else len(_GATES))


def watch_url(external_url: str, watch_id: str) -> str:
    return f"{external_url.rstrip('/')}/watches/{watch_id}"


def watch_view(watch: Watch, external_url: str) -> WatchView:
    return WatchView.model_validate(_fields(watch, external_url) | {"rollback": _rollback(watch)})


def _fields(watch: Watch, external_url: str) -> dict[str, object]:
    own = (
        *("id", "deploy_id", "service", "environment", "version", "previous_version", "state", "outcome", "reason"),
        *("sentence", "score", "started_at", "finished_at", "until", "ticket_until", "created_at", "last_look_at"),
        *("next_look_at", "decided_at", "ended_at", "recovered", "superseded_by", "blind_seconds"),
    )
    return {name: getattr(watch, name) for name in own} | {
        "mode": watch.policy.mode,
        "gate": gate(watch),
        "url": watch_url(external_url, watch.id),
    }


def _rollback(watch: Watch) -> RollbackView | None:
    if watch.rollback_id is None or watch.rollback_state is None:
        return None
    return RollbackView(
        id=watch.rollback_id,
        state=watch.rollback_state,
        target_version=watch.target_version,
        detail=watch.rollback_detail,
        held=watch.rollback_held,
    )


def watch_detail(tx: Tx, watch: Watch, external_url: str) -> WatchDetail:
    deploy = deploys.get(tx, watch.deploy_id)
    order = orders.rollback_of(tx, watch.id)
    opened = watches.ids_by_deploy(tx, [watch.deploy_id]).get(watch.deploy_id, ())
    siblings = [other for other in opened if other != watch.id]
    return WatchDetail.model_validate(
        _fields(watch, external_url)
        | {
            "rollback": _rollback_detail(watch, order),
            "signals": signal_views(watch, looks.last(tx, watch.id)),
            "events": [
                EventView(at=line.at, event=line.event, text=line.text) for line in watches.events_of(tx, watch.id)
            ],
            "links": dict(deploy.links) if deploy else {},
            "siblings": siblings,
        }
    )


def _rollback_detail(watch: Watch, order: Order | None) -> RollbackDetail | None:
    short = _rollback(watch)
    if short is None or order is None:
        return None
    return RollbackDetail(
        **short.model_dump(),
        requested_at=order.created_at,
        updated_at=order.updated_at,
        expires_at=order.expires_at,
        decided_by=order.decided_by,
        attempts=order.attempts,
    )


def signal_views(watch: Watch, look: Look | None) -> list[SignalView]:
    """Every signal of the watch's policy, with what the newest look found of it."""
    findings = {finding.name: finding for finding in look.findings.signals} if look else {}
    failures = look.failures if look else {}
    return [_signal(signal, findings.get(signal.name), failures.get(signal.name)) for signal in watch.policy.signals]


def _signal(signal: Signal, finding: Finding | None, failure: str | None) -> SignalView:
    found = finding or Finding(name=signal.name, state=None, cause=None)  # type: ignore[arg-type]  # shown as null
    own = (
        *("state", "cause", "note", "effect", "effect_low", "effect_high", "onset", "expected", "observed"),
        *("detectable", "detectable_events", "score", "points", "missing", "complete_until"),
    )
    return SignalView(
        name=signal.name,
        kind=signal.kind,
        harm=signal.harm,
        role=signal.role,
        failure=failure,
        **{name: getattr(found, name) for name in own},
    )


def deploy_views(tx: Tx, found: Sequence[Deploy]) -> list[DeployView]:
    opened = watches.ids_by_deploy(tx, [deploy.id for deploy in found])
    return [_deploy_view(deploy, opened.get(deploy.id, ())) for deploy in found]


def _deploy_view(deploy: Deploy, watch_ids: Sequence[str]) -> DeployView:
    own = (
        *("id", "hook", "phase", "environment", "version", "previous_version", "received_at", "started_at"),
        *("finished_at", "services", "attributes", "links", "rollback_id"),
    )
    return DeployView.model_validate({name: getattr(deploy, name) for name in own} | {"watch_ids": watch_ids})


def charts_view(tx: Tx, watch: Watch, samples: dict[str, Sequence[Ticket]], since: float, banded: Banded) -> ChartsView:
    """The charts of a watch from `since` on; `samples`: signal name -> recent tickets."""
    look = looks.last(tx, watch.id)
    onsets = {finding.name: finding.onset for finding in look.findings.signals} if look else {}
    return ChartsView(
        watch_id=watch.id,
        version=watch.version,
        started_at=watch.started_at,
        finished_at=watch.finished_at,
        until=watch.until,
        ticket_until=watch.ticket_until,
        rolled_back_at=_rolled_back_at(tx, watch),
        signals=[
            _chart(
                signal,
                banded(tx, watch, signal.name, looks.chart(tx, watch.id, signal.name)),
                onsets.get(signal.name),
                samples.get(signal.name, ()),
                since,
            )
            for signal in watch.policy.signals
        ],
    )


def _rolled_back_at(tx: Tx, watch: Watch) -> float | None:
    if watch.rollback_state not in (RollbackState.ACCEPTED, RollbackState.VERIFIED):
        return None
    times = {line.event: line.at for line in watches.events_of(tx, watch.id)}
    return times.get("rollback_verified", times.get("rollback_accepted"))


def _chart(signal: Signal, chart: Chart, onset: float | None, tickets: Sequence[Ticket], since: float) -> ChartView:
    keep = chart.times >= since
    values = quotients(chart.values, chart.totals)
    return ChartView(
        name=signal.name,
        kind=signal.kind,
        harm=signal.harm,
        role=signal.role,
        is_tickets=signal.is_tickets,
        step=signal.step,
        t=chart.times[keep].tolist(),
        value=_numbers(values[keep]),
        expected=_numbers(chart.expected[keep]),
        low=_numbers(chart.low[keep]),
        high=_numbers(chart.high[keep]),
        onset=onset,
        tickets=[
            TicketView(id=ticket.id, created_at=ticket.created_at, subject=ticket.subject, url=ticket.url)
            for ticket in tickets
        ],
    )


def quotients(values: Floats, totals: Floats) -> Floats:
    """`values / totals` where there is a total, else `values`; NaN where the total is zero."""
    if np.isnan(totals).all():
        return values
    result = np.full_like(values, np.nan)
    np.divide(values, totals, out=result, where=np.isfinite(totals) & (totals != 0))
    return result


def _numbers(values: Floats) -> Numbers:
    return [value if np.isfinite(value) else None for value in values.tolist()]
