"""Every sentence that somebody may read at night, word by word."""

from __future__ import annotations

from typing import Any

import pytest
from support.looks import (
    CONVERSION,
    DEPLOY,
    END,
    ERRORS,
    MINUTE,
    ORDERS,
    P95,
    TICKETS,
    alarm,
    context,
    findings,
    nearby,
    quiet,
    signal,
    suspect,
    unmeasurable,
)

from watcher.model.decision import Reason
from watcher.model.finding import Cause, Findings
from watcher.model.service import Harm, Kind, Role
from watcher.verdict import Context, decide
from watcher.verdict.explain import TITLES, internal_error

NOW = DEPLOY + 9 * MINUTE
CONTROLLED = (signal(control="other_region"), signal("other_region", role=Role.CONTROL))
AFTER = ", starting 2 min after the deploy began; "
FELL = "conversion fell to 2.1 % where 3.1 % was expected, 31 % less (25 % to 37 %)"
ALONE = "it was not there before the deploy and no other deploy is known near it, so this deploy is the likely cause"


def now(*signals: Any, **fields: Any) -> Context:
    return context(*signals, **fields)


def end(*signals: Any, **fields: Any) -> Context:
    return context(*signals, last_look=True, last_ticket_look=True, **fields)


REGRESSED = {
    "a level": (
        now(),
        findings(alarm(), at=NOW),
        f"{FELL}{AFTER}about one quiet window in 4,000 looks like this, {ALONE}",
    ),
    "several signals": (
        now(CONVERSION, P95, ORDERS, TICKETS),
        findings(
            alarm(),
            alarm("p95", effect=0.43, effect_low=0.2, effect_high=0.7, score=2.2),
            alarm("orders", score=2.1),
            alarm("tickets", score=2.3, effect=3.3),
            at=NOW,
        ),
        (
            f"{FELL}{AFTER}with it tickets rose to 4.3 times, p95 rose 43 % and orders fell 31 %;"
            f" about one quiet window in 4,000 looks like this, {ALONE}"
        ),
    ),
    "a spike": (
        now(P95),
        findings(
            alarm(
                "p95",
                cause=Cause.SPIKE,
                effect=2.4,
                effect_low=0.9,
                effect_high=3.9,
                expected=0.21,
                observed=0.71,
                score=2.0,
            )
        ),
        (
            "p95 jumped to 0.71 where 0.21 was expected, 3.4 times as much (1.9 to 4.9 times), 2 min after the deploy"
            f" began; about one quiet window in 100 looks like this, {ALONE}"
        ),
    ),
    "tickets": (
        now(TICKETS),
        findings(alarm("tickets", effect=5.9, effect_low=2.2, effect_high=11.0, expected=0.4, observed=2.8, score=2.3)),
        (
            "tickets rose to 2.8 per 5 min where 0.4 was expected, 6.9 times as much (3.2 to 12 times), starting as the"
            f" deploy began; about one quiet window in 200 looks like this, {ALONE}"
        ),
    ),
    "what hardly ever happens": (
        now(TICKETS),
        findings(
            alarm(
                "tickets",
                effect=2400.0,
                effect_low=900.0,
                effect_high=4000.0,
                expected=0.001,
                observed=2.4,
                score=2.3,
                detectable=900.0,
                detectable_events=4.3,
            )
        ),
        (
            "tickets rose to 2.4 per 5 min where next to none was expected, starting as the"
            f" deploy began; about one quiet window in 200 looks like this, {ALONE}"
        ),
    ),
    "a hundred times something": (
        now(P95),
        findings(
            alarm("p95", effect=149.0, effect_low=120.0, effect_high=180.0, expected=0.02, observed=3.0, score=2.0)
        ),
        (
            f"p95 rose to 3 where 0.02 was expected, 150 times as much (120 to 180 times){AFTER}"
            f"about one quiet window in 100 looks like this, {ALONE}"
        ),
    ),
    "tickets where there are never any": (
        now(TICKETS),
        findings(
            alarm("tickets", effect=None, effect_low=None, effect_high=None, expected=0.0, observed=5.0, score=7.0)
        ),
        (
            "tickets rose to 5 per 5 min where none was expected, starting as the deploy began;"
            f" fewer than one quiet window in 1,000,000 looks like this, {ALONE}"
        ),
    ),
    "an onset that may lie before the deploy": (
        now(nearby=(nearby("search", -60),)),
        findings(alarm(onset=DEPLOY - 3 * MINUTE, onset_low=DEPLOY - 5 * MINUTE, onset_high=DEPLOY + 30.0), at=NOW),
        (
            f"{FELL}, starting as the deploy began or up to 5 min before;"
            " about one quiet window in 4,000 looks like this and no other deploy fits the time better,"
            " so this deploy is the likely cause"
        ),
    ),
    "another deploy that cannot reach it": (
        now(nearby=(nearby("search", 2),), depends_on=("index",)),
        findings(alarm(), at=NOW),
        (
            f"{FELL}, starting 2 min after the deploy began; about one quiet window in 4,000 looks like this, it was"
            " not there before the deploy and no other deploy that can reach it is known near it, so this deploy is"
            " the likely cause"
        ),
    ),
    "another deploy that can reach it and came long before": (
        now(nearby=(nearby("search", -60),), depends_on=("search",)),
        findings(alarm(), at=NOW),
        (
            f"{FELL}, starting 2 min after the deploy began; about one quiet window in 4,000 looks like this, it was"
            " not there before the deploy and no other deploy that can reach it fits the time better, so this deploy"
            " is the likely cause"
        ),
    ),
    "an onset that nobody knows, and another deploy": (
        now(nearby=(nearby("search", 5),)),
        findings(alarm(onset=None, onset_low=None, onset_high=None), at=NOW),
        f"{FELL}; about one quiet window in 4,000 looks like this, so this deploy is the likely cause",
    ),
    "an onset on either side of the deploy": (
        now(),
        findings(
            alarm(onset=DEPLOY - 3 * MINUTE, onset_low=DEPLOY - 5 * MINUTE, onset_high=DEPLOY + 4 * MINUTE), at=NOW
        ),
        (
            f"{FELL}, starting about when the deploy began (up to 5 min before and 4 min after);"
            " about one quiet window in 4,000 looks like this and no other deploy is known near it,"
            " so this deploy is the likely cause"
        ),
    ),
    "neither onset nor size": (
        now(),
        findings(
            alarm(
                onset=None, onset_low=None, onset_high=None, effect=None, effect_low=None, expected=None, observed=None
            ),
            at=NOW,
        ),
        (
            "conversion fell; about one quiet window in 4,000 looks like this and no other deploy is known near it,"
            " so this deploy is the likely cause"
        ),
    ),
    "a size without levels, harm either way": (
        now(signal("queue", kind=Kind.GAUGE, harm=Harm.EITHER)),
        findings(
            alarm("queue", effect=0.4, effect_low=-0.1, effect_high=0.9, expected=None, observed=None, onset=DEPLOY)
        ),
        (
            "queue rose 40 % above what was expected (anywhere from 10 % less to 90 % more), starting as the"
            " deploy began;"
            f" about one quiet window in 4,000 looks like this, {ALONE}"
        ),
    ),
    "levels that differ in the third digit": (
        now(signal("sold")),
        findings(alarm("sold", effect=-0.007, effect_low=-0.009, effect_high=-0.005, expected=0.4491, observed=0.4459)),
        (
            "sold fell to 44.6 % where 44.9 % was expected, 0.7 % less (0.5 % to 0.9 %), starting 2 min after"
            " the deploy"
            f" began; about one quiet window in 4,000 looks like this, {ALONE}"
        ),
    ),
    "levels near everything": (
        now(signal("uptime")),
        findings(
            alarm("uptime", effect=-0.002, effect_low=-0.003, effect_high=-0.001, expected=0.9991, observed=0.9971)
        ),
        (
            "uptime fell to 99.71 % where 99.91 % was expected, 0.2 % less (0.1 % to 0.3 %), starting 2 min after"
            " the deploy"
            f" began; about one quiet window in 4,000 looks like this, {ALONE}"
        ),
    ),
}

