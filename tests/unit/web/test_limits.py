"""How much one client may ask, and how often it may be wrong."""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seeded_store import Seeded
from support.web_server import FORM_SECRET, READ, TOKENS, Running, serving_seeded

from watcher.errors import UnauthenticatedError
from watcher.web.cookies import FORM
from watcher.web.limits import Limiter, Rates, TooManyFailuresError

CLIENT = "192.0.2.1"


def test_a_minutes_worth_at_once_and_then_as_it_fills() -> None:
    limiter = Limiter(Rates(requests=60, failures=30))
    assert [limiter.wait(CLIENT, 0.0, proves=False) for _ in range(61)] == [0.0] * 60 + [1.0]
    assert limiter.wait("192.0.2.2", 0.0, proves=False) == 0.0, "another client"
    assert limiter.wait(CLIENT, 1.0, proves=False) == 0.0
    assert limiter.wait(CLIENT, 1.5, proves=False) == pytest.approx(0.5)
    assert limiter.wait(CLIENT, 0.0, proves=False) > 0, "a clock that goes back gives nothing"


def _refuse() -> None:
    raise UnauthenticatedError("no")


def _guess(limiter: Limiter, now: float, client: str = CLIENT) -> str:
    try:
        with limiter.proving(client, now):
            _refuse()
    except UnauthenticatedError:
        return "wrong"
    except TooManyFailuresError:
        return "not looked at"
    return "right"


def test_right_proofs_cost_nothing() -> None:
    limiter = Limiter(Rates(failures=1))
    for _ in range(100):
        with limiter.proving(CLIENT, 0.0):
            pass
    assert _guess(limiter, 0.0) == "wrong"


def test_after_too_many_wrong_proofs_none_is_looked_at() -> None:
    limiter = Limiter(Rates(requests=1000, failures=3))
    assert [_guess(limiter, 0.0) for _ in range(5)] == ["wrong", "wrong", "wrong", "not looked at", "not looked at"]
    assert limiter.wait(CLIENT, 0.0, proves=True) == pytest.approx(20.0)
    assert limiter.wait(CLIENT, 0.0, proves=False) == 0.0, "whoever shows no secret guesses none"
    assert limiter.wait(CLIENT, 20.0, proves=True) == 0.0


def test_what_is_logged_is_only_the_first_refusal() -> None:
    limiter = Limiter(Rates(requests=1, failures=1))
    limiter.wait(CLIENT, 0.0, proves=False)
    assert [limiter.first_refusal(CLIENT, 0.0) for _ in range(3)] == [True, False, False]
    limiter.wait(CLIENT, 60.0, proves=False)
    assert limiter.first_refusal(CLIENT, 60.0)


def test_the_table_stays_small() -> None:
    limiter = Limiter(Rates(), most_clients=100)
    for number in range(1000):
        limiter.wait(f"192.0.2.{number}", float(number), proves=True)
    assert len(limiter) == 100


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 200), st.booleans(), st.booleans()), max_size=60))
def test_nobody_gets_more_than_the_rate(asked: list[tuple[int, float, bool, bool]]) -> None:
    limiter, rates = Limiter(Rates(requests=5, failures=2), most_clients=4), Rates(requests=5, failures=2)
    let_in: dict[int, int] = {}
    for client, at, proves, fails in sorted(asked, key=lambda one: one[1]):
        if not limiter.wait(str(client), at, proves=proves):
            let_in[client] = let_in.get(client, 0) + 1
            if fails and proves:
                _guess(limiter, at, str(client))
    assert all(count <= rates.requests * (1 + 200 / 60) for count in let_in.values())


def _wrong(running: Running) -> tuple[int, str | None]:
    answer = running.get("/api/v1/watches", headers={"authorization": "Bearer wrong"})
    return answer.status, answer.headers.get("retry-after")


def test_a_guesser_is_stopped_and_told_when_to_come_again(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, loopback=False, rates=Rates(failures=3)) as running:
        assert [_wrong(running)[0] for _ in range(4)] == [401, 401, 401, 429]
        status, retry_after = _wrong(running)
        assert status == 429
        assert 1 <= int(retry_after or 0) <= 20
        answer = running.get("/api/v1/watches", token=READ)
        assert answer.status == 429, "a right one is not looked at either"
        assert "too many requests" in answer.json()["error"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert running.post("/hooks/pipeline", {}).status == 429
        assert running.form("/sign-in", token="x").status == 429
        assert running.get("/api/v1/watches").status == 401
        assert running.get("/healthz").status == 200
        assert running.saw("unmatched", "GET", 429)


@pytest.mark.parametrize("path", ["/hooks/pipeline", "/sign-in"])
def test_wrong_signatures_and_sign_ins_count_as_guesses(seeded: Seeded, path: str) -> None:
    with serving_seeded(seeded, tokens=TOKENS, rates=Rates(failures=2)) as running:
        assert [running.form(path, token="wrong").status for _ in range(3)] == [401, 401, 429]


def test_a_flood_is_refused_but_for_the_liveness_probe(seeded: Seeded) -> None:
    with serving_seeded(seeded, rates=Rates(requests=5)) as running:
        assert [running.get("/readyz").status for _ in range(6)] == [200] * 5 + [429]
        assert running.get("/healthz").status == 200


_HELD = {
    "/hooks/acme-github": ({}, b"{}"),
    "/sign-in": (
        {"cookie": f"{FORM}={FORM_SECRET}", "content-type": "application/x-www-form-urlencoded"},
        f"form={FORM_SECRET}&token=wrong".encode(),
    ),
    "/api/v1/deploys": ({"authorization": "Bearer wrong"}, b"{}"),
}


@pytest.mark.parametrize("path", _HELD)
def test_guesses_that_are_held_back_and_let_go_at_once_are_no_more(seeded: Seeded, path: str) -> None:
    """Each is let in while there were no wrong ones yet; only a few of them are looked at all the same."""
    headers, body = _HELD[path]
    with serving_seeded(seeded, tokens=TOKENS, rates=Rates(failures=5)) as running, ExitStack() as stack:
        lines = {"host": f"127.0.0.1:{running.server.port}", "content-length": str(len(body)), "connection": "close"}
        head = "\r\n".join(
            [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (lines | headers).items())]
        )
        held = []
        for _ in range(50):
            address = ("127.0.0.1", running.server.port)
            held.append(stack.enter_context(socket.create_connection(address, timeout=60)))
            held[-1].sendall((head + ("\r\n\r\n" if path != "/api/v1/deploys" else "\r\n")).encode())
        time.sleep(0.5)
        for one in held:
            one.sendall(body if path != "/api/v1/deploys" else b"\r\n" + body)
        statuses = Counter(int(one.recv(4096)[9:12]) for one in held)
    assert statuses == {401: 5, 429: 45}
