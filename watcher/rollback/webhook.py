"""Tells a URL of the team to roll back: JSON, signed by Standard Webhooks, one `Idempotency-Key` for one rollback.

Idempotency-Key: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator

from watcher.errors import ExternalError, Fault
from watcher.kit.http import Connection, HttpStatusError, origin
from watcher.kit.outside import is_clean, is_web_url
from watcher.kit.signatures import SigningSecret, sign_standard, signing_key
from watcher.model.order import Receipt, RollbackOrder, Standing
from watcher.ports import HttpResponse, Tools
from watcher.rollback.order import told

_REFERENCE = 200  # characters
_ID = "{rollback_id}"


class WebhookOptions(Connection):
    """Where to send orders and how to sign them."""

    url: SecretStr = Field(description="Where orders are sent; never shown, for such URLs often hold a token.")
    secret: SigningSecret | None = Field(
        default=None, description="Signs every order as Standard Webhooks says: `whsec_` and base64, or any text."
    )

    check_url: SecretStr | None = Field(
        default=None,
        description="Where to ask (GET) what became of an order after every attempt went unanswered; `{rollback_id}` "
        "is put in. Never shown.",
    )
    heeds_dry_run: bool = Field(
        default=False,
        description="Whether the receiver changes nothing for an order that says `dry_run`; without it a drill is "
        "refused and nothing sent.",
    )

    @field_validator("url", "check_url")
    @classmethod
    def _is_web_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not is_web_url(url.get_secret_value().replace(_ID, "id")):
            raise ValueError("expected an http or https URL; a user and password go into `username` and `password`")
        return url

    @field_validator("check_url")
    @classmethod
    def _names_the_rollback(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and _ID not in url.get_secret_value():
            raise ValueError("expected {rollback_id} in the URL, to ask about one rollback")
        return url

    @model_validator(mode="after")
    def _asks_the_same_server(self) -> Self:
        urls = [url.get_secret_value() for url in (self.url, self.check_url) if url is not None]
        if len({origin(url) for url in urls}) > 1:
            raise ValueError("check_url is on another server (expected the scheme, host and port of url)")
        return self


class Webhook:
    """A POST for each order. The receiver must carry out one `Idempotency-Key` once, however often it comes."""

    Options = WebhookOptions
    idempotent: ClassVar[bool] = True

    def __init__(self, name: str, options: WebhookOptions, tools: Tools) -> None:
        self.name = name
        self._url = options.url
        self._check_url = options.check_url
        self._heeds_dry_run = options.heeds_dry_run
        self._key = signing_key(options.secret.get_secret_value()) if options.secret else None
        self._http = tools.http(options)
        self._now = tools.now

    def trigger(self, order: RollbackOrder) -> Receipt:
        """Any 2xx is an acceptance, not yet a rollback.

        Raises:
            ExternalError: as from the door; `sent` says whether the order may have been carried out. Or the order says
                `dry_run`, and nothing says that the receiver heeds it.
        """
        if order.dry_run and not self._heeds_dry_run:
            why = "not sent: nothing says that the receiver heeds dry_run (expected heeds_dry_run: true)"
            raise ExternalError(why, fault=Fault.QUERY, permanent=True, sent=False)
        body = payload(order)
        answer = self._http.request(
            "POST",
            self._url.get_secret_value(),
            data=body,
            headers=headers(order, body, self._key, int(self._now())),
        )
        return Receipt(accepted=True, detail=f"answered {answer.status}", reference=reference(answer))

    @property
    def can_check(self) -> bool:
        return self._check_url is not None

    def check(self, order: RollbackOrder) -> Standing:
        """The `state` of a JSON answer; 404 is an order that never came.

        Raises:
            ExternalError: as from the door, or the answer says nothing that is known.
        """
        if self._check_url is None:
            raise ExternalError("no check_url is configured", fault=Fault.QUERY, permanent=True, sent=False)
        url = self._check_url.get_secret_value().replace(_ID, quote(order.key, safe=""))
        try:
            answer = self._http.request("GET", url, headers=headers(order, b"", self._key, int(self._now())))
        except HttpStatusError as error:
            if error.response.status == 404:
                return Standing.NOT_DONE
            raise
        told_back = answer.json()
        state = told_back.get("state") if isinstance(told_back, dict) else None
        if state not in tuple(Standing):
            expected = ", ".join(Standing)
            raise ExternalError(
                f"its answer has no known state (expected {expected})", fault=Fault.MALFORMED, permanent=False
            )
        return Standing(state)


def payload(order: RollbackOrder) -> bytes:
    """The body; every attempt sends the same bytes."""
    return json.dumps(told(order), ensure_ascii=False).encode("utf-8", "replace")


def headers(order: RollbackOrder, body: bytes, key: bytes | None, timestamp: int) -> dict[str, str]:
    """`webhook-id` and `idempotency-key` are the order's key; the signature is of this attempt's time, unix seconds."""
    plain = {
        "content-type": "application/json",
        "idempotency-key": order.key,
        "webhook-id": order.key,
        "webhook-timestamp": str(timestamp),
    }
    return plain if key is None else plain | {"webhook-signature": sign_standard(key, order.key, timestamp, body)}


def reference(answer: HttpResponse) -> str:
    """What the receiver calls this rollback, for people: JSON `id` or `reference`, else `Location`; or nothing."""
    try:
        told_back = json.loads(answer.body)
    except (ValueError, RecursionError):
        told_back = None
    fields: Mapping[str, Any] = told_back if isinstance(told_back, dict) else {}
    for value in (fields.get("id"), fields.get("reference"), answer.headers.get("location")):
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else value
        if isinstance(text, str) and is_clean(text, _REFERENCE):
            return text
    return ""