UNDECIDED = {
    "quiet": (
        now(CONVERSION, P95, TICKETS),
        findings(quiet(), quiet("p95"), unmeasurable("tickets"), at=NOW),
        "9 min into the 60 min window: no harm in conversion and p95 so far; not judged: tickets (no data)",
    ),
    "nothing measured": (
        now(),
        findings(unmeasurable(cause=Cause.TOO_LITTLE_HISTORY), at=NOW),
        "9 min into the 60 min window: nothing could be measured so far; not judged: conversion (too little history)",
    ),
    "still rolling out": (
        now(finished_at=DEPLOY + 20 * MINUTE, until=DEPLOY + 80 * MINUTE, ticket_until=DEPLOY + 80 * MINUTE),
        findings(quiet(), at=NOW),
        "9 min into the rollout: no harm in conversion so far",
    ),
    "still cold": (
        now(warm_up=10 * MINUTE),
        findings(quiet(), at=NOW),
        "9 min into the 10 min of warm-up, which are not judged: no harm in conversion so far",
    ),
    "waiting for late data": (
        now(),
        findings(quiet(), at=END + 30),
        "The window is over and the last data are awaited: no harm in conversion so far",
    ),
    "tickets go on": (
        now(CONVERSION, TICKETS, ticket_until=END + 60 * MINUTE),
        findings(quiet(), quiet("tickets"), at=END + 10 * MINUTE),
        "The metric window is over and tickets are watched for 50 min more: no harm in conversion and tickets so far",
    ),
    "suspect": (
        now(),
        findings(suspect(), at=NOW),
        (
            "9 min into the 60 min window: conversion fell to 2.7 % where 3.1 % was expected, 12 % less (2 % to 21 %)"
            f"{AFTER}about one quiet window in 32 looks like this, too often to blame the deploy; the watch goes on"
        ),
    ),
    "another deploy": (
        now(nearby=(nearby("search", 2),)),
        findings(alarm(), at=NOW),
        (
            f"9 min into the 60 min window: {FELL}{AFTER}search 7.1 was deployed 2 min after this deploy, so"
            f" either may be"
            " the cause; the watch goes on"
        ),
    ),
}

