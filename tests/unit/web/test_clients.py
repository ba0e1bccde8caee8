"""Who is at the other end, through proxies that are trusted and others that are not."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seeded_store import Seeded
from support.web_server import APPROVE, READ, TOKENS, Running, serving_seeded

from watcher.store import orders
from watcher.web.clients import Proxies, single
from watcher.web.limits import Rates

PROXIES = Proxies((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")))
HERE = Proxies((ipaddress.ip_network("127.0.0.1"),), "x-forwarded-user", frozenset({"read", "approve"}))
ELSEWHERE = Proxies((ipaddress.ip_network("192.0.2.7"),), "x-forwarded-user", frozenset({"read", "approve"}))


def _scope(peer: Any, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": (peer, 1234) if peer else None, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # anybody can write the header
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["203.0.113.1, 198.51.100.9"], "198.51.100.9"),  # the nearest hop is the proxy's own word
        ("10.0.0.1", ["203.0.113.1, 198.51.100.9, 10.2.3.4"], "198.51.100.9"),  # through two proxies of ours
        ("10.0.0.1", ["203.0.113.1", "198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("fd00::1", ["[2001:db8:1:2:3::4]:99"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::5", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, [], "unknown"),
    ],
)
def test_the_client(peer: str | None, forwarded: list[str], client: str) -> None:
    assert PROXIES.client(_scope(peer, *forwarded)) == client


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=4))
def test_no_header_raises_anything(forwarded: list[str]) -> None:
    assert PROXIES.client(_scope("10.0.0.1", *forwarded))
    assert PROXIES.client(_scope("192.0.2.1", *forwarded)) == "192.0.2.1"


def test_a_header_that_comes_twice_is_not_believed() -> None:
    assert single([(b"a", b"1"), (b"b", b"2")], "b") == "2"
    assert single([], "b") is None
    with pytest.raises(ValueError, match="2 times"):
        single([(b"b", b"1"), (b"b", b"1")], "b")


def _approve(running: Running, **headers: str) -> int:
    return running.post("/api/v1/watches/w-0043/approve", {"reason": "yes"}, headers=headers).status


def test_a_trusted_proxy_says_who_it_is_and_the_record_names_them(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, loopback=False, proxies=HERE) as running:
        page = running.get("/", headers={"accept": "text/html", "x-forwarded-user": "Jörg".encode().decode("latin-1")})
        assert (page.status, "Jörg" in page.text) == (200, True)
        assert _approve(running, **{"x-forwarded-user": "ines"}) == 403, "no origin: another site may have sent it"
        assert _approve(running, **{"x-forwarded-user": "ines", "origin": "http://evil.example"}) == 403
        assert _approve(running, **{"x-forwarded-user": "ines", "origin": running.url}) == 200
        assert running.get("/api/v1/watches", token=READ, headers={"x-forwarded-user": "ines"}).status == 200
        basic = {"authorization": "Basic aW5lczpz", "x-forwarded-user": "ines"}
        assert running.get("/api/v1/watches", headers=basic).status == 200, "it is the proxy's own"
        assert running.post("/api/v1/deploys", {}, headers={"x-forwarded-user": "ines"}).status == 403
    with seeded.database.read() as tx:
        order = orders.rollback_of(tx, "w-0043")
    assert order is not None
    assert order.decided_by == "ines"


@pytest.mark.parametrize("name", ["", " ", "a\tb", "x" * 101])
def test_a_name_that_cannot_stand_in_the_record_is_refused(seeded: Seeded, name: str) -> None:
    with serving_seeded(seeded, tokens=TOKENS, loopback=False, proxies=HERE) as running:
        assert running.get("/api/v1/watches", headers={"x-forwarded-user": name}).status == 401


def test_nobody_else_can_say_who_it_is(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, proxies=ELSEWHERE) as running:
        headers = {"x-forwarded-user": "ines", "origin": running.url}
        assert running.get("/api/v1/watches", headers=headers).status == 401
        assert _approve(running, **headers) == 401
        assert running.get("/api/v1/watches", token=APPROVE, headers=headers).status == 200, "the token is proof enough"
    with serving_seeded(seeded, tokens=TOKENS, loopback=False) as running:
        assert running.get("/api/v1/watches", headers=headers).status == 401, "the header means nothing"


def test_who_comes_through_a_proxy_on_this_machine_is_not_local(seeded: Seeded) -> None:
    with serving_seeded(seeded, proxies=Proxies(HERE.networks)) as running:
        assert running.get("/api/v1/watches").status == 401


def test_behind_a_proxy_each_client_has_a_measure_of_its_own(seeded: Seeded) -> None:
    with serving_seeded(seeded, proxies=Proxies(HERE.networks), rates=Rates(requests=2)) as running:

        def asked(address: str) -> int:
            return running.get("/readyz", headers={"x-forwarded-for": address}).status

        assert [asked("192.0.2.1") for _ in range(3)] == [200, 200, 429]
        assert asked("192.0.2.2") == 200
