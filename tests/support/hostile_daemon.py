"""A daemon for which nobody is local, and what may be sent to it that nobody should send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from support.daemon import Daemon
from support.hostile import anything, nearly

HOOK, SIGNED, HUB, TOKEN = "hook-token-0123456789", "a signing secret", "hub-secret-0123456789", "api-token-0123456789"
ROOT = Path(__file__).parents[2]
CONFIG = f"""
server:
  listen: "${{LISTEN}}"
  proxy: {{addresses: [127.0.0.1], user_header: X-Forwarded-User}}
  requests_per_minute: 10000000
  failures_per_minute: 100000
  max_body: 65536
  tokens: [{{name: fuzzer, token: "{TOKEN}", scopes: [read, deploy, approve]}}]
store: {{path: "${{STORE}}"}}
hooks:
  plain: {{kind: generic, token: "{HOOK}"}}
  signed: {{kind: generic, secret: "{SIGNED}"}}
  github: {{kind: github, secret: "{HUB}"}}
sources:
  shop: {{kind: openmetrics, url: "http://127.0.0.1:9/metrics"}}
services:
  checkout:
    signals:
      conversion: {{source: shop, kind: ratio, harm: down, good: orders_total, total: sessions_total}}
"""
DEPLOY = {
    "service": "checkout",
    "environment": "production",
    "version": "v1",
    "id": "1",
    "links": {"Run": "https://a.b"},
}
RECORDED = json.loads((ROOT / "tests/conformance/data/github/status_success.json").read_text("utf-8"))
Headers = dict[str, str]

latin = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=60)
stamps = st.sampled_from(["", "nan", "inf", "-inf", "-1", "1e9", "0", "9" * 400, "1.5", " 1", "+1", "0x1"]) | latin
bodies = st.one_of(
    st.binary(max_size=200),
    nearly(DEPLOY).map(lambda value: json.dumps(value).encode()),
    nearly(RECORDED["body"]).map(lambda value: json.dumps(value).encode()),
    anything.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            *(
                b"",
                b"{",
                b"[" * 30_000,
                b'{"a":' * 9_000,
                b'{"service":"a","service":"b"}',
                b'{"service": NaN}',
                b"\xff\xfe{}",
            ),
            *(
                b'{"finished_at": 1e999}',
                b'{"finished_at": ' + b"9" * 5000 + b"}",
                b'"\\ud800"',
                b'{"service": "\\u0000"}',
            ),
            *(b"\xef\xbb\xbf{}", b"a" * 65_537, b'{"links": {"a": "javascript:alert(1)"}}', b"reason=x&" * 500),
        ]
    ),
)


@dataclass
class Sent:
    """What was sent to a daemon, and what it answered."""

    daemon: Daemon
    answers: Counter[int] = field(default_factory=Counter)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status; 0 if the connection was closed without an answer, which a broken request deserves."""
        connection = HTTPConnection("127.0.0.1", self.daemon.port, timeout=120)
        try:
            connection.request(method, path, body, {name: value.encode("latin-1") for name, value in headers.items()})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (HTTPException, ConnectionError, ValueError):
            status = 0
        finally:
            connection.close()
        return self.note(status)

    def note(self, status: int) -> int:
        assert status < 500, status
        self.answers[status] += 1
        return status

    @property
    def rss(self) -> float:
        """Megabytes."""
        return float(psutil.Process(self.daemon.pid).memory_info().rss / 1e6)


def times(count: int, test: Callable[..., None]) -> Any:
    """`test` for `count` inputs, without shrinking: a server is not to be asked the same thing for minutes."""
    quick = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return quick(test)


def _signature(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()


@st.composite
def proofs(draw: st.DrawFn, hook: str, body: bytes) -> tuple[Headers, bool]:
    """Headers, and whether they prove the body: right ones, and right ones with one thing wrong."""
    if hook == "plain":
        right = {"authorization": f"Bearer {HOOK}"}
    elif hook == "github":
        digest = hmac.new(HUB.encode(), body, hashlib.sha256).hexdigest()
        right = {"x-hub-signature-256": f"sha256={digest}", "x-github-event": "deployment_status"}
    else:
        at = str(int(time.time()))
        signed = _signature(SIGNED, f"m1.{at}.".encode() + body)
        right = {"webhook-id": "m1", "webhook-timestamp": at, "webhook-signature": f"v1,{signed}"}
    if draw(st.booleans()):
        return right | draw(st.dictionaries(st.sampled_from(["idempotency-key", "x-github-delivery"]), latin)), True
    names = [name for name in right if name != "x-github-event"]
    name = draw(st.sampled_from(names))
    wrong = draw(stamps if name == "webhook-timestamp" else st.sampled_from(["", "v1,", "sha256=", "Bearer "]) | latin)
    doubled = right[name] + ", " + right[name]
    value = draw(st.sampled_from([wrong, doubled, right[name][:-1], right[name] + "A", right[name].upper() + "x"]))
    return right | {name: value}, value.strip() == right[name]
