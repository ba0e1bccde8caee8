"""What every notifier in the registry must do. A new kind needs a `Channel` here."""

from __future__ import annotations

import gc
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs
from support.fault_server import BODY_FAULTS, MOST_BYTES, WIRE_FAULTS, Answer, FaultServer, expected, patience
from support.orders import a_note
from support.plain_tools import plain_tools

from watcher import registry
from watcher.errors import ExternalError
from watcher.model.order import Note, Severity, Topic
from watcher.ports import Notifier, Renews


@dataclass(frozen=True)
class Channel:
    """How to configure a notifier that speaks to `base`, where it speaks HTTP at all.

    Attributes:
        quietest: its `min_severity` unless configured.
        renews: whether its alerts must be renewed.
        secrets: every secret in the options.
    """

    options: Callable[[str], Mapping[str, Any]]
    quietest: Severity
    http: bool = True
    renews: bool = False
    secrets: tuple[str, ...] = ()


_SHARED = {"timeout": 60, "max_bytes": MOST_BYTES, "headers": {"x-token": "header-token-1"}}
CHANNELS = {
    "log": Channel(lambda _base: {}, Severity.INFO, http=False),
    "slack": Channel(
        lambda base: {"url": f"{base}/services/T0/B0/urltoken1", **_SHARED},
        Severity.WARNING,
        secrets=("urltoken1", "header-token-1"),
    ),
    "alertmanager": Channel(
        lambda base: {"url": base, "username": "am", "password": "password-1", "labels": {"team": "a"}, **_SHARED},
        Severity.WARNING,
        renews=True,
        secrets=("password-1", "header-token-1", "YW06cGFzc3dvcmQtMQ"),
    ),
}
HTTP_KINDS = [kind for kind, channel in CHANNELS.items() if channel.http]
NOTES = [a_note(topic=topic, severity=severity) for topic in Topic for severity in Severity] + [
    a_note(resolved=True, severity=Severity.INFO, topic=Topic.RECOVERED),
    a_note(title="", sentence="", version="", url="", service=""),
    a_note(title="<!channel> & <http://evil|x>\n*b* \x00\x1b[31m", sentence='"; DROP\u2028 \u202e \ud800 {x} %s' * 200),
    a_note(title="&" * 5000, sentence="<" * 5000, service="x" * 300, version="y" * 256, url="https://w/" + "z" * 1900),
    a_note(url="javascript:alert(1)", at=0.0),
    a_note(url="https://w/?a=b&c=d|e"),
]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        one.answer = lambda _request: Answer(200, body=b"ok")
        yield one
    gc.collect(1)  # a socket that was left open warns here


def make(kind: str, base: str, **changes: Any) -> Notifier:
    adapter = registry.adapter("notifiers", kind)
    made: Notifier = adapter("oncall", adapter.Options(**(dict(CHANNELS[kind].options(base)) | changes)), plain_tools())
    return made


def test_every_kind_is_tested() -> None:
    assert set(CHANNELS) == set(registry.kinds("notifiers"))


@pytest.mark.parametrize("kind", CHANNELS)
def test_every_note_can_be_sent(kind: str, server: FaultServer) -> None:
    notifier = make(kind, server.url)
    with capture_logs() as logs:
        for note in NOTES:
            notifier.send(note)
    assert len(server.requests if CHANNELS[kind].http else logs) == len(NOTES)
    for request in server.requests:
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/json"
        assert "\ufffd" not in json.dumps(request.json())
    said = json.dumps([request.json() for request in server.requests] or logs, default=str)
    for fact in ("checkout 2.14.0 regressed in production", "fell by 31 %", "2.14.0", "/watches/w_01", "not_recovered"):
        assert fact in said


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_a_note_sent_again_says_the_same(kind: str, server: FaultServer) -> None:
    for _ in range(2):
        make(kind, server.url).send(a_note())
    first, second = (request.json() for request in server.requests)
    if CHANNELS[kind].renews:  # all but the end
        first, second = ([alert | {"endsAt": ""} for alert in alerts] for alerts in (first, second))
    assert first == second


@pytest.mark.parametrize("kind", CHANNELS)
def test_the_least_severity_is_configured(kind: str) -> None:
    assert make(kind, "http://127.0.0.1:9").min_severity is CHANNELS[kind].quietest
    assert make(kind, "http://127.0.0.1:9", min_severity="critical").min_severity is Severity.CRITICAL
    with pytest.raises(ValidationError):
        make(kind, "http://127.0.0.1:9", min_severity="loud")


@pytest.mark.parametrize("kind", CHANNELS)
def test_who_renews_says_how_often(kind: str) -> None:
    notifier = make(kind, "http://127.0.0.1:9")
    assert isinstance(notifier, Renews) == CHANNELS[kind].renews
    if isinstance(notifier, Renews):
        assert notifier.renew_every == 60.0


@pytest.mark.parametrize("kind", CHANNELS)
def test_options_are_strict_frozen_and_silent(kind: str) -> None:
    options_class = registry.adapter("notifiers", kind).Options
    given = dict(CHANNELS[kind].options("http://127.0.0.1:9"))
    options = options_class(**given)
    with pytest.raises(ValidationError, match="frozen"):
        options.min_severity = Severity.INFO
    with pytest.raises(ValidationError, match="no_such_key"):
        options_class(**given, no_such_key=1)
    for secret in CHANNELS[kind].secrets:
        assert secret not in repr(options) + str(options) + options.model_dump_json()


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("name", WIRE_FAULTS)
def test_every_fault_is_told_and_no_secret(
    kind: str, name: str, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda _request: WIRE_FAULTS[name]
    error = failing(kind, server.url, a_note(), caplog, timeout=patience(name))
    assert (error.fault, error.permanent) == expected(name)
    assert error.sent
    assert error.retry_after == {"rate_limited": 7.0, "unavailable_retry_after": 30.0}.get(name)


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_an_answer_that_repeats_our_secrets_does_not_leak_them(
    kind: str, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    for text in (*CHANNELS[kind].secrets, " ".join(CHANNELS[kind].secrets)):
        server.answer = lambda _request, said=text: Answer(400, {"x-echo": said}, said.encode())  # type: ignore[misc]
        failing(kind, server.url, a_note(), caplog)


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_nobody_there(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with FaultServer() as gone:
        base = gone.url
    error = failing(kind, base, a_note(), caplog)
    assert (error.permanent, error.sent) == (False, False)


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("name", BODY_FAULTS)
def test_any_success_is_a_success(kind: str, name: str, server: FaultServer) -> None:
    server.answer = lambda _request: BODY_FAULTS[name]
    make(kind, server.url).send(a_note())


def failing(kind: str, base: str, note: Note, caplog: pytest.LogCaptureFixture, **changes: Any) -> ExternalError:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs, pytest.raises(ExternalError) as caught:
        make(kind, base, **changes).send(note)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(logs)
    # urllib3 writes paths at level DEBUG; the product never turns that on.
    shown += "".join(record.getMessage() for record in caplog.records if not record.name.startswith("urllib3"))
    assert not [secret for secret in CHANNELS[kind].secrets if secret in shown]
    return error
