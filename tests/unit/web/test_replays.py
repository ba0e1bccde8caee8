"""A webhook that is sent again: by a sender that is not sure, or by somebody who has recorded it."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.plain_tools import plain_tools
from support.seeded_store import Seeded
from support.web_server import Reply, Running, serving, web_of

from watcher.intake.generic import Generic, GenericOptions
from watcher.intake.github import GitHub, GitHubOptions
from watcher.kit.signatures import sign_standard, signing_key

OLD, NEW = "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LTAwMDE=", "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LTAwMDE="
HUB = "hub-secret-0123456789"
BODY = json.dumps({"service": "search", "environment": "production", "version": "v77"}).encode()
RECORDED = json.loads(
    (Path(__file__).parents[2] / "conformance/data/github/status_success.json").read_text(encoding="utf-8")
)


@dataclass
class Receiver:
    """A server with a signed hook that is changing its secret, a GitHub hook, and a clock that can be turned."""

    running: Running
    seeded: Seeded
    now: float

    def signed(self, secret: str = NEW, at: float | None = None, message: str = "msg_1", **changes: str) -> Reply:
        stamp = int(self.now if at is None else at)
        headers = {
            "webhook-id": message,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign_standard(signing_key(secret), message, stamp, BODY),
        }
        sent = headers | {name.replace("_", "-"): value for name, value in changes.items()}
        return self.running.ask("POST", "/hooks/signed", body=BODY, headers=sent)

    def github(self, delivery: str) -> Reply:
        body = json.dumps(RECORDED["body"]).encode()
        digest = hmac.new(HUB.encode(), body, hashlib.sha256).hexdigest()
        headers = RECORDED["headers"] | {"x-hub-signature-256": f"sha256={digest}", "x-github-delivery": delivery}
        return self.running.ask("POST", "/hooks/github", body=body, headers=headers)

    def count(self, table: str) -> int:
        with self.seeded.database.read() as tx:
            found: int = tx.execute(text(f"select count(*) from {table}")).scalar_one()
        return found


@pytest.fixture
def receiver(seeded: Seeded) -> Iterator[Receiver]:
    made = Receiver(None, seeded, 1795316400.0)  # type: ignore[arg-type]  # it is set below
    hooks: dict[str, Any] = {
        "signed": Generic("signed", GenericOptions.model_validate({"secret": [OLD, NEW]}), plain_tools()),
        "github": GitHub("github", GitHubOptions.model_validate({"secret": HUB}), plain_tools()),
    }
    with serving(replace(web_of(seeded.database, lambda: made.now), hooks=hooks)) as running:
        made.running = running
        yield made


def test_a_replay_is_answered_as_known_and_does_nothing(receiver: Receiver) -> None:
    before = receiver.count("watches")
    first = receiver.signed()
    assert first.status == 202
    stamp = receiver.now
    receiver.now += 240
    again = receiver.signed(at=stamp)
    assert (again.status, again.json()) == (200, first.json())
    assert receiver.count("watches") == before + 1


def test_an_old_message_is_refused_however_right_its_signature(receiver: Receiver) -> None:
    stamp = receiver.now
    assert receiver.signed(at=stamp).status == 202
    receiver.now += 301
    assert receiver.signed(at=stamp).status == 401, "replayed too late"
    assert receiver.signed(at=receiver.now + 301, message="msg_2").status == 401, "from the future"
    assert receiver.signed(at=stamp, webhook_timestamp=str(int(receiver.now))).status == 401, "made to look fresh"
    assert receiver.signed(at=stamp, webhook_id="msg_3").status == 401, "made to look new"


def test_many_at_once_are_one(receiver: Receiver) -> None:
    before = receiver.count("watches")
    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(receiver.signed) for _ in range(16)]]
    assert sorted(answer.status for answer in answers) == [200] * 15 + [202]
    assert len({answer.body for answer in answers}) == 1
    assert receiver.count("watches") == before + 1


def test_both_secrets_are_good_while_one_takes_the_others_place(receiver: Receiver) -> None:
    assert receiver.signed(OLD).status == 202
    assert receiver.signed(NEW, message="msg_2").status in (200, 202)
    assert receiver.signed("whsec_bmVpdGhlci1uZWl0aGVyLW5laXRoZXI=", message="msg_3").status == 401


@pytest.mark.parametrize("doubled", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("other", ["", "v1,AAAA", None])
def test_a_header_that_comes_twice_proves_nothing(receiver: Receiver, doubled: str, other: str | None) -> None:
    stamp = str(int(receiver.now))
    signature = sign_standard(signing_key(NEW), "msg_1", int(stamp), BODY)
    right = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
    lines = [f"{name}: {value}" for name, value in right.items()]
    lines += [f"{doubled}: {right[doubled] if other is None else other}", f"content-length: {len(BODY)}"]
    with socket.create_connection(("127.0.0.1", receiver.running.server.port), timeout=60) as connection:
        connection.sendall("\r\n".join(["POST /hooks/signed HTTP/1.1", "host: x", *lines, "", ""]).encode() + BODY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_delivery_of_github_under_another_id_is_still_the_same_deploy(receiver: Receiver) -> None:
    first = receiver.github("delivery-1")
    deploys = receiver.count("deploys")
    for delivery in ("delivery-1", "delivery-2", ""):
        assert receiver.github(delivery).json().get("deploy_id") == first.json().get("deploy_id")
    assert receiver.count("deploys") == deploys
    receiver.now += 8 * 86400
    assert "7 days" in receiver.github("delivery-3").json()["ignored"]
