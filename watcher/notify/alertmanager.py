"""Notes as alerts in Prometheus Alertmanager, which groups them, routes them and wakes people.

API: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
An alert there is its label set, and it ends by itself unless it is sent again: hence labels that are the same for every
note of one watch, and an end a little later than the next renewal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from watcher.kit import clock
from watcher.kit.http import Connection
from watcher.kit.outside import is_clean, is_web_url, one_line
from watcher.kit.units import Duration
from watcher.model.order import Note, Severity
from watcher.ports import Tools

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OURS = frozenset({"alertname", "service", "environment", "watch"})
_LASTS = 3.0  # renewals that may fail before an alert ends by itself


class AlertmanagerOptions(Connection):
    """Where Alertmanager is, and what its routes need to know."""

    url: str = Field(description="Alertmanager's address, with its path prefix if it has one.")
    labels: Mapping[str, str] = Field(
        default_factory=dict, description="Labels of every alert, for routing: for example `severity` or `team`."
    )
    renew_every: Duration = Field(
        default=60.0, ge=1, le=3600, description="How often a firing alert is sent again, for it ends by itself."
    )
    min_severity: Severity = Field(default=Severity.WARNING, description="Quieter notes are not sent.")

    @field_validator("url")
    @classmethod
    def _is_web_url(cls, url: str) -> str:
        if not is_web_url(url) or "?" in url or "#" in url:
            raise ValueError(
                "expected an http or https URL without a query; a user goes into `username` and `password`"
            )
        return url.rstrip("/")

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in labels.items():
            if not _LABEL.fullmatch(name) or name.startswith("__"):
                raise ValueError("expected label names of letters, digits and _, not beginning with a digit or __")
            if name in _OURS:
                raise ValueError(f"the label {name} is set by the watcher itself")
            if not is_clean(value, 200):
                raise ValueError(f"expected a value of 1 to 200 printable characters for the label {name}")
        return labels


class Alertmanager:
    """One alert for each watch, firing until a note resolves it. Sending a note again renews it."""

    Options = AlertmanagerOptions

    def __init__(self, name: str, options: AlertmanagerOptions, tools: Tools) -> None:
        self.name = name
        self.min_severity = options.min_severity
        self.renew_every = options.renew_every
        self._options = options
        self._http = tools.http(options)
        self._now = tools.now

    def send(self, note: Note) -> None:
        """Raises `ExternalError` as from the door."""
        alerts = payload(note, self._options.labels, self._now(), self.renew_every)
        self._http.request("POST", f"{self._options.url}/api/v2/alerts", json=alerts)


def payload(note: Note, labels: Mapping[str, str], now: float, renew_every: float) -> list[dict[str, Any]]:
    """The one alert of `note.alert`. `now` in unix seconds; it fires for three `renew_every` seconds from then."""
    identity = {
        "alertname": "DeployWatch",
        "service": note.service,
        "environment": note.environment,
        "watch": note.alert,
    }
    annotations = {
        "summary": one_line(note.title, 200),
        "description": one_line(note.sentence, 2000),
        "topic": note.topic.value,
        "severity": note.severity.value,
        "version": note.version,
        "url": note.url,
    }
    # A time ahead of Alertmanager's clock would be an alert still to come.
    began = min(note.at, now)
    alert: dict[str, Any] = {
        "labels": {**labels, **{name: value for name, value in identity.items() if value}},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": clock.iso(began),
        "endsAt": clock.iso(began if note.resolved else now + _LASTS * renew_every),
    }
    if is_web_url(note.url):
        alert["generatorURL"] = note.url
    return [alert]
