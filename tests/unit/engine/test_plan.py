"""What a deploy event means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.made import NOW, deploy, event, service, watch

from watcher.engine import plan
from watcher.model.decision import Outcome
from watcher.model.deploy import Phase
from watcher.model.order import RollbackOrder
from watcher.model.watch import WatchState

ORDER = RollbackOrder("r-1", "w-1", "d-1", "checkout", "production", "v2", "v1", "sentence", "url")


def test_identity_is_the_senders_id_before_anything_else() -> None:
    known = plan.identify("ci", event(identity="acme/checkout#42"), "delivery-1", b"x", NOW)
    again = plan.identify("ci", event(identity="acme/checkout#42"), "delivery-2", b"y", NOW + 5)
    assert known == again
    assert known != plan.identify("other", event(identity="acme/checkout#42"), "delivery-1", b"x", NOW)


def test_without_a_deploy_id_a_delivery_is_a_deploy() -> None:
    assert plan.identify("ci", event(), "a", b"x", NOW) != plan.identify("ci", event(), "b", b"x", NOW)
    assert plan.identify("ci", event(), "a", b"x", NOW) == plan.identify("ci", event(), "a", b"y", NOW + 1)


def test_without_any_id_service_environment_version_and_time_are_the_identity() -> None:
    told = event(at=NOW - 30, finished_at=NOW - 30)
    assert plan.identify("ci", told, None, b"x", NOW) == plan.identify("ci", told, None, b"y", NOW + 900)
    assert plan.identify("ci", told, None, b"x", NOW) != plan.identify(
        "ci", replace(told, version="v3"), None, b"x", NOW
    )


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"service": "checkout"}, True),
        ({"service": "check*"}, True),
        ({"service": "search"}, False),
        ({"service": "checkout", "environment": "production"}, True),
        ({"service": "checkout", "environment": "staging"}, False),
        ({"repository": "*"}, False),
    ],
)
def test_a_service_matches_when_every_pattern_fits(match: dict[str, str], fits: bool) -> None:
    assert bool(plan.Matcher([service(match=match)]).matching(event().attributes)) is fits


def test_of_many_services_those_that_fit_are_found_in_their_own_order() -> None:
    here = {"environment": "production"}
    fleet = [service(f"s{number}", match={"service": f"s{number}"} | here) for number in range(50)]
    fleet.insert(20, service("wild", match={"service": "s*"}))
    fleet += [service("all", match=here), service("other", match={"service": "s7", "team": "x"})]
    matcher = plan.Matcher(fleet)

    def found(**attributes: str) -> list[str]:
        return [one.name for one in matcher.matching(attributes)]

    assert found(service="s7", environment="production") == ["s7", "wild", "all"]
    assert found(service="s30", environment="production") == ["wild", "s30", "all"]
    assert found(service="s7", team="x") == ["wild", "other"]
    assert found(service="shop", environment="staging") == ["wild"]
    assert found(version="v1") == []


def test_events_of_one_deploy_add_up_in_any_order() -> None:
    announced = event(phase=Phase.ANNOUNCED, at=NOW, finished_at=None)
    started = event(phase=Phase.STARTED, at=NOW + 10, started_at=NOW + 10, finished_at=None)
    finished = event(phase=Phase.FINISHED, at=NOW + 50, started_at=None, finished_at=NOW + 50)
    merged = []
    for order in ((announced, started, finished), (announced, finished, started)):
        known = None
        for told in order:
            known = plan.merge(known, told, identity="i", hook="ci", received_at=NOW + 60)
        assert known is not None
        merged.append((known.phase, known.finished_at))
        assert known.id == plan.short_id("d", "i")
    assert merged == [(Phase.FINISHED, NOW + 50)] * 2


def test_the_start_is_the_first_in_progress_else_the_announcement() -> None:
    announced = plan.merge(
        None, event(phase=Phase.ANNOUNCED, at=NOW, finished_at=None), identity="i", hook="ci", received_at=NOW
    )
    assert announced.started_at == NOW
    started = event(phase=Phase.STARTED, at=NOW + 30, started_at=NOW + 30, finished_at=None)
    known = plan.merge(announced, started, identity="i", hook="ci", received_at=NOW + 31)
    later = event(phase=Phase.STARTED, at=NOW + 40, started_at=NOW + 40, finished_at=None)
    assert plan.merge(known, later, identity="i", hook="ci", received_at=NOW + 41).started_at == NOW + 30


def test_a_failed_deploy_stays_failed_until_it_finishes_after_all() -> None:
    failed = plan.merge(None, event(phase=Phase.FAILED, finished_at=None), identity="i", hook="ci", received_at=NOW)
    again = plan.merge(failed, event(phase=Phase.STARTED, finished_at=None), identity="i", hook="ci", received_at=NOW)
    assert again.phase is Phase.FAILED
    assert plan.merge(again, event(), identity="i", hook="ci", received_at=NOW).phase is Phase.FINISHED


def test_a_watch_runs_from_the_end_of_the_deploy() -> None:
    opened = plan.new_watch(deploy(started_at=NOW - 300), service(window=600, ticket_window=900, step=30), NOW + 5)
    assert (opened.started_at, opened.until, opened.ticket_until) == (NOW - 300, NOW + 600, NOW + 900)
    assert opened.next_look_at == NOW + 30
    assert opened.state is WatchState.SCHEDULED


@pytest.mark.parametrize(
    ("changes", "receipt"),
    [
        ({"rollback_id": "r-1", "version": "anything"}, True),
        ({"rollback_id": "r-2", "version": "v1"}, False),
        ({"version": "v1"}, True),
        ({"version": "v1", "environment": "staging"}, False),
        ({"version": "v3"}, False),
    ],
)
def test_what_follows_our_own_rollback_is_its_receipt(changes: dict[str, str], receipt: bool) -> None:
    assert plan.is_receipt(deploy(**changes), ORDER) is receipt


HISTORY = [
    watch(id="w-4", version="v4", finished_at=NOW - 10, outcome=Outcome.HEALTHY),
    watch(id="w-3", version="v3", finished_at=NOW - 20, outcome=Outcome.REGRESSED),
    watch(id="w-0", version="v0", finished_at=NOW - 30, outcome=Outcome.INCONCLUSIVE),
    watch(id="w-9", version="v9", finished_at=NOW - 5, outcome=None),
]


@pytest.mark.parametrize(
    ("previous", "target"),
    [
        ("v1", "v1"),  # the pipeline's word, as long as nothing is known against it
        (None, "v4"),
        ("v3", "v4"),  # never a version that regressed
        ("v2", "v4"),  # never the bad version itself
    ],
)
def test_the_version_to_go_back_to(previous: str | None, target: str) -> None:
    assert plan.target_version(watch(previous_version=previous), HISTORY) == target


def test_no_version_to_go_back_to_is_said_and_not_guessed() -> None:
    assert plan.target_version(watch(previous_version=None), HISTORY[1:2]) is None


def test_what_regressed_long_ago_is_not_forgotten() -> None:
    assert plan.target_version(watch(previous_version="v1"), HISTORY, frozenset({"v1"})) == "v4"
    assert plan.target_version(watch(previous_version="v1"), HISTORY, frozenset({"v1", "v4"})) == "v0"
    assert plan.target_version(watch(previous_version="v1"), HISTORY, frozenset({"v1", "v4", "v0"})) is None


@pytest.mark.parametrize(
    ("previous", "said"),
    [
        (None, "The pipeline named no previous version, and no other"),
        ("v2", "The pipeline named v2 itself as the previous version, and no other"),
        ("v3", "The previous version, v3, was itself judged regressed, and no other"),
    ],
)
def test_why_there_is_none_is_said(previous: str | None, said: str) -> None:
    assert plan.no_target(watch(previous_version=previous), HISTORY[1:2]).startswith(said)


def test_candidates_were_judged_before_this_deploy_and_did_not_regress() -> None:
    newer = watch(id="w-5", version="v5", finished_at=NOW + 10, outcome=Outcome.HEALTHY)
    assert plan.candidates(watch(), [newer, *HISTORY]) == ("v4", "v0")


def test_what_is_still_to_come_by_our_clock_has_happened_when_we_were_told() -> None:
    told = event(at=NOW + 7200, started_at=NOW + 6600, finished_at=NOW + 7200)
    assert plan.ahead(told, NOW) == 7200
    deploy = plan.merge(None, told, identity="i", hook="ci", received_at=NOW)
    assert (deploy.started_at, deploy.finished_at) == (NOW - 600, NOW)
    assert plan.merge(deploy, told, identity="i", hook="ci", received_at=NOW + 900) == deploy, "told again"


def test_a_start_that_is_still_to_come_is_one_too() -> None:
    began = event(phase=Phase.STARTED, at=NOW + 7200, started_at=NOW + 7200, finished_at=None)
    ended = event(at=NOW + 7500, started_at=None, finished_at=NOW + 7500)
    deploy = plan.merge(None, began, identity="i", hook="ci", received_at=NOW)
    deploy = plan.merge(deploy, ended, identity="i", hook="ci", received_at=NOW + 300)
    assert (deploy.started_at, deploy.finished_at) == (NOW, NOW + 300)
