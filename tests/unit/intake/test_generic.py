from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from support.plain_tools import plain_tools

from watcher.errors import MalformedError, UnauthenticatedError
from watcher.intake.generic import Generic, GenericOptions, parse_deploy
from watcher.kit import clock
from watcher.kit.signatures import sign_standard, signing_key
from watcher.model.deploy import DeployEvent, Phase

NOW = clock.parse_iso("2026-11-22T03:10:00Z")
GOOD = {"service": "checkout", "environment": "production", "version": "2.14.0"}


def event(**changes: Any) -> DeployEvent:
    (one,) = parse_deploy({}, json.dumps(GOOD | changes).encode(), NOW).events
    return one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"servce": "x"}, "servce: expected one of the keys service, environment, version, "),
        ({"a\n\x1b": "x"}, r"a\n\x1b: expected one of the keys"),
        ({"": "x"}, '"": expected one of the keys'),
        ({" ": "x"}, '" ": expected one of the keys'),
        ({"service": None}, "service: expected text of 1 to 256 printable characters"),
        ({"environment": ""}, "environment: expected text"),
        ({"version": 2}, "version: expected text"),
        ({"version": "v" * 257}, "version: expected text"),
        ({"version": "v1\n"}, "version: expected text"),
        ({"previous_version": " 1"}, "previous_version: expected text"),
        ({"rollback_id": ["rb"]}, "rollback_id: expected text"),
        ({"id": 4711}, "id: expected text"),
        ({"status": "done"}, "status: expected one of started, finished, failed"),
        ({"started_at": "2026-11-22T03:00:00"}, "started_at: expected a time: unix seconds, or ISO 8601 with its zone"),
        ({"started_at": "yesterday"}, "started_at: expected a time:"),
        ({"started_at": True}, "started_at: expected a time:"),
        ({"started_at": -1}, "started_at: expected a time:"),
        ({"started_at": "1795316645"}, "started_at: expected a time:"),
        ({"finished_at": NOW * 1000}, "finished_at: expected a time"),
        ({"finished_at": NOW + 86401}, "finished_at: expected a time in unix seconds at most 7 days ago and"),
        ({"started_at": NOW - 7 * 86400 - 1}, "started_at: expected a time in unix seconds at most 7 days ago and"),
        ({"started_at": NOW, "finished_at": NOW - 1}, "started_at: expected a time no later than finished_at"),
        ({"status": "started", "finished_at": NOW}, "finished_at: expected nothing while status is started"),
        ({"links": ["https://a"]}, "links: expected an object"),
        ({"links": {str(n): "https://a" for n in range(21)}}, "links: expected an object of at most 20"),
        ({"links": {"": "https://a"}}, "links: expected titles"),
        ({"links": {"run": "javascript:alert(1)"}}, "links.run: expected an http or https URL"),
        ({"links": {"run": "https://user:pw@a/"}}, "links.run: expected an http or https URL without a password"),
        ({"links": {"run": 1}}, "links.run: expected an http or https URL"),
    ],
)
def test_the_error_names_the_field_and_what_was_expected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedError) as error:
        event(**changes)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("key", GOOD)
def test_the_three_names_are_needed(key: str) -> None:
    body = json.dumps({name: value for name, value in GOOD.items() if name != key}).encode()
    with pytest.raises(MalformedError) as error:
        parse_deploy({}, body, NOW)
    assert error.value.field == key


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (b"", "; what came is none at line 1, column 1"),
        (b"[]", ""),
        (b"\xef\xbb\xbf{}", "; what came is none at line 1, column 1"),
        (b'{"a": 1,\n b}', "; what came is none at line 2, column 2"),
        (b'{"a": "\xff"}', ", which byte 8 is not"),
        (b'{"a": -Infinity}', "; JSON has no -Infinity"),
        (b'{"a": NaN}', "; JSON has no NaN"),
        (b"[" * 100_000, ", without endless numbers or nesting"),
        (b'{"a": ' + b"9" * 5000 + b"}", ", without endless numbers or nesting"),
    ],
)
def test_the_body_as_a_whole(body: bytes, end: str) -> None:
    with pytest.raises(MalformedError) as raised:
        parse_deploy({}, body, NOW)
    assert (raised.value.field, raised.value.expected) == ("", f"a JSON object in UTF-8{end}")


def test_a_key_that_stands_there_twice_is_not_guessed_at() -> None:
    with pytest.raises(MalformedError, match="version: expected to stand in its object once"):
        parse_deploy({}, b'{"version": "1", "version": "2"}', NOW)


def test_times_at_the_edges_are_good() -> None:
    assert event(started_at=NOW - 7 * 86400).started_at == NOW - 7 * 86400
    assert event(finished_at=NOW + 86400).finished_at == NOW + 86400


def test_a_start_a_little_ahead_of_our_clock_is_not_after_the_end() -> None:
    ahead = event(started_at=NOW + 2)
    assert (ahead.started_at, ahead.finished_at) == (NOW + 2, NOW + 2)


def test_one_id_of_two_services_is_two_deploys() -> None:
    assert event(id="42").identity != event(id="42", service="cart").identity
    assert event(id="42").identity == event(id="42", version="other").identity


def test_a_failed_deploy_says_no_end_that_it_was_not_told() -> None:
    failed = event(status="failed")
    assert (failed.phase, failed.started_at, failed.finished_at, failed.at) == (Phase.FAILED, None, None, NOW)
    assert event(status="failed", finished_at=NOW - 5).at == NOW - 5


@pytest.mark.parametrize(
    ("headers", "delivery_id"),
    [
        ({}, None),
        ({"webhook-id": ""}, None),
        ({"webhook-id": "msg_1", "idempotency-key": "run-1"}, "msg_1"),
        ({"idempotency-key": "run-1"}, "run-1"),
    ],
)
def test_the_delivery_id(headers: dict[str, str], delivery_id: str | None) -> None:
    assert parse_deploy(headers, json.dumps(GOOD).encode(), NOW).delivery_id == delivery_id


def test_an_unusable_delivery_id_is_named() -> None:
    with pytest.raises(MalformedError, match="idempotency-key: expected text"):
        parse_deploy({"idempotency-key": "x" * 257}, json.dumps(GOOD).encode(), NOW)


def test_options_need_a_proof() -> None:
    with pytest.raises(ValidationError, match="needs `token` or `secret`"):
        GenericOptions()


def test_with_both_proofs_configured_both_are_needed() -> None:
    options = GenericOptions.model_validate({"token": "tok", "secret": "sec"})
    generic = Generic("cd", options, plain_tools())
    signed = {
        "webhook-id": "m",
        "webhook-timestamp": str(int(NOW)),
        "webhook-signature": sign_standard(signing_key("sec"), "m", int(NOW), b"{}"),
    }
    bearer = {"authorization": "Bearer tok"}
    generic.verify(signed | bearer, b"{}", NOW)
    for headers in (signed, bearer):
        with pytest.raises(UnauthenticatedError):
            generic.verify(headers, b"{}", NOW)