INCONCLUSIVE = {
    "suspect": (
        end(),
        findings(suspect()),
        (
            "conversion fell to 2.7 % where 3.1 % was expected, 12 % less (2 % to 21 %)"
            f"{AFTER}about one quiet window in 32 looks like this, too often to blame the deploy;"
            " look at it yourself; a window longer than 60 min would tell more"
        ),
    ),
    "older than the deploy": (
        end(CONVERSION, P95),
        findings(
            alarm(cause=Cause.PRE_EXISTING, score=0.0, onset=DEPLOY - 25 * MINUTE, onset_low=None, onset_high=None),
            unmeasurable("p95"),
        ),
        (
            f"{FELL}, starting 25 min before the deploy began; this began before the deploy, so the deploy did"
            f" not cause"
            " it; whether the deploy made it worse cannot be seen until it is over; not judged: p95 (no data)"
        ),
    ),
    "shared with the control": (
        end(*CONTROLLED),
        findings(alarm(cause=Cause.SHARED_WITH_CONTROL, score=0.0)),
        (
            f"{FELL}{AFTER}other_region, which the deploy cannot touch, moved with it, so its cause lies elsewhere;"
            " whether the deploy adds to it cannot be seen until it is over"
        ),
    ),
    "shared with a control that nobody named": (
        end(CONVERSION, CONTROLLED[1]),
        findings(alarm(cause=Cause.SHARED_WITH_CONTROL, score=0.0)),
        (
            f"{FELL}{AFTER}other_region, which the deploy cannot touch, moved with it, so its cause lies elsewhere;"
            " whether the deploy adds to it cannot be seen until it is over"
        ),
    ),
    "another deploy at the same time as the harm": (
        end(CONVERSION, ORDERS, nearby=(nearby("search", 2),)),
        findings(alarm(), alarm("orders", score=3.0)),
        (
            f"{FELL}{AFTER}likewise orders fell 31 %; search 7.1 was deployed 2 min after this deploy, so"
            f" either may be the"
            " cause; nothing is rolled back by itself: choose which one to take back"
        ),
    ),
    "two other deploys": (
        end(nearby=(nearby("search", 2), nearby("index", 1.5, version=""))),
        findings(alarm()),
        (
            f"{FELL}{AFTER}search 7.1 was deployed 2 min after this deploy and 1 other deploy fits as well, so any of"
            " them may be the cause; nothing is rolled back by itself: choose which one to take back"
        ),
    ),
    "a rollout that all services joined": (
        end(nearby=tuple(nearby(f"web-{number}", 0) for number in range(6))),
        findings(alarm()),
        (
            f"{FELL}{AFTER}web-0 7.1 was deployed at the same time and 5 other deploys fit as well, so any of them may"
            " be the cause; nothing is rolled back by itself: choose which one to take back"
        ),
    ),
    "no data": (
        end(),
        findings(unmeasurable()),
        "conversion had no data after the deploy, so harm may have gone unseen; check its query and its source",
    ),
    "data that ended": (
        end(),
        findings(quiet(complete_until=END - 12 * MINUTE)),
        (
            "The data of conversion ended 12 min before the end of the window, and harm after that would have"
            " gone unseen;"
            " check that it is still measured"
        ),
    ),
    "gaps": (
        end(),
        findings(quiet(missing=14, points=46, note="14 of 60 buckets are missing")),
        "conversion lacks 14 of 60 points since the deploy, too many to rule harm out; check why its source has gaps",
    ),
    "a source that is not sure": (
        end(),
        findings(unmeasurable(cause=Cause.GAPS, note="the source said that its answer is incomplete")),
        (
            "conversion lacks points since the deploy (the source said that its answer is incomplete), too many to rule"
            " harm out; check why its source has gaps"
        ),
    ),
    "frozen": (
        end(),
        findings(unmeasurable(cause=Cause.FROZEN_DATA, note="0.031 for 20 min")),
        (
            "conversion stood still (0.031 for 20 min), as it does when its exporter hangs; check that it is still"
            " measured"
        ),
    ),
    "bad values": (
        end(),
        findings(unmeasurable(cause=Cause.BAD_VALUES, note="more orders than visits")),
        (
            "conversion had values that cannot be true (more orders than visits), so it was not judged; check what it"
            " measures"
        ),
    ),
    "a failed source": (
        end(CONVERSION, P95, failed_sources={"conversion": "connection refused"}),
        findings(quiet(complete_until=END - 12 * MINUTE), unmeasurable("p95")),
        (
            "conversion could not be measured to the end because prom failed (connection refused), so harm may"
            " have gone"
            " unseen; it can be judged again once prom answers; not judged: p95 (no data)"
        ),
    ),
    "too little history": (
        end(),
        findings(unmeasurable(cause=Cause.TOO_LITTLE_HISTORY, note="3 h of at least 6 h")),
        (
            "conversion has too little history to say what is normal (3 h of at least 6 h); it can be judged"
            " once it was"
            " measured for longer, or its past is imported"
        ),
    ),
    "too little traffic": (
        end(ORDERS),
        findings(quiet("orders", detectable=0.85, expected=4 / 60)),
        (
            "orders, at about 4 an hour, cannot show a 30 % loss in 60 min; the smallest visible loss is 85 %;"
            " a longer window or a busier signal would help"
        ),
    ),
    "next to no traffic": (
        end(ORDERS),
        findings(quiet("orders", detectable=1.3, expected=1 / 600)),
        (
            "orders, at about 2.4 a day, cannot show a 30 % loss in 60 min; not even a total loss would surely be seen;"
            " a longer window or a busier signal would help"
        ),
    ),
    "too much noise": (
        end(P95),
        findings(quiet("p95", detectable=0.48, expected=0.21)),
        (
            "p95 cannot show a 30 % rise in 60 min; the smallest visible rise is 48 %; a longer window or a"
            " steadier signal"
            " would help"
        ),
    ),
    "too few events": (
        end(ERRORS),
        findings(quiet("errors", detectable=2.3, detectable_events=6.9, expected=3 / 60)),
        (
            "errors, at about 3 an hour, cannot show a 30 % rise in 60 min; the smallest visible rise is 230 %, 7 more;"
            " a longer window or a busier signal would help"
        ),
    ),
    "a limit that is not known": (
        end(P95),
        findings(quiet("p95", detectable=None)),
        (
            "p95 cannot show a 30 % rise in 60 min; how small a rise would be seen is not known;"
            " a longer window or a steadier signal would help"
        ),
    ),
    "a limit that is not known, with a note": (
        end(P95),
        findings(quiet("p95", detectable=None, note="2 visits an hour")),
        "p95 cannot show a 30 % rise in 60 min (2 visits an hour); a longer window or a busier signal would help",
    ),
    "nothing to watch": (
        end(CONTROLLED[1]),
        findings(),
        "No signal was watched, so nothing can be said of this deploy; add a signal to the service",
    ),
}

