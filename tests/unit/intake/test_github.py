from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from support.plain_tools import plain_tools

from watcher.errors import MalformedError, UnauthenticatedError
from watcher.intake.github import GitHub, GitHubOptions
from watcher.kit import clock
from watcher.model.deploy import DeployEvent, Phase

DATA = Path(__file__).parents[2] / "conformance" / "data" / "github"
RECORDED = json.loads((DATA / "status_success.json").read_text(encoding="utf-8"))
GITHUB = GitHub("acme", GitHubOptions.model_validate({"secret": "s3cret-s3cret"}), plain_tools())
MISSING = object()
RECEIVED = clock.parse_iso("2026-11-22T03:10:00Z")


def parse(body: Any, **headers: str) -> DeployEvent:
    announced, finished = GITHUB.parse(RECORDED["headers"] | headers, json.dumps(body).encode(), RECEIVED).events
    assert (announced.phase, finished.phase) == (Phase.ANNOUNCED, Phase.FINISHED)
    assert announced.identity == finished.identity
    return finished


def changed(path: str, value: Any) -> Any:
    body = copy.deepcopy(RECORDED["body"])
    *way, last = path.split(".")
    holder = body
    for key in way:
        holder = holder[key]
    if value is MISSING:
        del holder[last]
    else:
        holder[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("deployment", MISSING),
        ("deployment", []),
        ("deployment.id", MISSING),
        ("deployment.id", "42"),
        ("deployment.id", True),
        ("deployment.id", 0),
        ("deployment.id", 2**63),
        ("deployment.sha", None),
        ("deployment.sha", "a" * 257),
        ("deployment.created_at", MISSING),
        ("deployment_status", None),
        ("deployment_status.state", MISSING),
        ("deployment_status.state", 1),
        ("deployment_status.created_at", MISSING),
        ("deployment_status.created_at", "2026-11-22"),
        ("deployment_status.environment", 7),
        ("repository", MISSING),
        ("repository.full_name", None),
        ("repository.full_name", "acme/\x00"),
    ],
)
def test_what_cannot_be_understood_is_named(path: str, value: Any) -> None:
    with pytest.raises(MalformedError) as error:
        parse(changed(path, value))
    assert error.value.field == path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("deployment.ref", MISSING),
        ("deployment.ref", "a\x00"),
        ("deployment.task", {"a": 1}),
        ("deployment.payload", MISSING),
        ("deployment.payload", {"rollback_id": 1, "previous_version": "", "service": "a\nb"}),
        ("deployment.payload", [1, 2]),
        ("deployment.payload", "[" * 100_000),
        ("deployment.payload", '{"rollback_id": "\\ud800"}'),
        ("repository.html_url", "javascript:alert(1)"),
        ("deployment_status.log_url", "file:///etc/passwd"),
        ("deployment_status.environment_url", 5),
        ("sender", MISSING),
    ],
)
def test_what_is_only_good_to_have_may_be_anything(path: str, value: Any) -> None:
    event = parse(changed(path, value))
    assert event.identity == "acme/checkout#987654321"
    assert event.rollback_id is None
    assert event.previous_version is None
    assert "service" not in event.attributes


def test_the_status_may_leave_the_environment_to_the_deployment() -> None:
    for value in (MISSING, "", None):
        assert parse(changed("deployment_status.environment", value)).environment == "production"
    body = changed("deployment_status.environment", "")
    body["deployment"]["environment"] = None
    with pytest.raises(MalformedError, match=r"^deployment\.environment: "):
        parse(body)


def test_the_delivery_is_named_and_the_event_needed() -> None:
    with pytest.raises(MalformedError, match="x-github-event"):
        parse(RECORDED["body"], **{"x-github-event": ""})
    with pytest.raises(MalformedError, match="x-github-delivery"):
        parse(RECORDED["body"], **{"x-github-delivery": "x" * 300})


def test_a_form_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(
        MalformedError, match=r"^content-type: expected application/json, as set in the webhook's settings"
    ):
        GITHUB.parse(
            RECORDED["headers"] | {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
            b"payload=%7B",
            0.0,
        )


def test_other_actions_and_unknown_states_are_left_alone() -> None:
    for path, value in (("action", "edited"), ("action", MISSING), ("deployment_status.state", "paused\x07"[:-1])):
        parsed = GITHUB.parse(RECORDED["headers"], json.dumps(changed(path, value)).encode(), RECEIVED)
        assert parsed.events == ()
        assert parsed.ignored


@pytest.mark.parametrize(("later", "watched"), [(6 * 86400, True), (8 * 86400, False), (-2 * 86400, False)])
def test_what_was_kept_and_sent_again_much_later_is_left_alone(later: float, watched: bool) -> None:
    parsed = GITHUB.parse(RECORDED["headers"], json.dumps(RECORDED["body"]).encode(), RECEIVED + later)
    assert bool(parsed.events) is watched
    assert parsed.ignored is None if watched else "7 days" in (parsed.ignored or "")


def test_the_older_signature_alone_is_not_enough() -> None:
    with pytest.raises(UnauthenticatedError, match="x-hub-signature-256 is missing"):
        GITHUB.verify({"x-hub-signature": "sha1=" + "0" * 40}, b"{}", RECEIVED)


def test_harm_counts_from_the_creation_where_nothing_else_was_told() -> None:
    announced, finished = GITHUB.parse(RECORDED["headers"], json.dumps(RECORDED["body"]).encode(), RECEIVED).events
    assert announced.at == clock.parse_iso("2026-11-22T03:00:00Z")
    assert (announced.started_at, announced.finished_at, finished.started_at) == (None, None, None)
    body = json.dumps(changed("deployment.created_at", "2026-11-23T00:00:00Z")).encode()
    announced, finished = GITHUB.parse(RECORDED["headers"], body, RECEIVED).events
    assert announced.at == finished.at
