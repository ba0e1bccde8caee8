"""Webhooks: durable before the 202, and every refusal in its own status."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from support.seeded_store import Seeded
from support.web_server import HOOK_TOKEN, Running, serving, serving_seeded, web_of

from watcher.store import deploys, watches
from watcher.store.database import Database
from watcher.web import middleware

DEPLOY = {"service": "checkout", "environment": "production", "version": "v50", "id": "run-50"}
BEARER = {"authorization": f"Bearer {HOOK_TOKEN}"}


def _github(body: bytes, event: str = "deployment_status") -> dict[str, str]:
    signature = hmac.new(b"s3cret-of-github", body, hashlib.sha256).hexdigest()
    return {
        "x-hub-signature-256": f"sha256={signature}",
        "x-github-event": event,
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "content-type": "application/json",
    }


def test_it_is_stored_before_it_is_accepted_and_a_repeat_creates_nothing(daemon: Running, seeded: Seeded) -> None:
    first = daemon.post("/hooks/pipeline", DEPLOY, headers=BEARER)
    again = daemon.post("/hooks/pipeline", DEPLOY, headers=BEARER)
    assert (first.status, again.status) == (202, 200)
    assert first.json() == again.json()
    with seeded.database.read() as tx:
        watch = watches.get(tx, first.json()["watch_ids"][0])
        assert watch is not None
        assert deploys.get(tx, first.json()["deploy_id"]) is not None
        assert len(watches.of_deploy(tx, first.json()["deploy_id"])) == 1
    assert daemon.counted == [("pipeline", "accepted"), ("pipeline", "repeated")]


def test_a_service_that_nobody_configured(daemon: Running, seeded: Seeded) -> None:
    answer = daemon.post("/hooks/pipeline", DEPLOY | {"service": "chekout"}, headers=BEARER)
    assert answer.status == 422
    assert answer.json()["field"] == "service"
    assert "checkout, search" in answer.json()["expected"]
    with seeded.database.read() as tx:
        kept = deploys.get(tx, answer.json()["deploy_id"])
    assert kept is not None
    assert kept.services == ()
    assert daemon.counted == [("pipeline", "unwatched")]


def test_a_vendors_hook_gets_no_error_for_what_it_cannot_help(daemon: Running) -> None:
    deployment = {"id": 7, "ref": "main", "sha": "ab" * 20, "environment": "production", "task": "deploy"}
    deployment |= {"created_at": "2026-11-22T01:00:00Z", "updated_at": "2026-11-22T01:00:00Z", "payload": {}}
    state = {"id": 8, "state": "success", "created_at": "2026-11-22T01:02:00Z", "updated_at": "2026-11-22T01:02:00Z"}
    content = {"deployment": deployment, "deployment_status": state, "repository": {"full_name": "acme/unknown"}}
    body = json.dumps({"action": "created"} | content).encode()
    unwatched = daemon.ask("POST", "/hooks/acme-github", body=body, headers=_github(body))
    assert (unwatched.status, "ignored" in unwatched.json()) == (200, True), unwatched.text
    ping = b'{"zen": "Keep it logically awesome."}'
    answer = daemon.ask("POST", "/hooks/acme-github", body=ping, headers=_github(ping, "ping"))
    assert (answer.status, list(answer.json())) == (200, ["ignored"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer \xff\xfe"},
        {"authorization": ""},
    ],
)
def test_whoever_is_not_proved_learns_nothing(
    daemon: Running, seeded: Seeded, headers: dict[str, str], logged: list[MutableMapping[str, Any]]
) -> None:
    answer = daemon.post("/hooks/pipeline", DEPLOY, headers=headers)
    assert (answer.status, answer.json()) == (401, {"error": "unauthenticated"})
    with seeded.database.read() as tx:
        assert [deploy.version for deploy in deploys.recent(tx, 20)].count("v50") == 0
    assert daemon.counted == [("pipeline", "unauthenticated")]
    assert [line["event"] for line in logged] == ["hook_unauthenticated"]
    assert HOOK_TOKEN not in str(logged)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": None}, "version"),
        ({"version": 5}, "version"),
        ({"started_at": "noon"}, "started_at"),
        ({"links": {"x": "javascript:alert(1)"}}, "links.x"),
        ({"serivce": "x"}, "serivce"),
    ],
)
def test_malformed_names_the_field(shown: Running, change: dict[str, Any], field: str) -> None:
    answer = shown.post("/hooks/pipeline", DEPLOY | change, headers=BEARER)
    assert (answer.status, answer.json()["field"]) == (400, field)
    assert answer.json()["expected"]
    assert answer.json()["error"].startswith(field)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"\xff\xfe", b"[" * 50_000])
def test_a_body_that_is_no_object(shown: Running, body: bytes) -> None:
    answer = shown.ask("POST", "/hooks/pipeline", body=body, headers=BEARER)
    assert (answer.status, answer.json()["field"]) == (400, "")


def test_a_body_that_says_it_is_too_large_is_not_even_read(shown: Running) -> None:
    with socket.create_connection(("127.0.0.1", shown.server.port), timeout=60) as connection:
        connection.sendall(
            b"POST /hooks/acme-github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n"
        )
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_say_is_cut_off_while_it_comes(daemon: Running) -> None:
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", daemon.server.port), timeout=60) as connection:
        connection.sendall(b"POST /hooks/acme-github HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(chunk * 5)  # 80 KiB, without an end
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert daemon.saw("/hooks/{name}", "POST", 413)


def test_a_body_that_drips_does_not_hold_us(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_BODY_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", daemon.server.port), timeout=60) as connection:
        connection.sendall(b"POST /hooks/acme-github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("path", "route"), [("/hooks/acme-github", "/hooks/{name}"), ("/api/v1/deploys", "")])
def test_a_sender_that_goes_away_in_the_middle_is_no_error_of_ours(
    daemon: Running, logged: list[MutableMapping[str, Any]], path: str, route: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{daemon.server.port}\r\nContent-Length: 100\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", daemon.server.port), timeout=5) as connection:
        connection.sendall(head.encode())
        time.sleep(0.2)
    assert daemon.saw(route or path, "POST", 499)
    assert not [line for line in logged if line["event"] == "request_failed"]


def test_the_sender_should_try_again_when_the_store_is_away(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with serving(web_of(database, lambda: 1e9)) as running:
        answer = running.post("/hooks/pipeline", DEPLOY, headers=BEARER)
    assert (answer.status, answer.json()) == (503, {"error": "the store is unavailable"})
    assert int(answer.headers["retry-after"]) > 0
    assert running.counted == [("pipeline", "unavailable")]
    database.close()


def test_no_such_hook_and_no_such_method(shown: Running) -> None:
    assert shown.post("/hooks/other", DEPLOY, headers=BEARER).status == 404
    wrong = shown.get("/hooks/pipeline")
    assert (wrong.status, wrong.json(), wrong.headers["allow"]) == (405, {"error": "method not allowed"}, "POST")


def test_a_header_that_comes_twice_proves_nothing(shown: Running) -> None:
    body = json.dumps(DEPLOY).encode()
    request = b"POST /hooks/pipeline HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(body)
    request += b"Authorization: Bearer x\r\nAuthorization: Bearer %s\r\n\r\n" % HOOK_TOKEN.encode()
    with socket.create_connection(("127.0.0.1", shown.server.port), timeout=60) as connection:
        connection.sendall(request + body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_clock_that_is_ahead_is_answered_with_a_warning_and_counted(seeded: Seeded) -> None:
    counted: list[str] = []
    body = {"service": "checkout", "environment": "production", "version": "v77", "finished_at": seeded.now + 7200}
    headers = {"authorization": f"Bearer {HOOK_TOKEN}"}
    with serving_seeded(seeded, clock_ahead=counted.append) as running:
        answers = [running.post("/hooks/pipeline", body, headers=headers) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 200]
    assert all("7200 s ahead" in answer.json()["warning"] for answer in answers)
    assert counted == ["pipeline"], "the repeat is none"