HEALTHY = {
    "after a warm-up": (
        end(warm_up=5 * MINUTE),
        findings(quiet()),
        (
            "conversion did no worse than expected for 60 min after the deploy, its first 5 min left out;"
            " a 7 % loss in conversion would have been seen four times in five"
        ),
    ),
    "after a warm-up within the rollout": (
        end(
            warm_up=5 * MINUTE,
            finished_at=DEPLOY + 20 * MINUTE,
            until=DEPLOY + 80 * MINUTE,
            ticket_until=DEPLOY + 80 * MINUTE,
        ),
        findings(quiet(complete_until=DEPLOY + 80 * MINUTE), at=DEPLOY + 80 * MINUTE),
        (
            "conversion did no worse than expected for 60 min after the deploy;"
            " a 7 % loss in conversion would have been seen four times in five"
        ),
    ),
    "a change too small to count": (
        end(CONVERSION, P95),
        findings(quiet(effect=-0.018, note="certain, and below the 3 % that counts"), quiet("p95")),
        (
            "p95 did no worse than expected for 60 min after the deploy; conversion fell 1.8 % (certain, and below the"
            " 3 % that counts), which is no harm; a 7 % loss in conversion or a 7 % rise in p95 would have been seen"
            " four times in five"
        ),
    ),
    "what hardly ever happens": (
        end(CONVERSION, ERRORS),
        findings(quiet(), quiet("errors", detectable=1400.0, detectable_events=4.3)),
        (
            "conversion and errors did no worse than expected for 60 min after the deploy; a 7 % loss in conversion or"
            " 5 more in errors would have been seen four times in five"
        ),
    ),
    "all": (
        end(CONVERSION, P95, TICKETS),
        findings(quiet(), quiet("p95", detectable=0.12), quiet("tickets", detectable=1.4)),
        (
            "conversion, p95 and tickets did no worse than expected for 60 min after the deploy; a 7 % loss in"
            " conversion,"
            " a 12 % rise in p95 or a 140 % rise in tickets would have been seen four times in five"
        ),
    ),
    "tickets unseen": (
        end(CONVERSION, TICKETS, failed_sources={"tickets": "helpdesk: answered 503"}),
        findings(quiet(), unmeasurable("tickets")),
        (
            "conversion did no worse than expected for 60 min after the deploy; a 7 % loss in conversion would"
            " have been"
            " seen four times in five; not judged: tickets (its source failed)"
        ),
    ),
    "many": (
        end(*(signal(f"signal{index}") for index in range(6))),
        findings(*(quiet(f"signal{index}") for index in range(6))),
        (
            "signal0, signal1, signal2 and 3 more did no worse than expected for 60 min after the deploy; a 7 % loss in"
            " signal0, a 7 % loss in signal1, a 7 % loss in signal2 or 3 more would have been seen four times in five"
        ),
    ),
}


@pytest.mark.parametrize(
    ("facts", "found", "sentence"),
    [
        pytest.param(*case, id=f"{group} {name}")
        for group, cases in (
            ("regressed", REGRESSED),
            ("undecided", UNDECIDED),
            ("inconclusive", INCONCLUSIVE),
            ("healthy", HEALTHY),
        )
        for name, case in cases.items()
    ],
)
def test_sentence(facts: Context, found: Findings, sentence: str) -> None:
    decision = decide(facts, found)
    assert decision.sentence == f"{sentence}."
    assert len(decision.sentence) < 420


def test_every_reason_has_a_title() -> None:
    assert set(TITLES) == set(Reason)


def test_an_internal_error_says_what_to_do() -> None:
    assert internal_error("ValueError") == (
        "The watcher itself failed while judging (ValueError); nothing can be said of this deploy, look at it yourself."
    )
