"""Who may do what."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from support.seeded_store import Seeded
from support.web_server import APPROVE, DEPLOY, FORM_SECRET, READ, TOKENS, Reply, Running, serving_seeded

from watcher.web.auth import SESSION_SECONDS, make_session, read_session
from watcher.web.context import Token
from watcher.web.cookies import FORM, SESSION

BODY = {"service": "search", "environment": "production", "version": "v50"}


def _asked(running: Running, what: str, **more: Any) -> int:
    if what == "read":
        return running.get("/api/v1/watches", **more).status
    if what == "page":
        return running.get("/", headers={"accept": "text/html"} | more.pop("headers", {}), **more).status
    if what == "deploy":
        return running.post("/api/v1/deploys", BODY, **more).status
    return running.post("/api/v1/watches/w-0043/approve", {"reason": "yes"}, **more).status


@pytest.mark.parametrize(
    ("loopback", "tokens", "shown", "statuses"),
    [
        (True, (), None, {"read": 200, "page": 200, "deploy": 202, "approve": 200}),
        (True, TOKENS, None, {"read": 200, "page": 200, "deploy": 403, "approve": 403}),
        (True, TOKENS, DEPLOY, {"read": 200, "page": 200, "deploy": 202, "approve": 403}),
        (True, TOKENS, APPROVE, {"read": 200, "page": 200, "deploy": 403, "approve": 200}),
        (False, (), None, {"read": 401, "page": 401, "deploy": 401, "approve": 401}),
        (False, TOKENS, None, {"read": 401, "page": 401, "deploy": 401, "approve": 401}),
        (False, TOKENS, READ, {"read": 200, "page": 200, "deploy": 403, "approve": 403}),
        (False, TOKENS, DEPLOY, {"read": 403, "page": 403, "deploy": 202, "approve": 403}),
        (False, TOKENS, APPROVE, {"read": 200, "page": 200, "deploy": 403, "approve": 200}),
    ],
)
def test_scopes(
    seeded: Seeded, loopback: bool, tokens: tuple[Token, ...], shown: Token | None, statuses: dict[str, int]
) -> None:
    with serving_seeded(seeded, tokens=tokens, loopback=loopback) as running:
        assert {what: _asked(running, what, token=shown) for what in statuses} == statuses


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic YTpi", "Bearer \xff", "", "Bearer read-secret"])
def test_a_wrong_token_is_refused_even_where_none_is_needed(shown: Running, header: str) -> None:
    answer = shown.get("/api/v1/watches", headers={"authorization": header})
    assert (answer.status, answer.json()) == (401, {"error": "unauthenticated"})
    assert answer.headers["www-authenticate"] == "Bearer"


def test_an_empty_secret_opens_nothing(seeded: Seeded) -> None:
    careless = Token("careless", SecretStr(""), frozenset({"read"}))
    with serving_seeded(seeded, tokens=(careless,), loopback=False) as running:
        assert _asked(running, "read", headers={"authorization": "Bearer "}) == 401
        assert _sign_in(running, "").status == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("watcher.example", 401),  # the external URL's: whoever uses it is elsewhere
        ("rebound.evil.example:8080", 401),
        ("127.0.0.1.evil.example", 401),
        ("", 401),
        ("[::1", 401),
    ],
)
def test_a_foreign_name_that_resolves_to_loopback_is_not_loopback(shown: Running, host: str, status: int) -> None:
    assert _asked(shown, "read", headers={"host": host}) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:{port}"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 200),
    ],
)
def test_no_other_site_changes_anything_where_no_token_is_needed(
    daemon: Running, headers: dict[str, str], status: int
) -> None:
    headers = {name: value.format(port=daemon.server.port) for name, value in headers.items()}
    assert _asked(daemon, "approve", headers=headers) == status
    assert _asked(daemon, "read", headers=headers) == 200


def _sign_in(running: Running, secret: str, **fields: str) -> Reply:
    headers = {"accept": "text/html", "origin": running.url}
    return running.form("/sign-in", headers=headers, token=secret, **fields)


def _approve(running: Running, cookie: str, **headers: str) -> int:
    return running.form("/watches/w-0043/approve", cookie=cookie, headers=headers, reason="seen it").status


def _session(answer: Reply) -> str:
    found = re.search(rf"((?:__Host-)?{SESSION}=[^;]+)", answer.headers["set-cookie"])
    assert found is not None
    return found[1]


def test_a_session_on_the_page(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, loopback=False) as running:
        closed = running.get("/watches/w-0043", headers={"accept": "text/html"})
        assert (closed.status, 'type="password"' in closed.text) == (401, True)
        assert seeded.waiting.sentence not in closed.text
        assert 'value="/watches/w-0043"' in closed.text
        wrong = _sign_in(running, "wrong")
        assert (wrong.status, "none of our tokens" in wrong.text) == (401, True)
        answer = _sign_in(running, APPROVE.secret.get_secret_value(), next="/watches/w-0043")
        assert (answer.status, answer.headers["location"]) == (303, "/watches/w-0043")
        cookie = _session(answer)
        attributes = answer.headers["set-cookie"].lower()
        assert "httponly" in attributes
        assert "samesite=strict" in attributes
        assert APPROVE.secret.get_secret_value() not in attributes
        page = running.get("/watches/w-0043", headers={"cookie": cookie, "accept": "text/html"})
        assert page.status == 200
        assert "mara" in page.text
        assert _approve(running, cookie) == 403, "no origin"
        assert _approve(running, cookie, origin="http://evil.example") == 403
        assert _asked(running, "approve", headers={"cookie": cookie}) == 403
        assert _approve(running, cookie, origin=running.url) == 303
        out = running.form("/sign-out", cookie=cookie, headers={"origin": running.url})
        assert (out.status, f'{SESSION}=""' in out.headers["set-cookie"]) == (303, True)
        assert running.get("/api/v1/watches", headers={"cookie": cookie}).status == 401, "a copy of the cookie"
        again = _session(_sign_in(running, APPROVE.secret.get_secret_value()))
        assert running.get("/api/v1/watches", headers={"cookie": again}).status == 200


def test_a_session_is_secure_behind_https(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, external_url="https://watcher.example") as running:
        answer = _sign_in(running, READ.secret.get_secret_value())
    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nX:1"])
def test_signing_in_leads_to_no_other_site(seeded: Seeded, target: str) -> None:
    with serving_seeded(seeded, tokens=TOKENS) as running:
        answer = _sign_in(running, READ.secret.get_secret_value(), next=target)
    assert answer.headers["location"] == "/"


def test_signing_in_is_not_done_by_another_site(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS) as running:
        secret = READ.secret.get_secret_value()
        assert running.form("/sign-in", headers={"origin": "http://evil.example"}, token=secret).status == 403
        for cookie in ("", f"{FORM}=short", f"{FORM}={'x' * 30}"):
            headers = {"cookie": cookie, "origin": running.url}
            for shown in (FORM_SECRET, "short", ""):
                assert running.form("/sign-in", headers=headers, token=secret, form=shown).status == 403


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    session = make_session(READ, 1000.0 + SESSION_SECONDS)
    assert read_session(TOKENS, session, 1000.0) == READ
    assert read_session(TOKENS, session, 1000.0 + SESSION_SECONDS) is None
    assert read_session((DEPLOY, APPROVE), session, 1000.0) is None
    renewed = replace(READ, secret=SecretStr("another"))
    assert read_session((renewed,), session, 1000.0) is None


def test_a_session_is_for_its_own_token_only() -> None:
    name, expiry, nonce, signature = make_session(READ, 5000.0).split(".")
    other = make_session(APPROVE, 5000.0).split(".")[0]
    assert read_session(TOKENS, f"{name}.{expiry}.{nonce}.{signature}", 0.0) == READ
    assert read_session(TOKENS, f"{other}.{expiry}.{nonce}.{signature}", 0.0) is None
    assert read_session(TOKENS, f"{name}.{int(expiry) + 1}.{nonce}.{signature}", 0.0) is None
    assert read_session(TOKENS, f"{name}.{expiry}.{nonce}0.{signature}", 0.0) is None
    flipped = "0" if signature[-1] != "0" else "1"
    assert read_session(TOKENS, f"{name}.{expiry}.{nonce}.{signature[:-1]}{flipped}", 0.0) is None


@given(
    st.one_of(
        st.text(), st.from_regex(r"[A-Za-z0-9=_-]*\.-?[0-9]{0,30}\.[0-9a-f]{0,40}\.[0-9a-f\xff]*", fullmatch=True)
    )
)
def test_no_forged_session_opens_anything(session: str) -> None:
    assert read_session(TOKENS, session, 0.0) is None


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Proto"])
def test_whom_a_proxy_brings_that_nobody_named_is_not_local(shown: Running, header: str) -> None:
    assert shown.get("/api/v1/watches").status == 200
    assert shown.get("/api/v1/watches", headers={header: "192.0.2.7"}).status == 401
