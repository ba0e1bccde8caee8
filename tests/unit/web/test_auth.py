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
from support.web_server import APPROVE, DEPLOY, READ, TOKENS, Reply, Running, serving_seeded

from watcher.web.auth import COOKIE, SESSION_SECONDS, make_session, read_session
from watcher.web.context import Token

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
        ("watcher.example", 200),  # the external URL's: a proxy in front of us
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
    content = "&".join(f"{name}={value}" for name, value in {"token": secret, **fields}.items())
    headers = {"accept": "text/html", "origin": running.url}
    return running.ask("POST", "/sign-in", body=content.encode(), headers=headers)


def _approve(running: Running, headers: dict[str, str]) -> int:
    return running.ask("POST", "/watches/w-0043/approve", body=b"reason=seen+it", headers=headers).status


def _session(answer: Reply) -> str:
    found = re.match(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
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
        answer = _sign_in(running, APPROVE.secret.get_secret_value(), next="%2Fwatches%2Fw-0043")
        assert (answer.status, answer.headers["location"]) == (303, "/watches/w-0043")
        cookie = {"cookie": f"{COOKIE}={_session(answer)}"}
        attributes = answer.headers["set-cookie"].lower()
        assert "httponly" in attributes
        assert "samesite=strict" in attributes
        assert APPROVE.secret.get_secret_value() not in attributes
        page = running.get("/watches/w-0043", headers=cookie | {"accept": "text/html"})
        assert page.status == 200
        assert "mara" in page.text
        assert _approve(running, cookie) == 403, "no origin"
        assert _approve(running, cookie | {"origin": "http://evil.example"}) == 403
        assert _asked(running, "approve", headers=cookie) == 403
        assert _approve(running, cookie | {"origin": running.url}) == 303
        out = running.post("/sign-out", headers={"origin": running.url})
        assert (out.status, f'{COOKIE}=""' in out.headers["set-cookie"]) == (303, True)


def test_a_session_is_secure_behind_https(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, external_url="https://watcher.example") as running:
        answer = _sign_in(running, READ.secret.get_secret_value())
    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "target", ["%2F%2Fevil.example", "https%3A%2F%2Fevil.example", "%2F%5Cevil.example", "evil", "%2Fa%0d%0aX%3A1"]
)
def test_signing_in_leads_to_no_other_site(seeded: Seeded, target: str) -> None:
    with serving_seeded(seeded, tokens=TOKENS) as running:
        answer = _sign_in(running, READ.secret.get_secret_value(), next=target)
    assert answer.headers["location"] == "/"


def test_signing_in_is_not_done_by_another_site(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS) as running:
        body = f"token={READ.secret.get_secret_value()}".encode()
        assert running.ask("POST", "/sign-in", body=body, headers={"origin": "http://evil.example"}).status == 403


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    session = make_session(READ, 1000.0 + SESSION_SECONDS)
    assert read_session(TOKENS, session, 1000.0) == READ
    assert read_session(TOKENS, session, 1000.0 + SESSION_SECONDS) is None
    assert read_session((DEPLOY, APPROVE), session, 1000.0) is None
    renewed = replace(READ, secret=SecretStr("another"))
    assert read_session((renewed,), session, 1000.0) is None


def test_a_session_is_for_its_own_token_only() -> None:
    name, expiry, signature = make_session(READ, 5000.0).split(".")
    other = make_session(APPROVE, 5000.0).split(".")[0]
    assert read_session(TOKENS, f"{other}.{expiry}.{signature}", 0.0) is None
    assert read_session(TOKENS, f"{name}.{int(expiry) + 1}.{signature}", 0.0) is None
    flipped = "0" if signature[-1] != "0" else "1"
    assert read_session(TOKENS, f"{name}.{expiry}.{signature[:-1]}{flipped}", 0.0) is None


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9=_-]*\.-?[0-9]{0,30}\.[0-9a-f\xff]*", fullmatch=True)))
def test_no_forged_session_opens_anything(session: str) -> None:
    assert read_session(TOKENS, session, 0.0) is None
