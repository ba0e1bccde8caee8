"""What every CD webhook in the registry must do.

A new kind needs a `Sender` here and recorded messages under data/<kind>/.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.plain_tools import plain_tools

from watcher import registry
from watcher.errors import MalformedError, UnauthenticatedError
from watcher.kit import clock
from watcher.kit.outside import is_clean, is_web_url
from watcher.kit.signatures import sign_standard, signing_key
from watcher.model.deploy import Parsed, Phase
from watcher.ports import Intake

DATA = Path(__file__).parent / "data"
RECEIVED = clock.parse_iso("2026-11-22T03:10:00Z")
Headers = dict[str, str]


@dataclass(frozen=True)
class Sender:
    """How a vendor proves itself.

    Attributes:
        options: that work; `secrets`: every secret in them.
        prove: the headers that prove `body` with the secret given.
        rotating: options by two secrets, both valid.
    """

    options: Mapping[str, Any]
    secrets: tuple[str, ...]
    prove: Callable[[str, bytes], Headers]
    rotating: Callable[[str, str], Mapping[str, Any]]


def _standard(secret: str, body: bytes) -> Headers:
    stamp = int(RECEIVED)
    signature = sign_standard(signing_key(secret), "msg_1", stamp, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(stamp), "webhook-signature": signature}


def _bearer(secret: str, _body: bytes) -> Headers:
    return {"authorization": f"Bearer {secret}"}


def _hub(secret: str, body: bytes) -> Headers:
    return {"x-hub-signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


WHSEC = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtMDE="
SENDERS = {
    "generic": [
        Sender({"secret": WHSEC}, (WHSEC,), _standard, lambda a, b: {"secret": [a, b]}),
        Sender({"secret": "a plain text"}, ("a plain text",), _standard, lambda a, b: {"secret": [a, b]}),
        Sender({"token": "tok-0123456789"}, ("tok-0123456789",), _bearer, lambda a, b: {"token": [a, b]}),
    ],
    "github": [Sender({"secret": "hub-0123456789"}, ("hub-0123456789",), _hub, lambda a, b: {"secret": [a, b]})],
}


@pytest.fixture(params=[(kind, sender) for kind in SENDERS for sender in SENDERS[kind]], ids=lambda pair: pair[0])
def pair(request: pytest.FixtureRequest) -> tuple[str, Sender]:
    result: tuple[str, Sender] = request.param
    return result


def make(kind: str, options: Mapping[str, Any]) -> Intake:
    adapter = registry.adapter("hooks", kind)
    made: Intake = adapter("a-hook", adapter.Options(**options), plain_tools())
    return made


def messages(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((DATA / kind).glob("*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


MESSAGES = [(kind, name, message) for kind in SENDERS for name, message in messages(kind)]


def test_every_kind_is_tested() -> None:
    assert set(SENDERS) == set(registry.kinds("hooks"))
    assert {kind for kind, _, _ in MESSAGES} == set(SENDERS)


def test_it_says_whether_the_sender_chose_the_service(pair: tuple[str, Sender]) -> None:
    kind, _ = pair
    assert registry.adapter("hooks", kind).vendor is (kind != "generic")


def test_options_are_strict_frozen_and_silent(pair: tuple[str, Sender]) -> None:
    kind, sender = pair
    options_class = registry.adapter("hooks", kind).Options
    options = options_class(**sender.options)
    field = next(iter(sender.options))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(options, field, ())
    with pytest.raises(ValidationError, match="no_such_key"):
        options_class(**sender.options, no_such_key=1)
    with pytest.raises(ValidationError):
        options_class()
    for secret in sender.secrets:
        assert secret not in repr(options) + str(options) + options.model_dump_json()
    with pytest.raises(ValidationError) as error:
        options_class(**sender.options, no_such_key=sender.secrets[0])
    assert sender.secrets[0] not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "name", "message"), MESSAGES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_recorded_messages_are_understood(kind: str, name: str, message: dict[str, Any]) -> None:
    parsed = make(kind, SENDERS[kind][0].options).parse(
        message["headers"], json.dumps(message["body"]).encode(), RECEIVED
    )
    assert json.loads(json.dumps(dataclasses.asdict(parsed))) == message["expect"]
    check(parsed)


def test_a_proved_message_is_let_in_and_no_other(pair: tuple[str, Sender]) -> None:
    kind, sender = pair
    intake = make(kind, sender.options)
    body = b'{"any": "bytes"}'
    good = sender.prove(sender.secrets[0], body)
    intake.verify(good, body, RECEIVED)
    bad = [
        sender.prove("whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI=", body),
        {},
        {"x-hub-signature": "sha1=00", "cookie": "a=b"},
    ]
    for name, value in good.items():
        bad.append({other: text for other, text in good.items() if other != name})
        bad += [good | {name: wrong} for wrong in ("", " ", "\ud800", "né", "None", "v1,", value[:-1], f"['{value}']")]
        bad += [good | {name: value + "x"}, good | {name: value.swapcase()}, {name.title(): value}]
    for headers in bad:
        if any(headers.get(name) != value for name, value in good.items()):
            with pytest.raises(UnauthenticatedError) as error:
                intake.verify(headers, body, RECEIVED)
            assert not any(secret in str(error.value) for secret in sender.secrets)


@pytest.mark.parametrize(
    ("kind", "sender"),
    [(kind, sender) for kind in SENDERS for sender in SENDERS[kind] if sender.prove is not _bearer],
)
def test_a_signature_is_of_the_body(kind: str, sender: Sender) -> None:
    headers = sender.prove(sender.secrets[0], b"{}")
    with pytest.raises(UnauthenticatedError):
        make(kind, sender.options).verify(headers, b"{} ", RECEIVED)


def test_two_secrets_are_valid_while_one_takes_the_others_place(pair: tuple[str, Sender]) -> None:
    kind, sender = pair
    intake = make(kind, sender.rotating("the-older-one", "the-newer-one"))
    for secret in ("the-older-one", "the-newer-one"):
        intake.verify(sender.prove(secret, b"{}"), b"{}", RECEIVED)
    with pytest.raises(UnauthenticatedError):
        intake.verify(sender.prove("the-oldest-one", b"{}"), b"{}", RECEIVED)


VENDOR = {"x-github-event": "deployment_status", "content-type": "application/json"}
NO_OBJECTS = [
    b"",
    b" ",
    b"null",
    b"[]",
    b'"text"',
    b"17",
    b"NaN",
    b"{",
    b'{"a": }',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"service": "\xff"}',
    b'{"service": "s", "service": "t", "environment": "e", "version": "v"}',
    b'{"service": "s", "environment": "e", "version": "v", "started_at": NaN}',
    b'{"service": "s", "environment": "e", "version": "v", "started_at": Infinity}',
    b'{"service": "s", "environment": "e", "version": "v", "started_at": ' + b"9" * 5000 + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"[" * 100_000,
]
HOSTILE_OBJECTS = [
    b'{"service": "\\ud800", "environment": "e", "version": "v"}',
    b'{"service": "s", "environment": "e", "version": "v", "started_at": 1e999}',
    b'{"service": "s", "environment": "e", "version": "v", "started_at": ' + b"9" * 400 + b"}",
    b'{"' + b"k" * 100_000 + b'": 1}',
]


@pytest.mark.parametrize("kind", SENDERS)
@pytest.mark.parametrize("body", NO_OBJECTS, ids=lambda body: body[:40].decode("latin-1"))
def test_what_is_no_json_object_is_malformed(kind: str, body: bytes) -> None:
    intake = make(kind, SENDERS[kind][0].options)
    with pytest.raises(MalformedError) as error:
        intake.parse(VENDOR, body, RECEIVED)
    assert is_clean(str(error.value), 500)


@pytest.mark.parametrize("kind", SENDERS)
@pytest.mark.parametrize("body", HOSTILE_OBJECTS, ids=lambda body: body[:40].decode("latin-1"))
def test_hostile_objects_do_no_harm(kind: str, body: bytes) -> None:
    understood(make(kind, SENDERS[kind][0].options), VENDOR, body)


@pytest.mark.parametrize("kind", SENDERS)
@settings(deadline=None, max_examples=60)
@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "idempotency-key", "x-github-event", "x-github-delivery", "content-type", "x"]),
        st.text(st.characters(), max_size=300),
    ),
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    event=st.sampled_from(["deployment", "deployment_status", None]),
)
def test_no_message_raises_anything_else(kind: str, headers: Headers, body: bytes, event: str | None) -> None:
    intake = make(kind, SENDERS[kind][0].options)
    with pytest.raises(UnauthenticatedError):
        intake.verify(headers, body, RECEIVED)
    understood(intake, headers | ({"x-github-event": event} if event else {}), body)


WEIRD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=300)
    | st.sampled_from(
        ["", " ", "javascript:alert(1)", "http://[", "-rf", "\x00", "2026-11-22", "9999-12-31T23:59:59-23:59"]
    )
    | st.sampled_from([10**400, -1, 1e308, 2**63, "x" * 100_000, [[]], {}, {"a": {}}, ["deploy"]])
    | st.dictionaries(st.text(max_size=5), st.text(st.characters(), max_size=5), max_size=3)
)


@pytest.mark.parametrize("kind", SENDERS)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_real_message_with_one_thing_wrong(kind: str, data: st.DataObject) -> None:
    """Anything may be put in any one place: it is refused with its field, or what is kept of it is fit to be kept."""
    message = data.draw(st.sampled_from([message for other, _, message in MESSAGES if other == kind]))
    body = json.loads(json.dumps(message["body"]))
    place = data.draw(st.sampled_from(sorted(_places(body), key=str)))
    holder = body
    for key in place[:-1]:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[place[-1]] = data.draw(WEIRD)
    else:
        del holder[place[-1]]
    understood(make(kind, SENDERS[kind][0].options), message["headers"], json.dumps(body).encode())


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _places(inner, (*path, key))


def understood(intake: Intake, headers: Mapping[str, str], body: bytes) -> None:
    try:
        parsed = intake.parse(headers, body, RECEIVED)
    except MalformedError as error:
        message = str(error)
    else:
        check(parsed)
        return
    assert is_clean(message, 500)


def check(parsed: Parsed) -> None:
    """What any room behind the intake may rely on."""
    assert bool(parsed.events) != bool(parsed.ignored)
    assert parsed.delivery_id is None or is_clean(parsed.delivery_id, 256)
    assert parsed.ignored is None or is_clean(parsed.ignored, 500)
    for event in parsed.events:
        texts = [event.environment, event.version, event.identity, event.previous_version, event.rollback_id]
        texts += [*event.attributes, *event.attributes.values()]
        assert all(is_clean(text, 1000) for text in texts if text is not None)
        assert all(is_clean(title, 80) and is_web_url(url) for title, url in event.links.items())
        times = [event.at, event.started_at, event.finished_at]
        assert all(math.isfinite(time) and clock.iso(time) for time in times if time is not None)
        assert event.finished_at is not None or event.phase is not Phase.FINISHED
        assert event.started_at is None or event.finished_at is None or event.started_at <= event.finished_at
