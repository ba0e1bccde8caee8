"""What follows from a decision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.made import NOW, decision, service, watch

from watcher.engine.respond import Facts, Response, respond, respond_to_recovery
from watcher.model.decision import Outcome, Reason
from watcher.model.finding import Recovery
from watcher.model.order import Note, RollbackOrder, RollbackState, Topic
from watcher.model.service import Mode
from watcher.model.watch import WatchState

DURING = Facts(history=(), last_look=False, last_ticket_look=False, base_url="http://watcher", now=NOW + 61)
METRICS_OVER = replace(DURING, last_look=True)
OVER = replace(DURING, last_look=True, last_ticket_look=True)
REGRESSED = decision(Outcome.REGRESSED, Reason.LEVEL_SHIFT)
HEALTHY = decision(Outcome.HEALTHY, Reason.NO_HARM)


def topics(response: Response) -> list[Topic]:
    return [order.payload.topic for order in response.orders if isinstance(order.payload, Note)]


def rollbacks(response: Response) -> list[RollbackOrder]:
    return [order.payload for order in response.orders if isinstance(order.payload, RollbackOrder)]


def test_act_rolls_back_to_the_explicit_version_and_watches_on() -> None:
    response = respond(watch(), REGRESSED, DURING)
    (order,) = rollbacks(response)
    assert (order.bad_version, order.target_version, order.url) == ("v2", "v1", "http://watcher/watches/w-1")
    assert response.orders[0].state is RollbackState.PLANNED
    assert response.orders[0].next_at == DURING.now
    assert response.watch.state is WatchState.RECOVERING
    assert response.watch.outcome is Outcome.REGRESSED
    assert topics(response) == [Topic.REGRESSED]


def test_ask_waits_for_a_person_until_it_expires() -> None:
    response = respond(watch(policy=service(mode=Mode.ASK, approval_timeout=1800.0)), REGRESSED, DURING)
    assert response.orders[0].expires_at == DURING.now + 1800
    assert response.orders[0].next_at == DURING.now + 1800
    assert response.watch.state is WatchState.WATCHING
    assert topics(response) == [Topic.APPROVAL_WANTED]


def test_observe_only_tells() -> None:
    response = respond(watch(policy=service(mode=Mode.OBSERVE)), REGRESSED, DURING)
    assert not rollbacks(response)
    assert topics(response) == [Topic.REGRESSED]
    # it is watched to its end, for the record, and nobody is told again
    assert response.watch.state is WatchState.WATCHING
    later = respond(response.watch, REGRESSED, OVER)
    assert (later.watch.state, later.watch.outcome) == (WatchState.DONE, Outcome.REGRESSED)
    assert not later.orders


def test_without_a_version_to_go_back_to_a_person_is_called() -> None:
    response = respond(watch(previous_version=None), REGRESSED, DURING)
    assert not rollbacks(response)
    assert response.watch.outcome is Outcome.REGRESSED
    assert topics(response) == [Topic.NO_ROLLBACK_TARGET]


@pytest.mark.parametrize("reason", [Reason.PRE_EXISTING, Reason.NO_DATA, Reason.SUSPECT, Reason.AMBIGUOUS_DEPLOYS])
def test_what_is_unknown_never_rolls_back(reason: Reason) -> None:
    response = respond(watch(), decision(Outcome.INCONCLUSIVE, reason), OVER)
    assert not rollbacks(response)
    assert response.watch.state is WatchState.DONE
    assert topics(response) == [Topic.INCONCLUSIVE]


def test_while_the_window_runs_nothing_is_said_yet() -> None:
    response = respond(watch(), decision(None, Reason.WATCHING), DURING)
    assert response.watch.outcome is None
    assert response.watch.next_look_at == NOW + 120
    assert not response.orders


def test_after_the_metric_window_the_outcome_stands_and_tickets_go_on() -> None:
    longer = watch(ticket_until=NOW + 7200, next_look_at=NOW + 3600)
    at = decision(Outcome.HEALTHY, Reason.NO_HARM, NOW + 3600)
    response = respond(longer, at, METRICS_OVER)
    assert (response.watch.outcome, response.watch.state) == (Outcome.HEALTHY, WatchState.WATCHING)
    assert topics(response) == [Topic.HEALTHY]
    # the same again at the end of the ticket window: done, and nobody is told twice
    final = respond(response.watch, replace(at, at=NOW + 7200), OVER)
    assert final.watch.state is WatchState.DONE
    assert final.watch.decided_at == NOW + 3600
    assert not final.orders


def test_tickets_may_still_turn_healthy_into_regressed() -> None:
    gated = watch(ticket_until=NOW + 7200, outcome=Outcome.HEALTHY, reason=Reason.NO_HARM, decided_at=NOW + 3600)
    surge = decision(Outcome.REGRESSED, Reason.TICKET_SURGE, NOW + 5000)
    response = respond(gated, surge, METRICS_OVER)
    assert response.watch.outcome is Outcome.REGRESSED
    assert len(rollbacks(response)) == 1


def test_a_watch_that_asked_is_not_decided_again() -> None:
    asked = watch(policy=service(mode=Mode.ASK), outcome=Outcome.REGRESSED, reason=Reason.LEVEL_SHIFT, score=3.0)
    for again in (REGRESSED, HEALTHY):
        response = respond(asked, again, OVER)
        assert response.watch.outcome is Outcome.REGRESSED
        assert response.watch.score == 3.0
        assert not response.orders


RECOVERING = watch(
    state=WatchState.RECOVERING, outcome=Outcome.REGRESSED, target_version="v1", recovery_until=NOW + 1800
)


@pytest.mark.parametrize(
    ("states", "at", "recovered", "topic"),
    [
        ((Recovery.RECOVERED, Recovery.RECOVERED), NOW + 300, True, Topic.RECOVERED),
        ((Recovery.RECOVERED, Recovery.NOT_YET), NOW + 300, None, None),
        ((Recovery.RECOVERED, Recovery.NOT_YET), NOW + 1800, False, Topic.NOT_RECOVERED),
        ((Recovery.UNMEASURABLE, Recovery.UNMEASURABLE), NOW + 1800, None, Topic.NOT_RECOVERED),
    ],
)
def test_after_a_rollback_the_signals_come_back_or_somebody_is_called(
    states: tuple[Recovery, Recovery], at: float, recovered: bool | None, topic: Topic | None
) -> None:
    recoveries = dict(zip(("conversion", "errors"), states, strict=True))
    response = respond_to_recovery(RECOVERING, recoveries, at=at, now=at, base_url="http://watcher")
    assert response.watch.recovered is recovered
    assert topics(response) == ([topic] if topic else [])
    assert (response.watch.state is WatchState.DONE) is (topic is not None)
