"""The API's answers: stable names, whole pages, errors of one shape."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.seeded_store import CHECKOUT, STEP, Seeded, look, opened, quiet
from support.web_server import Running, serving, serving_seeded, web_of

from watcher.intake import generic
from watcher.model.decision import Outcome
from watcher.model.watch import Watch, WatchState
from watcher.store import watches
from watcher.store.database import Database
from watcher.web import views
from watcher.web.schemas import DeployRequest

WATCH_KEYS = {
    *("id", "deploy_id", "service", "environment", "version", "previous_version", "mode", "state", "outcome", "gate"),
    *("reason", "sentence", "score", "started_at", "finished_at", "until", "ticket_until", "created_at"),
    *("last_look_at", "next_look_at", "decided_at", "ended_at", "recovered", "superseded_by", "blind_seconds", "url"),
    "rollback",
}
SIGNAL_KEYS = {
    *("name", "kind", "harm", "role", "state", "cause", "note", "effect", "effect_low", "effect_high", "onset"),
    *("expected", "observed", "detectable", "detectable_events", "score", "points", "missing", "complete_until"),
    "failure",
}


def test_the_names_of_a_watch_are_a_promise(shown: Running, shown_store: Seeded) -> None:
    listed = shown.get("/api/v1/watches").json()["watches"]
    assert all(set(watch) == WATCH_KEYS for watch in listed)
    detail = shown.get(f"/api/v1/watches/{shown_store.waiting.id}").json()
    assert set(detail) == WATCH_KEYS | {"signals", "events", "links", "siblings"}
    assert all(set(signal) == SIGNAL_KEYS for signal in detail["signals"])
    assert set(listed[1]["rollback"]) == {"id", "state", "target_version", "detail", "held"}


def test_one_watch(shown: Running, shown_store: Seeded) -> None:
    watch = shown.get(f"/api/v1/watches/{shown_store.waiting.id}").json()
    assert (watch["outcome"], watch["gate"], watch["mode"], watch["state"]) == (
        *("regressed", "regressed", "ask", "watching"),
    )
    assert watch["url"] == "http://watcher.example/watches/w-0043"
    assert watch["rollback"]["state"] == "planned"
    assert watch["rollback"]["expires_at"] == shown_store.now + 1680
    conversion = next(signal for signal in watch["signals"] if signal["name"] == "conversion")
    assert (conversion["state"], conversion["cause"], conversion["effect"]) == ("alarm", "level_shift", -0.31)
    control = next(signal for signal in watch["signals"] if signal["name"] == "sessions")
    assert (control["role"], control["state"]) == ("control", None)
    assert [line["event"] for line in watch["events"]] == ["opened", "regressed", "approval_wanted"]
    assert shown.get(f"/api/v1/watches/{shown_store.waiting.deploy_id}").json() == watch


def test_a_signals_failure_is_told(shown: Running, shown_store: Seeded) -> None:
    signals = shown.get(f"/api/v1/watches/{shown_store.inconclusive.id}").json()["signals"]
    assert signals[0]["failure"] == "prometheus: connection refused"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("service=search", ["w-0044", "w-0020", "w-0019"]),
        ("state=done", ["w-0042", "w-0041", "w-0020"]),
        ("state=done&service=checkout&limit=1", ["w-0042"]),
        ("service=nobody", []),
    ],
)
def test_filters(shown: Running, query: str, ids: list[str]) -> None:
    assert [watch["id"] for watch in shown.get(f"/api/v1/watches?{query}").json()["watches"]] == ids


def test_paging_parts_no_moment_and_loses_nothing(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        first = opened(tx, CHECKOUT, "v95", seeded.now, 95)
        for number in range(96, 99):  # one deploy that opened four watches at once
            watches.open_watch(tx, replace(first, id=f"w-{number:04}", service=f"service-{number}"))
    seen: list[str] = []
    before, pages = "", 0
    while True:
        page = daemon.get(f"/api/v1/watches?limit=2{before}").json()
        seen += [watch["id"] for watch in page["watches"]]
        pages += 1
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']!r}"
    assert len(seen) == len(set(seen)) == 10
    assert pages > 2


def test_deploys_are_listed_watched_or_not(shown: Running) -> None:
    listed = {deploy["id"]: deploy for deploy in shown.get("/api/v1/deploys").json()["deploys"]}
    assert listed["d-0043"]["watch_ids"] == ["w-0043"]
    assert (listed["d-0900"]["watch_ids"], listed["d-0900"]["services"]) == ([], [])


def test_a_chart_has_arrays_of_one_length_and_null_where_nothing_was(shown: Running, shown_store: Seeded) -> None:
    chart = shown.get(f"/api/v1/watches/{shown_store.waiting.id}/chart").json()
    assert [signal["name"] for signal in chart["signals"]] == ["p95 latency", "conversion", "tickets", "sessions"]
    for signal in chart["signals"]:
        lengths = {len(signal[name]) for name in ("t", "value", "expected", "low", "high")}
        assert len(lengths) == 1
        assert signal["value"].count(None) == 5
        assert signal["t"] == sorted(signal["t"])
    conversion = chart["signals"][1]
    assert conversion["onset"] == shown_store.waiting.started_at + 60
    assert all(0 < value < 1 for value in conversion["value"] if value is not None), "the quotient, not the numerator"
    tickets = chart["signals"][2]["tickets"]
    assert [ticket["id"] for ticket in tickets] == ["4711", "4712", "4713"]
    assert chart["signals"][0]["tickets"] == []
    assert (chart["started_at"], chart["rolled_back_at"]) == (shown_store.waiting.started_at, None)


def test_a_chart_can_begin_later(shown: Running, shown_store: Seeded) -> None:
    since = shown_store.waiting.started_at - 600
    chart = shown.get(f"/api/v1/watches/{shown_store.waiting.id}/chart?since={since}").json()
    assert since <= chart["signals"][0]["t"][0] < since + STEP


def test_a_chart_knows_when_it_was_rolled_back(shown: Running, shown_store: Seeded) -> None:
    chart = shown.get(f"/api/v1/watches/{shown_store.regressed.id}/chart").json()
    events = shown.get(f"/api/v1/watches/{shown_store.regressed.id}").json()["events"]
    assert chart["rolled_back_at"] == next(line["at"] for line in events if line["event"] == "rollback_verified")


@pytest.mark.parametrize(
    ("values", "totals", "wanted"),
    [
        ([1.0, 2.0], [np.nan, np.nan], [1.0, 2.0]),
        ([1.0, 0.0, 3.0], [4.0, 0.0, np.nan], [0.25, np.nan, np.nan]),
        ([np.nan], [5.0], [np.nan]),
        ([], [], []),
    ],
)
def test_quotients(values: list[float], totals: list[float], wanted: list[float]) -> None:
    assert views.quotients(np.array(values), np.array(totals)).tolist() == pytest.approx(wanted, nan_ok=True)


def test_waiting_ends_with_the_decision(daemon: Running, seeded: Seeded) -> None:
    answers: list[Any] = []

    def ask() -> None:
        answers.append(daemon.get(f"/api/v1/watches/{seeded.watching.id}?wait=60").json())

    waiting = threading.Thread(target=ask)
    began = time.monotonic()
    waiting.start()
    time.sleep(0.5)
    with seeded.database.write() as tx:  # a look that decides nothing must not end it
        look(tx, seeded.watching, seeded.now, quiet(seeded.watching, seeded.now))
    time.sleep(1.2)
    assert not answers
    with seeded.database.write() as tx:
        watches.change(tx, replace(seeded.watching, outcome=Outcome.HEALTHY))
    waiting.join(60)
    assert answers[0]["gate"] == "healthy"
    assert time.monotonic() - began < 40


def test_waiting_ends_with_its_time(shown: Running, shown_store: Seeded) -> None:
    began = time.monotonic()
    assert shown.get(f"/api/v1/watches/{shown_store.watching.id}?wait=0.6").json()["gate"] is None
    assert 0.5 < time.monotonic() - began < 40


def test_waiting_for_the_decided_takes_no_time(shown: Running, shown_store: Seeded) -> None:
    began = time.monotonic()
    assert shown.get(f"/api/v1/watches/{shown_store.healthy.id}?wait=60").json()["gate"] == "healthy"
    assert shown.get("/api/v1/watches/w-none?wait=60").status == 404
    assert time.monotonic() - began < 40


def test_many_who_wait_do_not_hold_up_the_others(daemon: Running, seeded: Seeded) -> None:
    path = f"/api/v1/watches/{seeded.watching.id}?wait=60"
    waiting = [threading.Thread(target=daemon.get, args=(path,)) for _ in range(80)]
    for thread in waiting:
        thread.start()
    time.sleep(0.5)
    assert daemon.get("/healthz").status == 200
    assert daemon.get("/api/v1/watches").status == 200
    assert all(thread.is_alive() for thread in waiting)
    with seeded.database.write() as tx:
        watches.change(tx, replace(seeded.watching, outcome=Outcome.HEALTHY))
    for thread in waiting:
        thread.join()


def test_decisions(daemon: Running, seeded: Seeded) -> None:
    path = f"/api/v1/watches/{seeded.waiting.id}"
    refused = daemon.post(f"{path}/refuse", {"reason": "  it was a campaign "})
    assert (refused.status, refused.json()["rollback"]["state"]) == (200, "refused")
    assert "it was a campaign" in refused.json()["rollback"]["detail"]
    late = daemon.post(f"{path}/approve", {"reason": "no, do"})
    assert (late.status, "no longer waits" in late.json()["error"]) == (409, True)
    assert daemon.post(f"{path}/stop", {"reason": "enough"}).json()["state"] == "stopped"
    assert daemon.post(f"{path}/stop", {"reason": "enough"}).status == 409
    assert daemon.post("/api/v1/watches/w-none/approve", {"reason": "x"}).status == 404
    assert daemon.post(f"/api/v1/watches/{seeded.healthy.id}/approve", {"reason": "x"}).status == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 401}, "reason"),
        ({"reason": 5}, "reason"),
        ({"reason": "x", "by": "root"}, "by"),
        ([], ""),
    ],
)
def test_a_decision_that_is_malformed(shown: Running, shown_store: Seeded, body: Any, field: str) -> None:
    answer = shown.post(f"/api/v1/watches/{shown_store.waiting.id}/approve", body)
    assert (answer.status, answer.json()["field"]) == (400, field), answer.text
    assert set(answer.json()) == {"error", "field", "expected"}


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("/api/v1/watches?limit=0", "limit", "at least 1"),
        ("/api/v1/watches?limit=201", "limit", "at most 200"),
        ("/api/v1/watches?limit=many", "limit", "a whole number"),
        ("/api/v1/watches?before=nan", "before", "a finite number"),
        ("/api/v1/watches?state=asleep", "state", "'scheduled', "),
        ("/api/v1/watches/w-0044?wait=-1", "wait", "at least 0"),
        ("/api/v1/watches/w-0044?wait=inf", "wait", "a finite number"),
        ("/api/v1/watches/w-0044/chart?since=now", "since", "a number"),
    ],
)
def test_a_query_that_is_malformed(shown: Running, path: str, field: str, expected: str) -> None:
    answer = shown.get(path)
    assert (answer.status, answer.json()["field"]) == (400, field)
    assert answer.json()["expected"].startswith(expected)
    assert answer.json()["error"] == f"{field}: expected {answer.json()['expected']}"


def test_json_that_is_none(shown: Running) -> None:
    headers = {"content-type": "application/json"}
    answer = shown.ask("POST", "/api/v1/watches/w-0043/approve", body=b"{", headers=headers)
    assert (answer.status, answer.json()) == (400, {"error": "expected JSON", "field": "", "expected": "JSON"})


def test_deploys_are_told_as_to_the_generic_hook(daemon: Running) -> None:
    body = {"service": "checkout", "environment": "production", "version": "v60", "started_at": "2026-13-01"}
    wrong = daemon.post("/api/v1/deploys", body)
    assert (wrong.status, wrong.json()["field"]) == (400, "started_at")
    assert daemon.post("/api/v1/deploys", body | {"started_at": None, "service": "x"}).status == 422
    told = daemon.post("/api/v1/deploys", body | {"started_at": None}, headers={"idempotency-key": "k-1"})
    again = daemon.post("/api/v1/deploys", body | {"started_at": None}, headers={"idempotency-key": "k-1"})
    assert (told.status, again.status, told.json()) == (202, 200, again.json())


def test_openapi_tells_the_deploys_keys_as_the_hook_reads_them(shown: Running) -> None:
    document = shown.get("/openapi.json").json()
    operation = document["paths"]["/api/v1/deploys"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == set(DeployRequest.model_fields) == set(generic._KEYS)
    assert set(schema["required"]) == {"service", "environment", "version"}
    assert set(document["paths"]) >= {"/hooks/{name}", "/healthz", "/api/v1/watches/{watch_id}"}
    assert "/watches/{watch_id}" not in document["paths"], "the page is no API"
    assert document["components"]["securitySchemes"]
    assert shown.get("/docs").status == shown.get("/redoc").status == 404, "they would load scripts from elsewhere"


@pytest.mark.parametrize("path", ["/nope", "/api/v1/nope", "/api/v1/watches/x/y/z", "/static/nope.js", "/hooks/"])
def test_what_is_not_there(shown: Running, path: str) -> None:
    answer = shown.get(path)
    assert (answer.status, answer.json()) == (404, {"error": "not found"})


def test_an_accident_shows_nothing_of_itself(seeded: Seeded, logged: list[Any]) -> None:
    def fails(_watch: str, _signal: str) -> Any:
        raise RuntimeError("secret of the inside")

    with serving_seeded(seeded, samples=fails) as running:
        answer = running.get(f"/api/v1/watches/{seeded.waiting.id}/chart")
        assert (answer.status, answer.json()) == (500, {"error": "internal error"})
        assert running.saw("/api/v1/watches/{watch_id}/chart", "GET", 500)
        assert running.get("/healthz").status == 200
    assert "request_failed" in [line["event"] for line in logged]


def test_a_store_that_is_away(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with serving(web_of(database, lambda: 1e9)) as running:
        answer = running.get("/api/v1/watches")
        assert (answer.status, answer.json()) == (503, {"error": "the store is unavailable"})
        assert "retry-after" in answer.headers
        page = running.get("/", headers={"accept": "text/html"})
        assert (page.status, "The store is unavailable" in page.text) == (503, True)
        assert "folder.db" not in page.text
        began = time.monotonic()
        assert running.get("/api/v1/watches/w-1?wait=60").status == 503
        assert time.monotonic() - began < 40
    database.close()


@pytest.mark.parametrize(
    ("gates", "wanted"),
    [
        (["healthy", "inconclusive"], "inconclusive"),
        (["inconclusive", "error"], "error"),
        (["error", None], None),
        ([None, "regressed"], "regressed"),
        (["healthy", "superseded"], "superseded"),
        (["stopped", "inconclusive"], "inconclusive"),
        (["healthy", "healthy"], "healthy"),
    ],
)
def test_the_worst_of_a_deploys_watches(seeded: Seeded, gates: list[str | None], wanted: str | None) -> None:
    found = [_with_gate(seeded, gate) for gate in gates]
    assert [views.gate(watch) for watch in found] == gates
    assert views.gate(views.worst(found)) == wanted
    assert views.gate(views.worst(found[::-1])) == wanted


def _with_gate(seeded: Seeded, gate: str | None) -> Watch:
    if gate is None:
        return seeded.watching
    if gate in ("superseded", "stopped"):
        return replace(seeded.watching, state=WatchState(gate))
    return replace(seeded.watching, outcome=Outcome(gate))


def test_the_api_speaks_plain_json(shown: Running) -> None:
    answer = shown.get("/api/v1/watches/w-0043/chart")
    assert answer.headers["content-type"] == "application/json"
    json.loads(answer.body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"reason": "x"}', "text/plain", "a JSON object, sent as application/json"),
        (b"[]", "application/json", "a JSON object, sent as application/json"),
        (b'{"reason": NaN}', "application/json", "text"),
        (b'{"reason": ""}', "application/json", "text that is not empty"),
        (b'{"reason": "%s"}' % (b"x" * 401), "application/json", "text of at most 400 characters"),
        (b'{"reason"', "application/json", "JSON"),
        (b"[" * 8_000, "application/json", "JSON in UTF-8"),
        (b"\xff", "application/json", "JSON in UTF-8"),
    ],
)
def test_a_decision_that_cannot_be_read_is_told_what_was_expected(
    shown: Running, body: bytes, content_type: str, expected: str
) -> None:
    answer = shown.ask("POST", "/api/v1/watches/w-0043/approve", body=body, headers={"content-type": content_type})
    assert (answer.status, answer.json()["expected"]) == (400, expected)
