"""A team's CD pipeline, as far as the watcher meets it: it ships a version and says so, and it has a rollback hook.

The hook does what any receiver of Standard Webhooks should (https://github.com/standard-webhooks/standard-webhooks):
it verifies the signature, carries out one `Idempotency-Key` once, and says afterwards what is now deployed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock, Thread
from typing import Any

from watcher.demo.wire import Answer, CallError, Request, Server, call_json

_TOLERANCE = 300.0  # seconds that a signature stays good, both ways
_ROLLBACK_TAKES = 1.0  # seconds
SERVICE = "checkout"
ENVIRONMENT = "production"


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where the pipeline's two neighbours are: the shop, and the watcher's webhook with its bearer token."""

    shop: str
    watcher: str
    token: str


class Pipeline:
    """Ships versions and takes them back. Safe to use from several threads."""

    def __init__(self, hooks: Hooks, secret: str, version: str, now: Callable[[], float] = time.time) -> None:
        """`secret` signs rollback calls (`whsec_...`); `version` is what serves now."""
        self._hooks = hooks
        self._secret = secret
        self._version = version
        self._now = now
        self._lock = Lock()
        self.calls: list[dict[str, Any]] = []  # bodies of every genuine rollback call, repeats included
        self.refused = 0  # calls that did not prove who sent them
        self.receipts: list[str] = []  # ids of rollbacks that were carried out and announced
        self.problems: list[str] = []
        self._done: dict[str, Answer] = {}
        self.server = Server({("POST", "/rollback"): self._rollback})

    @property
    def rollback_url(self) -> str:
        return f"{self.server.url}/rollback"

    def ship(self, version: str, **extra: str) -> Any:
        """Switches the shop to `version` and announces it; the watcher's answer.

        Raises:
            CallError: the shop or the watcher did not take it.
        """
        started_at = self._now()
        call_json("POST", f"{self._hooks.shop}/deploy", body={"version": version})
        previous, self._version = self._version, version
        return call_json(
            "POST",
            self._hooks.watcher,
            body={
                "service": SERVICE,
                "environment": ENVIRONMENT,
                "version": version,
                "previous_version": previous,
                "started_at": _iso(started_at),
                "finished_at": _iso(self._now()),
                "links": {"shop": f"{self._hooks.shop}/version"},
                **extra,
            },
            headers={"authorization": f"Bearer {self._hooks.token}"},
        )

    def _rollback(self, request: Request) -> Answer:
        if not genuine(self._secret, request.headers, request.body, self._now()):
            self.refused += 1
            return Answer(401, {"error": "the signature is not right"})
        try:
            order = json.loads(request.body)
            target, rollback_id = str(order["target_version"]), str(order["rollback_id"])
        except (ValueError, KeyError, TypeError):
            return Answer(400, {"error": "expected an object with target_version and rollback_id"})
        key = request.headers.get("idempotency-key", rollback_id)
        with self._lock:
            self.calls.append(order)
            if key in self._done:
                return self._done[key]
            self._done[key] = Answer(
                202, {"accepted": True, "target_version": target, "id": f"rollback-{len(self._done) + 1}"}
            )
        if not order.get("dry_run"):
            Thread(target=self._take_back, args=(target, rollback_id), daemon=True).start()
        return self._done[key]

    def _take_back(self, target: str, rollback_id: str) -> None:
        time.sleep(_ROLLBACK_TAKES)
        try:
            self.ship(target, rollback_id=rollback_id)
            self.receipts.append(rollback_id)
        except CallError as error:
            self.problems.append(str(error))


def genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether one of the `webhook-signature` values is ours for this id, time and body; hostile input is just False."""
    identity, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        fresh = abs(now - int(stamp)) <= _TOLERANCE
    except (ValueError, OverflowError, binascii.Error):
        return False
    signed = f"{identity}.{stamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode(errors="replace").split()
    return fresh and any(hmac.compare_digest(expected, signature) for signature in given)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
