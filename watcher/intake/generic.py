"""Any pipeline that can send JSON: the format is ours, documented in docs/adapters/intake.md.

A key that we do not know is an error: a typing mistake must not silently become a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from watcher.errors import MalformedError
from watcher.intake import reading
from watcher.kit.outside import is_clean, is_web_url
from watcher.kit.redaction import redacted_url
from watcher.kit.signatures import BearerTokens, SigningSecrets, signing_key, verify_bearer, verify_standard
from watcher.model.deploy import DeployEvent, Parsed, Phase
from watcher.ports import Tools

_KEYS = (
    "service",
    "environment",
    "version",
    "previous_version",
    "status",
    "started_at",
    "finished_at",
    "id",
    "rollback_id",
    "links",
)
_PHASES = {"started": Phase.STARTED, "finished": Phase.FINISHED, "failed": Phase.FAILED}
_MOST_LINKS = 20
_TITLE = 80


class GenericOptions(BaseModel):
    """At least one of `token` and `secret` is needed; a message must satisfy each one that is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: BearerTokens = Field(
        default=(), description="Bearer token that the sender must show; a list while one takes another's place."
    )
    secret: SigningSecrets = Field(
        default=(),
        description="Secret of the sender's Standard Webhooks signature (`whsec_` and base64, or any text); a list "
        "while one takes another's place.",
    )

    @model_validator(mode="after")
    def _proves_something(self) -> Self:
        if not self.token and not self.secret:
            raise ValueError("needs `token` or `secret`: without one, anybody could announce deploys")
        return self


class Generic:
    """Our own JSON, proved by a bearer token, a Standard Webhooks signature, or both."""

    Options = GenericOptions
    vendor: ClassVar[bool] = False  # our own format: a deploy of an unknown service is the sender's mistake (422)

    def __init__(self, name: str, options: GenericOptions, tools: Tools) -> None:  # noqa: ARG002 -- adapters are made alike
        self.name = name
        self._tokens = tuple(token.get_secret_value() for token in options.token)
        self._keys = tuple(signing_key(secret.get_secret_value()) for secret in options.secret)

    def verify_head(self, headers: Mapping[str, str]) -> None:
        if self._tokens:
            verify_bearer(self._tokens, headers)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        self.verify_head(headers)
        if self._keys:
            verify_standard(self._keys, headers, body, now)

    def parse(self, headers: Mapping[str, str], body: bytes, received_at: float) -> Parsed:
        return parse_deploy(headers, body, received_at)


def parse_deploy(headers: Mapping[str, str], body: bytes, received_at: float) -> Parsed:
    """One deploy in our own JSON; also for doors that have proved the sender in another way.

    Raises:
        MalformedError: naming the key or header.
    """
    fields = reading.json_object(body)
    for key in fields:
        if key not in _KEYS:
            raise MalformedError(reading.shown(key), f"one of the keys {', '.join(_KEYS)}")
    delivery_id = reading.header(headers, "webhook-id") or reading.header(headers, "idempotency-key")
    return Parsed(events=(_event(fields, received_at),), delivery_id=delivery_id)


def _event(fields: Mapping[str, Any], received_at: float) -> DeployEvent:
    service = reading.text(fields, "service")
    environment = reading.text(fields, "environment")
    version = reading.text(fields, "version")
    own_id = reading.optional_text(fields, "id")
    phase = _phase(fields)
    started_at, finished_at, at = _times(fields, phase, received_at)
    return DeployEvent(
        phase=phase,
        environment=environment,
        version=version,
        at=at,
        identity=f"{service}/{environment}#{own_id}" if own_id else None,
        previous_version=reading.optional_text(fields, "previous_version"),
        started_at=started_at,
        finished_at=finished_at,
        attributes={"service": service, "environment": environment, "version": version},
        links=_links(fields.get("links")),
        rollback_id=reading.optional_text(fields, "rollback_id"),
    )


def _phase(fields: Mapping[str, Any]) -> Phase:
    status = reading.optional_text(fields, "status") or "finished"
    if status not in _PHASES:
        raise MalformedError("status", f"one of {', '.join(_PHASES)}")
    return _PHASES[status]


def _times(fields: Mapping[str, Any], phase: Phase, received_at: float) -> tuple[float | None, float | None, float]:
    """`started_at`, `finished_at` and when this happened."""
    started = _time(fields, "started_at", received_at)
    finished = _time(fields, "finished_at", received_at)
    if started is not None and finished is not None and started > finished:
        raise MalformedError("started_at", "a time no later than finished_at")
    if phase is Phase.STARTED:
        if finished is not None:
            raise MalformedError("finished_at", "nothing while status is started")
        started = received_at if started is None else started
        return started, None, started
    if phase is Phase.FAILED:
        return started, finished, received_at if finished is None else finished
    if finished is None:
        # A start that lies (a little) ahead of our clock must not come after the end.
        finished = received_at if started is None else max(received_at, started)
    return finished if started is None else started, finished, finished


def _time(fields: Mapping[str, Any], key: str, received_at: float) -> float | None:
    if fields.get(key) in (None, ""):
        return None
    moment = reading.time(fields, key)
    if not received_at - reading.PAST <= moment <= received_at + reading.FUTURE:
        raise MalformedError(key, "a time in unix seconds at most 7 days ago and at most 24 hours ahead")
    return moment


def _links(value: Any) -> dict[str, str]:
    if value in (None, ""):
        return {}
    if not isinstance(value, dict) or len(value) > _MOST_LINKS:
        raise MalformedError("links", f"an object of at most {_MOST_LINKS} titles and their URLs")
    for title, url in value.items():
        if not is_clean(title, _TITLE):
            raise MalformedError("links", f"titles of 1 to {_TITLE} printable characters")
        if not isinstance(url, str) or not is_web_url(url):
            raise MalformedError(f"links.{reading.shown(title)}", "an http or https URL without a password in it")
    return {title: redacted_url(url) for title, url in value.items()}
