"""Drills by the API and on the page; carried out by the true actor at a real receiver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from jsonschema import Draft202012Validator
from support.fault_server import Answer, FaultServer
from support.keeping import Patient
from support.plain_tools import plain_tools
from support.seeded_store import SERVICES, Seeded
from support.web_server import APPROVE, DEPLOY, READ, TOKENS, Running, serving_seeded

from watcher import registry
from watcher.engine.act import Actor
from watcher.kit.signatures import signing_key, verify_standard
from watcher.store import orders, watches
from watcher.telemetry.metrics import Metrics

PATH = "/api/v1/services/checkout/drills"
SECRET = "a secret for signatures"


@pytest.fixture
def receiver() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.answer = lambda _request: Answer.of({"id": "run-17"}, 202)
        yield server


@pytest.fixture
def guarded(seeded: Seeded) -> Iterator[Running]:
    with serving_seeded(seeded, tokens=TOKENS) as running:
        yield running


def carry_out(seeded: Seeded, receiver: FaultServer, kind: str = "webhook", **options: Any) -> Metrics:
    """What the daemon's actor does with what is due."""
    adapter = registry.adapter("rollback", kind)
    if kind == "webhook":
        options = {"url": receiver.url, "secret": SECRET, "timeout": 60, "heeds_dry_run": True} | options
    target = adapter("checkout", adapter.Options(**options), plain_tools())
    metrics, log = Metrics("test"), structlog.get_logger()
    keeper = Patient(seeded.database, "a")
    actor = Actor(seeded.database, {"checkout": target}, keeper, metrics, "http://watcher", log)
    while actor.step(seeded.now):
        pass
    return metrics


def test_a_drill_goes_the_way_of_a_rollback_and_counts_as_none(
    daemon: Running, seeded: Seeded, receiver: FaultServer
) -> None:
    with seeded.database.read() as tx:
        before = orders.spent(tx, seeded.now - 86400), watches.listing(tx, limit=50)
    ordered = daemon.post(PATH, {})
    assert (ordered.status, ordered.json()["state"]) == (202, "planned")
    metrics = carry_out(seeded, receiver)
    (request,) = receiver.requests
    told = request.json()
    assert told["dry_run"] is True
    assert (told["bad_version"], told["target_version"], told["environment"]) == ("v43", "v42", "production")
    assert request.headers["idempotency-key"] == ordered.json()["id"]
    verify_standard([signing_key(SECRET)], request.headers, request.body, float(request.headers["webhook-timestamp"]))

    found = daemon.get(f"/api/v1/drills/{ordered.json()['id']}").json()
    assert (found["state"], found["attempts"], found["detail"], found["reference"]) == (
        "accepted", 1, "answered 202", "run-17",
    )  # fmt: skip
    assert found["ordered_by"] == "local user"
    assert [one["id"] for one in daemon.get(PATH).json()["drills"]] == [found["id"]]
    text = daemon.get("/services/checkout").text
    assert "v43 → v42, production" in text
    assert "answered 202 (run-17)" in text
    with seeded.database.read() as tx:
        assert (orders.spent(tx, seeded.now - 86400), watches.listing(tx, limit=50)) == before
        assert not orders.open_rollbacks(tx, "basket")
    exposed = metrics.exposition("")[0].decode()
    assert 'watcher_drills_total{service="checkout",state="accepted"} 1.0' in exposed
    assert "watcher_rollbacks_total{" not in exposed


def test_a_target_that_refuses_is_found_out(daemon: Running, seeded: Seeded, receiver: FaultServer) -> None:
    receiver.answer = lambda _request: Answer(403)
    ordered = daemon.post(PATH, {"environment": "staging", "bad_version": "b", "target_version": "a"}).json()
    carry_out(seeded, receiver)
    found = daemon.get(f"/api/v1/drills/{ordered['id']}").json()
    assert (found["state"], found["environment"], found["bad_version"]) == ("failed", "staging", "b")
    assert "answered 403" in found["detail"]
    assert daemon.post(PATH, {}).status == 202  # the next one may be ordered


def test_a_command_that_does_not_heed_a_dry_run_is_not_started(
    daemon: Running, seeded: Seeded, receiver: FaultServer
) -> None:
    ordered = daemon.post(PATH, {}).json()
    carry_out(seeded, receiver, "command", argv=["/bin/true"])
    found = daemon.get(f"/api/v1/drills/{ordered['id']}").json()
    assert (found["state"], "WATCHER_DRY_RUN" in found["detail"]) == ("failed", True)


def test_a_receiver_that_does_not_heed_a_dry_run_is_sent_nothing(
    daemon: Running, seeded: Seeded, receiver: FaultServer
) -> None:
    ordered = daemon.post(PATH, {}).json()
    carry_out(seeded, receiver, heeds_dry_run=False)
    found = daemon.get(f"/api/v1/drills/{ordered['id']}").json()
    assert (found["state"], "heeds_dry_run" in found["detail"]) == ("failed", True)
    assert not receiver.requests


def test_one_at_a_time_and_only_by_who_may_approve(guarded: Running) -> None:
    assert [guarded.post(PATH, {}, token=token).status for token in (None, READ, DEPLOY)] == [403] * 3
    ordered = guarded.post(PATH, {}, token=APPROVE)
    assert (ordered.status, ordered.json()["ordered_by"]) == (202, "mara")
    again = guarded.post(PATH, {}, token=APPROVE)
    assert (again.status, again.json()["error"]) == (409, f"the drill {ordered.json()['id']} is under way")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/api/v1/services/wiki/drills", {}, 404, "there is no service wiki"),
        (PATH, {"bad_version": "x" * 300}, 400, "bad_version"),
        (PATH, {"version": "v1"}, 400, "version"),
        (PATH, {"environment": "staging"}, 409, "give bad_version, target_version"),
        ("/api/v1/services/plain/drills", {}, 409, "plain has no rollback target to drill"),
    ],
)
def test_what_cannot_be_drilled_is_said(seeded: Seeded, path: str, body: Any, status: int, said: str) -> None:
    services = {**SERVICES, "plain": replace(SERVICES["search"], name="plain", rollback=None)}
    with serving_seeded(seeded, services=services) as running:
        reply = running.post(path, body)
        assert (reply.status, said in reply.json()["error"]) == (status, True), reply.text
        assert running.get("/api/v1/drills/drill-none").status == 404
        assert "Rollback drills" not in running.get("/services/plain").text


def test_the_answers_are_as_the_document_says(daemon: Running) -> None:
    document = daemon.get("/openapi.json").json()
    ordered = daemon.post(PATH, {})
    replies = {
        ("/api/v1/services/{name}/drills", "post"): ordered,
        ("/api/v1/services/{name}/drills", "get"): daemon.get(PATH),
        ("/api/v1/drills/{drill_id}", "get"): daemon.get(f"/api/v1/drills/{ordered.json()['id']}"),
    }
    for (route, method), reply in replies.items():
        answer = document["paths"][route][method]["responses"][str(reply.status)]
        schema = answer["content"]["application/json"]["schema"]
        Draft202012Validator(schema | {"components": document["components"]}).validate(reply.json())
