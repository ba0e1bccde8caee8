"""GitHub's `deployment` and `deployment_status` webhooks.

Shapes: https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_status
Signature: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from watcher.errors import MalformedError
from watcher.intake import reading
from watcher.kit.outside import is_clean, is_web_url
from watcher.kit.redaction import redacted_url
from watcher.kit.signatures import PlainSecrets, plain_key, verify_hex
from watcher.model.deploy import DeployEvent, Parsed, Phase
from watcher.ports import Tools

_PHASES = {
    "in_progress": Phase.STARTED,
    "success": Phase.FINISHED,
    "failure": Phase.FAILED,
    "error": Phase.FAILED,
}


class GitHubOptions(BaseModel):
    """What the webhook's settings on GitHub say too."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    secret: PlainSecrets = Field(description="The webhook's secret on GitHub; a list while one takes another's place.")


class GitHub:
    """Deployments of repositories. The phases of one deployment come as separate messages with one identity."""

    Options = GitHubOptions
    vendor: ClassVar[bool] = True  # a deploy that no service matches is none of GitHub's mistakes

    def __init__(self, name: str, options: GitHubOptions, tools: Tools) -> None:  # noqa: ARG002 -- adapters are made alike
        self.name = name
        self._keys = tuple(plain_key(secret.get_secret_value()) for secret in options.secret)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:  # noqa: ARG002 -- nothing signs a time
        verify_hex(self._keys, headers, body, header="x-hub-signature-256")

    def parse(self, headers: Mapping[str, str], body: bytes, received_at: float) -> Parsed:
        event = reading.header(headers, "x-github-event")
        if event is None:
            raise MalformedError("x-github-event", "the name of a GitHub event")
        if headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            raise MalformedError("content-type", "application/json, as set in the webhook's settings on GitHub")
        fields = reading.json_object(body)
        delivery_id = reading.header(headers, "x-github-delivery")
        known = {"deployment": _deployment, "deployment_status": _status}.get(event)
        if known is None:
            return Parsed(delivery_id=delivery_id, ignored=f"the event {reading.shown(event)} is no deployment")
        if fields.get("action") != "created":
            return Parsed(delivery_id=delivery_id, ignored=f"the event {event} is not about something created")
        told = known(fields)
        if isinstance(told, str):
            return Parsed(delivery_id=delivery_id, ignored=told)
        if not received_at - reading.PAST <= told[-1].at <= received_at + reading.FUTURE:
            # GitHub signs no time: what was kept and sent again must not be watched as if it were new.
            return Parsed(delivery_id=delivery_id, ignored="it happened more than 7 days ago, or is yet to come")
        return Parsed(events=told, delivery_id=delivery_id)


def _deployment(fields: Mapping[str, Any]) -> tuple[DeployEvent, ...]:
    """A deployment was created: announced, and nothing that a user could meet yet."""
    deployment = reading.member(fields, "deployment")
    announced = _event(
        fields,
        deployment,
        phase=Phase.ANNOUNCED,
        environment=reading.text(deployment, "environment", "deployment."),
        at=reading.time(deployment, "created_at", "deployment."),
    )
    return (announced,)


def _status(fields: Mapping[str, Any]) -> tuple[DeployEvent, ...] | str:
    """A step of a deployment, or why it is none of ours.

    A success tells of the creation too: where no earlier message was sent or arrived, harm counts from there.
    """
    status = reading.member(fields, "deployment_status")
    deployment = reading.member(fields, "deployment")
    state = reading.text(status, "state", "deployment_status.")
    if state not in _PHASES:
        return f"the state {reading.shown(state)} neither begins nor ends a deployment"
    environment = reading.optional_text(status, "environment", "deployment_status.")
    step = _event(
        fields,
        deployment,
        phase=_PHASES[state],
        environment=environment or reading.text(deployment, "environment", "deployment."),
        at=reading.time(status, "created_at", "deployment_status."),
        status=status,
    )
    if step.phase is not Phase.FINISHED:
        return (step,)
    created = reading.time(deployment, "created_at", "deployment.")
    return (replace(step, phase=Phase.ANNOUNCED, at=min(created, step.at), finished_at=None), step)


def _event(
    fields: Mapping[str, Any],
    deployment: Mapping[str, Any],
    *,
    phase: Phase,
    environment: str,
    at: float,
    status: Mapping[str, Any] | None = None,
) -> DeployEvent:
    repository = reading.member(fields, "repository")
    full_name = reading.text(repository, "full_name", "repository.")
    extra = _payload(deployment.get("payload"))
    attributes = {
        "repository": full_name,
        "environment": environment,
        "ref": _tidy(deployment.get("ref")),
        "task": _tidy(deployment.get("task")),
        "service": extra.get("service"),
    }
    version = reading.text(deployment, "sha", "deployment.")
    return DeployEvent(
        phase=phase,
        environment=environment,
        version=version,
        at=at,
        identity=f"{full_name}#{_id(deployment)}",
        previous_version=extra.get("previous_version"),
        started_at=at if phase is Phase.STARTED else None,
        finished_at=at if phase is Phase.FINISHED else None,
        attributes={name: value for name, value in attributes.items() if value},
        links=_links(repository, version, status or {}),
        rollback_id=extra.get("rollback_id"),
    )


def _id(deployment: Mapping[str, Any]) -> int:
    value = deployment.get("id")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise MalformedError("deployment.id", "a positive whole number")
    return value


def _payload(value: Any) -> dict[str, str]:
    """What we read of the free-form payload: an object, or one as a JSON text; anything else says nothing."""
    if isinstance(value, str):
        try:
            value = reading.json_object(value.encode("utf-8", "replace"))
        except MalformedError:
            return {}
    if not isinstance(value, dict):
        return {}
    found = {key: _tidy(value.get(key)) for key in ("service", "previous_version", "rollback_id")}
    return {key: text for key, text in found.items() if text}


def _tidy(value: Any) -> str | None:
    """A text that is only good to have: left out where it cannot be kept."""
    return value if isinstance(value, str) and is_clean(value, reading.LIMIT) else None


def _links(repository: Mapping[str, Any], version: str, status: Mapping[str, Any]) -> dict[str, str]:
    home = repository.get("html_url")
    found = {
        "log": status.get("log_url") or status.get("target_url"),
        "environment": status.get("environment_url"),
        "commit": f"{home}/commit/{version}" if isinstance(home, str) else None,
        "deployments": f"{home}/deployments" if isinstance(home, str) else None,
    }
    return {title: redacted_url(url) for title, url in found.items() if isinstance(url, str) and is_web_url(url)}
