from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from pydantic import ValidationError
from support.fault_server import Answer, FaultServer
from support.orders import an_order
from support.plain_tools import plain_tools

from watcher.errors import ExternalError
from watcher.kit.http import Response
from watcher.kit.signatures import signing_key, verify_standard
from watcher.model.order import Standing
from watcher.rollback.webhook import Webhook, WebhookOptions, headers, payload, reference

NOW = 1_795_317_000.0
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtMDE="


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        one.answer = lambda _request: Answer(202)
        yield one


def webhook(url: str, now: float, **options: object) -> Webhook:
    made = WebhookOptions.model_validate({"url": url, "timeout": 60, **options})
    return Webhook("cd", made, plain_tools(lambda: now))


def test_the_payload_is_exactly_this() -> None:
    assert json.loads(payload(an_order(dry_run=True, sentence="fell by 31\u202f% € \ud800"))) == {
        "rollback_id": "rb_01",
        "watch_id": "w_01",
        "deploy_id": "d_01",
        "service": "checkout",
        "environment": "production",
        "bad_version": "2.14.0",
        "target_version": "2.13.9",
        "sentence": "fell by 31\u202f% € ?",
        "url": "https://watcher.acme.example/watches/w_01",
        "dry_run": True,
    }


def test_the_headers_are_exactly_these() -> None:
    body = payload(an_order())
    assert headers(an_order(), body, None, 1795317000) == {
        "content-type": "application/json",
        "idempotency-key": "rb_01",
        "webhook-id": "rb_01",
        "webhook-timestamp": "1795317000",
    }
    signed = hmac.digest(b"secret-secret-secret-01", b"rb_01.1795317000." + body, hashlib.sha256)
    assert headers(an_order(), body, b"secret-secret-secret-01", 1795317000)["webhook-signature"] == (
        "v1," + base64.b64encode(signed).decode()
    )


def test_what_is_sent_is_signed_anew_for_each_attempt(server: FaultServer) -> None:
    for now in (1795317000.9, 1795317600.0):
        webhook(f"{server.url}/hook?a=b", now, secret=SECRET, bearer_token="tok").trigger(an_order())
    first, second = server.requests
    assert first.body == second.body == payload(an_order())
    assert (first.method, first.path, first.query) == ("POST", "/hook", {"a": ["b"]})
    for request, stamp in ((first, "1795317000"), (second, "1795317600")):
        signed = hmac.digest(b"secret-secret-secret-01", f"rb_01.{stamp}.".encode() + request.body, hashlib.sha256)
        assert request.headers["webhook-timestamp"] == stamp
        assert request.headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode()
        assert request.headers["idempotency-key"] == "rb_01"
        assert request.headers["authorization"] == "Bearer tok"


def test_without_a_secret_nothing_is_signed(server: FaultServer) -> None:
    webhook(server.url, 0.0).trigger(an_order())
    assert "webhook-signature" not in server.requests[0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_an_acceptance(server: FaultServer, status: int) -> None:
    server.answer = lambda _request: Answer(status)
    receipt = webhook(server.url, 0.0).trigger(an_order())
    assert (receipt.accepted, receipt.detail) == (True, f"answered {status}")


def test_a_redirect_is_not_followed(server: FaultServer) -> None:
    server.answer = lambda _request: Answer(307, {"location": f"{server.url}/other"})
    with pytest.raises(ExternalError):
        webhook(server.url, 0.0).trigger(an_order())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "location", "said"),
    [
        (b'{"id": "run-17", "reference": "other"}', "/queue/3", "run-17"),
        (b'{"id": 17}', None, "17"),
        (b'{"id": true, "reference": "ref-1"}', None, "ref-1"),
        (b'{"id": {"a": 1}, "reference": "a\\nb"}', "/queue/3", "/queue/3"),
        (b'{"id": ""}', None, ""),
        (b'{"id": "' + b"x" * 201 + b'"}', None, ""),
        (b'{"id": ' + b"9" * 300 + b"}", None, ""),
        (b'{"id": "\\ud800"}', "a\tb", ""),
        (b'["run-17"]', None, ""),
        (b"\xff", "/queue/3", "/queue/3"),
        (b"[" * 100_000, None, ""),
    ],
)
def test_the_reference_is_short_and_printable(body: bytes, location: str | None, said: str) -> None:
    assert reference(Response(202, {"location": location} if location else {}, body)) == said


@pytest.mark.parametrize("url", ["", "rollback", "file:///x", "https://user:hunter2@cd/", "https://cd/\nhunter2"])
def test_the_url_must_be_one_and_is_not_shown(url: str) -> None:
    with pytest.raises(ValidationError) as error:
        WebhookOptions.model_validate({"url": url})
    assert "expected an http or https URL" in str(error.value)
    assert "hunter2" not in "".join(problem["msg"] for problem in error.value.errors())


@pytest.mark.parametrize(
    ("answer", "standing"),
    [
        (Answer.of({"state": "done"}), Standing.DONE),
        (Answer.of({"state": "running", "more": 1}), Standing.RUNNING),
        (Answer.of({"state": "not_done"}), Standing.NOT_DONE),
        (Answer(404), Standing.NOT_DONE),
    ],
)
def test_what_the_receiver_says_of_an_order(server: FaultServer, answer: Answer, standing: Standing) -> None:
    server.answer = lambda _request: answer
    target = webhook(server.url, NOW, secret=SECRET, check_url=f"{server.url}/orders/{{rollback_id}}?t=1")
    assert target.can_check
    assert target.check(an_order(rollback_id="rb/01")) is standing
    (request,) = server.requests
    assert (request.method, request.path, request.headers["webhook-id"]) == ("GET", "/orders/rb%2F01", "rb/01")
    verify_standard([signing_key(SECRET)], request.headers, b"", NOW)


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(200, body=b"done"), Answer.of(["done"]), Answer.of({"state": "ok"}), Answer.of({})]
)
def test_what_says_nothing_known_is_an_error(server: FaultServer, answer: Answer) -> None:
    server.answer = lambda _request: answer
    with pytest.raises(ExternalError):
        webhook(server.url, NOW, check_url=f"{server.url}/{{rollback_id}}").check(an_order())


@pytest.mark.parametrize("url", ["ftp://cd/{rollback_id}", "https://cd.example/last"])
def test_a_check_url_asks_about_one_rollback(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookOptions.model_validate({"url": "https://cd.example", "check_url": url})
    assert not webhook("https://cd.example", NOW).can_check
