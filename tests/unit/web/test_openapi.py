"""What the OpenAPI document promises holds: every answer has the shape that stands there for its status."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.seeded_store import Seeded
from support.web_server import HOOK_TOKEN, Reply, Running

DEPLOY = {"service": "checkout", "environment": "production", "version": "v50"}
BEARER = {"authorization": f"Bearer {HOOK_TOKEN}"}
REASON = {"reason": "because"}


@pytest.fixture(scope="module")
def document(shown: Running) -> dict[str, Any]:
    found: dict[str, Any] = shown.get("/openapi.json").json()
    return found


def _conforms(document: dict[str, Any], route: str, method: str, reply: Reply) -> None:
    answers = document["paths"][route][method.lower()]["responses"]
    answer = answers.get(str(reply.status)) or answers[f"{reply.status // 100}XX"]
    schema = answer["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": document["components"]}).validate(reply.json())


@pytest.mark.parametrize(
    ("route", "path", "status"),
    [
        ("/api/v1/watches", "", 200),
        ("/api/v1/watches", "?limit=0", 400),
        ("/api/v1/deploys", "", 200),
        ("/api/v1/deploys", "?before=x", 400),
        *(("/api/v1/watches/{watch_id}", f"w-{number:04}", 200) for number in (19, 20, 41, 42, 43, 44)),
        ("/api/v1/watches/{watch_id}", "w-none", 404),
        ("/api/v1/watches/{watch_id}", "w-0043?wait=x", 400),
        *(("/api/v1/watches/{watch_id}/chart", f"w-{number:04}/chart", 200) for number in (19, 20, 41, 43)),
        ("/api/v1/watches/{watch_id}/chart", "w-none/chart", 404),
    ],
)
def test_what_is_read(document: dict[str, Any], shown: Running, route: str, path: str, status: int) -> None:
    reply = shown.get(route.partition("{watch_id}")[0] + path)
    assert reply.status == status
    _conforms(document, route, "GET", reply)


def test_what_is_changed(document: dict[str, Any], daemon: Running, seeded: Seeded) -> None:
    watch = f"/api/v1/watches/{seeded.waiting.id}"
    steps: list[tuple[str, str, Any, int]] = [
        ("/api/v1/watches/{watch_id}/approve", f"{watch}/approve", {}, 400),
        ("/api/v1/watches/{watch_id}/approve", f"{watch}/approve", REASON, 200),
        ("/api/v1/watches/{watch_id}/refuse", f"{watch}/refuse", REASON, 409),
        ("/api/v1/watches/{watch_id}/stop", f"{watch}/stop", REASON, 200),
        ("/api/v1/watches/{watch_id}/stop", "/api/v1/watches/w-none/stop", REASON, 404),
        ("/api/v1/deploys", "/api/v1/deploys", DEPLOY, 202),
        ("/api/v1/deploys", "/api/v1/deploys", DEPLOY, 200),
        ("/api/v1/deploys", "/api/v1/deploys", DEPLOY | {"service": "x"}, 422),
        ("/api/v1/deploys", "/api/v1/deploys", DEPLOY | {"version": ""}, 400),
        ("/hooks/{name}", "/hooks/pipeline", DEPLOY | {"version": "v51"}, 202),
        ("/hooks/{name}", "/hooks/pipeline", DEPLOY | {"service": "x", "version": "v51"}, 422),
        ("/hooks/{name}", "/hooks/pipeline", {}, 400),
        ("/hooks/{name}", "/hooks/none", {}, 404),
    ]
    for route, path, body, status in steps:
        reply = daemon.post(path, body, headers=BEARER if route.startswith("/hooks") else None)
        assert reply.status == status, (path, reply.text)
        _conforms(document, route, "POST", reply)


def test_what_is_sent_is_described_as_it_is_read(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/v1/deploys"]["post"]["requestBody"]["content"]
    validator = Draft202012Validator(content["application/json"]["schema"])
    good = [DEPLOY, DEPLOY | {"started_at": 1e9, "finished_at": "2026-11-22T00:00:00Z", "links": {"a": "http://b"}}]
    bad = [{}, DEPLOY | {"status": "done"}, DEPLOY | {"typo": 1}, DEPLOY | {"version": ""}, DEPLOY | {"version": 5}]
    assert [validator.is_valid(body) for body in good] == [True] * len(good)
    assert [validator.is_valid(body) for body in bad] == [False] * len(bad)


def test_every_operation_says_what_it_is_for(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            assert operation["tags"], (method, path)
