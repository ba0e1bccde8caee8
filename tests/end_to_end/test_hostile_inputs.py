"""Whatever is sent: no answer of 5xx, nothing accepted without a valid secret, and memory that stays where it was.

The short form sends about 900 inputs, the long one (`make soak`) more than 20,000; each prints what it sent. The
daemon is a process of its own that trusts a proxy on loopback, so that nobody is local and everything needs a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from support.daemon import Daemon
from support.hostile_daemon import CONFIG, HUB, ROOT, SIGNED, TOKEN, Headers, Sent, bodies, latin, proofs, stamps, times
from support.plain_tools import plain_tools

from watcher import settings as configuration
from watcher.errors import ConfigError, MalformedError, UnauthenticatedError
from watcher.intake.generic import Generic, GenericOptions
from watcher.intake.github import GitHub, GitHubOptions
from watcher.ports import Intake

_OPEN = frozenset({"/healthz", "/readyz", "/metrics"})


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    with Daemon(tmp_path_factory.mktemp("hostile"), CONFIG) as daemon:
        yield Sent(daemon)
        assert not daemon.events("request_failed")
        assert not daemon.events("loop_error")


def _openapi(sent: Sent, each: int) -> None:
    """Every operation of the OpenAPI document: with the token nothing breaks, without one nothing is let in."""
    schema = schemathesis.openapi.from_url(f"{sent.daemon.url}/openapi.json")
    guesses = st.sampled_from(["", "Bearer", "Bearer null", f"bearer {TOKEN[:-1]}", f"Basic {TOKEN}"]) | latin
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # a document of ours that is wrong fails here
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = operation.as_strategy(generation_mode=mode)
            with suppress(Unsatisfiable):  # what takes nothing cannot be given anything wrong
                times(each, given(case=cases)(_known(sent)))()
                times(each, given(case=cases, shown=guesses)(_unknown(sent, operation.path)))()


def _known(sent: Sent) -> Callable[..., None]:
    def one(case: Any) -> None:
        sent.note(case.call(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120).status_code)

    return one


def _unknown(sent: Sent, path: str) -> Callable[..., None]:
    def one(case: Any, shown: str) -> None:
        status = sent.note(
            case.call(headers={"Authorization": shown.strip().encode("latin-1")}, timeout=120).status_code
        )
        assert path in _OPEN or not 200 <= status < 300, (path, shown)

    return one


def _hooks(sent: Sent, count: int) -> None:
    """Webhooks: accepted only with a right proof."""

    def one(data: st.DataObject) -> None:
        hook = data.draw(st.sampled_from(["plain", "signed", "github"]))
        body = data.draw(bodies)
        headers, proved = data.draw(proofs(hook, body))
        status = sent.ask("POST", f"/hooks/{hook}", headers | {"content-type": data.draw(latin)}, body)
        assert proved or status in (0, 400, 401, 408, 413), (hook, headers, status)

    times(count, given(st.data())(one))()


def _anything_else(sent: Sent, count: int) -> None:
    """Any path, method and header, forms and cookies: nothing that is not public is shown or done."""
    public = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/static/", "/favicon.ico")
    names = (
        *(
            "host",
            "cookie",
            "origin",
            "referer",
            "sec-fetch-site",
            "x-forwarded-for",
            "accept",
            "content-type",
            "range",
        ),
        *("x-forwarded-host", "if-modified-since", "if-none-match", "expect", "transfer-encoding", "content-encoding"),
    )
    values = latin | st.sampled_from(
        [
            *(
                "watcher_session=a.1.b.c",
                "watcher_form=" + "x" * 30,
                "text/html",
                "application/json",
                "1" * 5000,
                "bytes=0-",
            ),
            *("null", "same-origin", "10.0.0.1, 127.0.0.1", "[::1", "chunked", "gzip", "a" * 40_000, "100-continue"),
        ]
    )
    paths = st.sampled_from(
        [
            *(
                "/",
                "/sign-in",
                "/sign-out",
                "/events",
                "/events?watch=x",
                "/watches/w-1",
                "/watches/w-1/approve",
                "/api/v1/",
            ),
            *(
                "/services/checkout",
                "/static/page.css",
                "/static/../auth.py",
                "/static/%2e%2e/auth.py",
                "//",
                "/%00",
                "*",
            ),
            *(
                "/?before=nan",
                "/?before=1e999",
                "/?service=" + "%F0%9F" * 500,
                "/watches/%ff",
                "/api/v1/watches?limit=0",
            ),
        ]
    )
    methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"])

    def one(method: str, path: str, headers: Headers, body: bytes) -> None:
        status = sent.ask(method, path, headers, body)
        assert status not in (200, 202) or path.startswith(public), (method, path, headers, status)

    times(count, given(methods, paths, st.dictionaries(st.sampled_from(names), values, max_size=5), bodies)(one))()


def _parsers(sent: Sent, count: int) -> None:
    """The intake adapters themselves, whatever the web room would have stopped."""
    adapters: list[Intake] = [
        Generic("a", GenericOptions.model_validate({"secret": SIGNED}), plain_tools()),
        GitHub("b", GitHubOptions.model_validate({"secret": HUB}), plain_tools()),
    ]
    names = ["webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key", "content-type"]
    names += ["x-hub-signature-256", "x-github-event", "x-github-delivery", "authorization"]
    values = st.text(max_size=40) | stamps | st.just("deployment_status")

    def one(headers: Headers, body: bytes, now: float) -> None:
        for adapter in adapters:
            with pytest.raises(UnauthenticatedError):
                adapter.verify(headers, body, now)
            with suppress(MalformedError):
                adapter.parse(headers, body, now)
        sent.answers[1] += 1

    headers = st.dictionaries(st.sampled_from(names), values)
    times(count, given(headers, bodies, st.floats(0, 4e9))(one))()


def _configurations(sent: Sent, count: int, folder: Path) -> None:
    """The example with something else in one place: right, or problems that name their places."""
    lines = (ROOT / "config/watcher.example.yaml").read_text("utf-8").splitlines()
    file = folder / "watcher.yaml"
    environ = dict.fromkeys([part.split("}")[0] for line in lines for part in line.split("${")[1:]], "x" * 20)
    scraps = st.text(max_size=20) | st.sampled_from(
        [
            "&a [*a]",
            "!!python/object:os.system",
            "{",
            "? ",
            "- " * 50,
            "\x00",
            "${",
            "${NOBODY}",
            "file:/",
            "1e999",
            "~",
            "|",
        ]
    )

    def one(place: int, column: int, scrap: str, keep: bool) -> None:
        line = lines[place]
        changed = line[: column % (len(line) + 1)] + scrap + (line[column % (len(line) + 1) :] if keep else "")
        file.write_text("\n".join([*lines[:place], changed, *lines[place + 1 :]]), "utf-8", "replace")
        with suppress(ConfigError):
            configuration.load(str(file), environ)
        sent.answers[2] += 1

    times(count, given(st.integers(0, len(lines) - 1), st.integers(0, 200), scraps, st.booleans())(one))()


def _all(sent: Sent, folder: Path, share: float) -> None:
    began, before = time.monotonic(), sent.answers.total()
    _hooks(sent, round(60 * share))  # what is loaded and kept once is there now
    start = sent.rss
    _openapi(sent, round(4 * share))
    _hooks(sent, round(200 * share))
    _anything_else(sent, round(200 * share))
    _parsers(sent, round(200 * share))
    _configurations(sent, round(60 * share), folder)
    grown, count = sent.rss - start, sent.answers.total() - before
    statuses = {status: number for status, number in sorted(sent.answers.items()) if status > 2 or status == 0}
    print(
        f"\n{count} inputs in {time.monotonic() - began:.0f} s; answers {statuses}; "
        f"RSS {start:.0f} MB -> {start + grown:.0f} MB"
    )
    assert sent.daemon.status("/healthz") == 200
    assert grown < 25, "megabytes"


def test_a_few_hostile_inputs(sent: Sent, tmp_path: Path) -> None:
    _all(sent, tmp_path, 1)
    assert sent.answers.total() > 800


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_very_many_hostile_inputs(sent: Sent, tmp_path: Path) -> None:
    _all(sent, tmp_path, 24)
    assert sent.answers.total() >= 20_000
