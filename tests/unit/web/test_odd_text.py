"""Text that no database or no answer can hold: NUL, halves of characters. It is refused with the name of its field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from support.seeded_store import Seeded, seed
from support.web_server import HOOK_TOKEN, Running, serving_seeded

from watcher.store.database import Database

NOW = 1_790_000_000.0
ODD = {"NUL": "v\x00", "half": "v\ud800", "two halves": "\udc00\ud800"}
DEPLOY = {"service": "checkout", "environment": "production", "version": "v77"}


@pytest.fixture
def stored(database: Database) -> Seeded:
    return seed(database, NOW)


@pytest.fixture
def running(stored: Seeded) -> Iterator[Running]:
    with serving_seeded(stored) as server:
        yield server


def refused(reply: Any, field: str) -> bool:
    return reply.status in {400, 422} and reply.json()["field"] == field and bool(reply.json()["expected"])


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_in_what_is_told_of_a_deploy(running: Running, odd: str) -> None:
    for path, headers in (("/api/v1/deploys", {}), ("/hooks/pipeline", {"authorization": f"Bearer {HOOK_TOKEN}"})):
        for field in ("service", "environment", "version", "previous_version", "id", "rollback_id", "status"):
            reply = running.post(path, DEPLOY | {field: odd}, headers=headers)
            assert refused(reply, field), (path, field, reply.body)
        links = running.post(path, DEPLOY | {"links": {odd: "https://a.b"}}, headers=headers)
        assert refused(links, "links"), links.body
        unknown = running.post(path, DEPLOY | {odd: 1}, headers=headers)
        assert refused(unknown, json.dumps(odd)[1:-1].replace("\\u0000", "\\x00")), unknown.body


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_in_what_a_person_says(running: Running, stored: Seeded, odd: str) -> None:
    decision = f"/api/v1/watches/{stored.waiting.id}"
    for action in ("approve", "refuse", "stop"):
        assert refused(running.post(f"{decision}/{action}", {"reason": odd}), "reason")
        assert running.post(f"{decision}/{action}", {"reason": "x", odd: 1}).status == 400
    drill = "/api/v1/services/checkout/drills"
    for field in ("environment", "bad_version", "target_version"):
        reply = running.post(drill, {field: odd})
        assert refused(reply, field), (field, reply.body)


def test_in_a_form(running: Running, stored: Seeded) -> None:
    for action in ("approve", "refuse", "stop"):
        assert running.form(f"/watches/{stored.waiting.id}/{action}", reason="a\x00b").status == 400
    assert running.get(f"/api/v1/watches/{stored.waiting.id}").json()["state"] == "watching"


@pytest.mark.parametrize("path", ["/", "/api/v1/watches", "/api/v1/deploys", "/api/v1/services/checkout/drills"])
def test_in_a_query(running: Running, path: str) -> None:
    for name in ("service", "watch", "anything"):
        reply = running.get(f"{path}?{name}=a%00b", headers={"accept": "application/json"})
        assert refused(reply, name), (name, reply.body)


@pytest.mark.parametrize(
    "path",
    [
        "/watches/{}", "/api/v1/watches/{}", "/api/v1/watches/{}/charts", "/api/v1/drills/{}", "/services/{}",
        "/api/v1/services/{}/rehearsal", "/api/v1/services/{}/drills",
    ],
)  # fmt: skip
def test_in_a_path(running: Running, path: str) -> None:
    reply = running.get(path.format("w%00"), headers={"accept": "application/json"})
    assert reply.status in {400, 404}, reply.body
    half = running.get(path.format(quote("w\ud800", errors="surrogatepass")))
    assert half.status == 404, half.body
