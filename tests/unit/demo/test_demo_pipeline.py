import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from watcher.demo.pipeline import Hooks, Pipeline, genuine
from watcher.demo.shop import Shop
from watcher.demo.shop import server as shop_server
from watcher.demo.wire import Answer, CallError, Request, Server, call, call_json
from watcher.intake.generic import parse_deploy
from watcher.kit.signatures import sign_standard, signing_key

# The example of the Standard Webhooks specification's libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
STAMP = "1614265330"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = float(STAMP)


def _headers(**changes: str) -> dict[str, str]:
    given = {"webhook-id": ID, "webhook-timestamp": STAMP, "webhook-signature": SIGNATURE}
    return given | {name.replace("_", "-"): value for name, value in changes.items()}


def test_the_specification_s_example_is_genuine() -> None:
    assert genuine(SECRET, _headers(), BODY, NOW)
    assert genuine(SECRET, _headers(webhook_signature=f"v1,AAAA v1a,BBBB {SIGNATURE}"), BODY, NOW + 299)


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (_headers(), BODY + b" ", NOW),
        (_headers(), BODY, NOW + 301),
        (_headers(), BODY, NOW - 301),
        (_headers(webhook_id="msg_other"), BODY, NOW),
        (_headers(webhook_timestamp="soon"), BODY, NOW),
        (_headers(webhook_timestamp="9" * 400), BODY, NOW),
        (_headers(webhook_timestamp="\u00b2"), BODY, NOW),
        (_headers(webhook_signature=""), BODY, NOW),
        (_headers(webhook_signature="v1,\u00ff\u00fe"), BODY, NOW),
        (_headers(webhook_signature=SIGNATURE.removeprefix("v1,")), BODY, NOW),
        ({}, BODY, NOW),
    ],
)
def test_anything_else_is_not(headers: dict[str, str], body: bytes, now: float) -> None:
    assert not genuine(SECRET, headers, body, now)


class World:
    """A shop, a pipeline, and something that stands where the watcher's webhook would."""

    def __init__(self) -> None:
        self.shop = Shop(time.time(), seed=1, past=10, version="v1")
        self.pages = shop_server(self.shop)
        self.heard: list[Request] = []
        self.watcher = Server({("POST", "/hooks/pipeline"): self._hear})
        hooks = Hooks(self.pages.url, f"{self.watcher.url}/hooks/pipeline", "the-token")
        self.pipeline = Pipeline(hooks, SECRET, "v1")

    def _hear(self, request: Request) -> Answer:
        self.heard.append(request)
        return Answer(202, {"watch_ids": ["w1"]})

    def rollback(self, *, key: str = "rb-1", secret: str = SECRET, **order: Any) -> Any:
        body = {"rollback_id": key, "target_version": "v2", "dry_run": False, **order}
        raw, stamp = json.dumps(body).encode(), int(time.time())
        headers = {
            "webhook-id": key,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign_standard(signing_key(secret), key, stamp, raw),
            "idempotency-key": key,
        }
        return call_json("POST", self.pipeline.rollback_url, body=body, headers=headers)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    servers = (world.pages, world.watcher, world.pipeline.server)
    for server in servers:
        server.start()
    yield world
    for server in servers:
        server.stop()


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_shipping_switches_the_shop_and_tells_the_watcher_what_its_intake_understands(world: World) -> None:
    before = time.time()
    assert world.pipeline.ship("v3") == {"watch_ids": ["w1"]}
    assert world.shop.version == "v3"
    (request,) = world.heard
    assert request.headers["authorization"] == "Bearer the-token"
    (event,) = parse_deploy(request.headers, request.body, time.time()).events
    assert (event.version, event.previous_version, event.environment) == ("v3", "v1", "production")
    assert event.attributes["service"] == "checkout"
    assert event.started_at is not None
    assert event.finished_at is not None
    assert before - 0.01 < event.started_at <= event.finished_at < time.time() + 0.01


def test_a_signed_rollback_switches_back_and_is_announced_with_its_id(world: World) -> None:
    world.pipeline.ship("v3")
    assert world.rollback()["accepted"] is True
    _until(lambda: world.pipeline.receipts)
    assert world.shop.version == "v2"
    (event,) = parse_deploy({}, world.heard[-1].body, time.time()).events
    assert (event.version, event.previous_version, event.rollback_id) == ("v2", "v3", "rb-1")


def test_a_repeated_rollback_is_answered_alike_and_carried_out_once(world: World) -> None:
    first, second = world.rollback(), world.rollback()
    other = world.rollback(key="rb-2", target_version="v1")
    assert first == second != other
    _until(lambda: len(world.pipeline.receipts) == 2)
    assert len(world.pipeline.calls) == 3
    assert sorted(world.pipeline.receipts) == ["rb-1", "rb-2"]
    assert len(world.heard) == 2


def test_a_rollback_that_is_not_signed_by_us_is_refused_and_does_nothing(world: World) -> None:
    with pytest.raises(CallError, match="401"):
        world.rollback(secret="whsec_" + "A" * 32)
    assert world.pipeline.calls == []
    assert world.pipeline.refused == 1


def test_a_signed_order_without_a_target_is_400(world: World) -> None:
    raw, stamp = b"[]", int(time.time())
    headers = {
        "webhook-id": "x",
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign_standard(signing_key(SECRET), "x", stamp, raw),
    }
    with pytest.raises(CallError, match=r"400 .*target_version"):
        call("POST", world.pipeline.rollback_url, body=[], headers=headers)
    assert world.pipeline.calls == []


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.rollback(dry_run=True)
    time.sleep(1.2)
    assert world.shop.version == "v1"
    assert world.heard == []


def test_a_rollback_that_fails_is_remembered_as_a_problem(world: World) -> None:
    world.rollback(target_version="v9")
    _until(lambda: world.pipeline.problems)
    assert "v1, v2, v3" in world.pipeline.problems[0]
    assert world.pipeline.receipts == []
