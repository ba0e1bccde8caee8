from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.fault_server import Answer, FaultServer
from support.orders import a_note
from support.plain_tools import plain_tools

from watcher.errors import ExternalError, Fault
from watcher.model.order import Severity, Topic
from watcher.notify.slack import Slack, SlackOptions, escaped, payload


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


def slack(url: str) -> Slack:
    return Slack("oncall", SlackOptions.model_validate({"url": url, "timeout": 60}), plain_tools())


WHEN = "<!date^1795317000^{date_short_pretty} {time_secs}|2026-11-22T03:10:00Z>"


def test_the_message_is_exactly_this() -> None:
    assert payload(a_note()) == {
        "text": ":rotating_light: checkout 2.14.0 regressed in production",
        "blocks": [
            _section(":rotating_light: *checkout 2.14.0 regressed in production*"),
            _section("Conversion fell by 31 % since 03:05, expected 4.2 %."),
            _section("<https://watcher.acme.example/watches/w_01|What the watcher saw>"),
            {
                "type": "context",
                "elements": [
                    {"type": "mrkdwn", "text": "*service* checkout"},
                    {"type": "mrkdwn", "text": "*environment* production"},
                    {"type": "mrkdwn", "text": "*version* 2.14.0"},
                    {"type": "mrkdwn", "text": "regressed"},
                    {
                        "type": "mrkdwn",
                        "text": WHEN,
                    },
                ],
            },
        ],
    }


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.mark.parametrize(
    ("changes", "sign"),
    [
        ({"severity": Severity.INFO}, ":information_source:"),
        ({"severity": Severity.WARNING}, ":warning:"),
        ({"severity": Severity.CRITICAL}, ":rotating_light:"),
        ({"severity": Severity.CRITICAL, "resolved": True, "topic": Topic.RECOVERED}, ":white_check_mark:"),
    ],
)
def test_the_sign_is_of_the_severity(changes: dict[str, Any], sign: str) -> None:
    assert payload(a_note(**changes))["text"].startswith(sign + " ")


def test_nobody_can_call_a_channel_or_place_a_link() -> None:
    message = payload(
        a_note(title="<!channel>", sentence="<http://evil|click> &lt;", version="<@U1>", url="https://w/a|b>")
    )
    assert "&lt;!channel&gt;" in message["text"]
    assert message["blocks"][1] == _section("&lt;http://evil|click&gt; &amp;lt;")
    assert [block["type"] for block in message["blocks"]] == ["section", "section", "context"]
    assert message["blocks"][-1]["elements"][2]["text"] == "*version* &lt;@U1&gt;"


@given(st.text(st.characters()), st.integers(10, 60))
def test_escaping_says_the_same_within_the_limit(text: str, limit: int) -> None:
    out = escaped(text, limit)
    assert len(out) <= limit
    assert not set("<>") & set(out)
    plain = " ".join(escaped(text, 10_000).split())
    assert out == plain or (out.endswith("…") and html.unescape(plain).startswith(html.unescape(out[:-1]).rstrip()))


def test_slack_limits_hold_for_the_longest_note() -> None:
    # https://docs.slack.dev/reference/block-kit/blocks/section-block: 3000 characters; context-block: 10 elements
    long = "&<>" * 3000
    message = payload(
        a_note(title=long, sentence=long, service=long, environment=long, version=long, url="https://w/?" + "&" * 1900)
    )
    texts = [block["text"]["text"] for block in message["blocks"] if block["type"] == "section"]
    texts += [
        element["text"] for block in message["blocks"] if block["type"] == "context" for element in block["elements"]
    ]
    assert len(message["blocks"]) <= 50
    assert all(0 < len(text) <= 3000 for text in texts)


@pytest.mark.parametrize(
    ("status", "word"), [(410, "channel_is_archived"), (404, "no_service"), (400, "invalid_payload")]
)
def test_slack_s_own_word_is_told(server: FaultServer, status: int, word: str) -> None:
    server.answer = lambda _request: Answer(status, body=word.encode())
    with pytest.raises(ExternalError, match=rf"^127\.0\.0\.1: answered {status}: {word}$") as error:
        slack(f"{server.url}/services/T0/B0/xyz").send(a_note())
    assert (error.value.fault, error.value.permanent, error.value.sent) == (Fault.STATUS, True, True)


def test_when_slack_asks_to_wait(server: FaultServer) -> None:
    server.answer = lambda _request: Answer(429, {"retry-after": "30"}, b"rate_limited")
    with pytest.raises(ExternalError, match="rate_limited") as error:
        slack(server.url).send(a_note())
    assert (error.value.fault, error.value.permanent, error.value.retry_after) == (Fault.RATE_LIMITED, False, 30.0)


def test_a_part_of_the_url_is_no_word(server: FaultServer) -> None:
    server.answer = lambda _request: Answer(404, body=b"secretpath")
    with pytest.raises(ExternalError, match=r"answered 404$"):
        slack(f"{server.url}/services/secretpath").send(a_note())


def test_the_url_must_be_one() -> None:
    for url in ("", "hooks.slack.com/services/x", "https://a:b@hooks.slack.com/"):
        with pytest.raises(ValidationError, match="expected the incoming webhook's http or https URL"):
            SlackOptions.model_validate({"url": url})
