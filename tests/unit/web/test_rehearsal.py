"""A rehearsal on the page and in the API."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from support.made_rehearsal import rehearsal
from support.seeded_store import Seeded
from support.web_server import Running

from watcher.model.rehearsal import Share, SignalRehearsal
from watcher.store import rehearsals

NONE = Share(0, 0, 0, 0.0, 1.0)
ROUTE = "/api/v1/services/{name}/rehearsal"


def test_the_api_gives_the_newest_one_whole(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        rehearsals.add(tx, rehearsal(made_at=seeded.now - 86400))
        rehearsals.add(tx, rehearsal(made_at=seeded.now))
    reply = daemon.get("/api/v1/services/checkout/rehearsal")
    found: dict[str, Any] = reply.json()
    assert (reply.status, found["made_at"], found["false_calls"]["value"]) == (200, seeded.now, 0.0)
    assert [one["detectable"] for one in found["signals"]] == [0.12, None]
    document = daemon.get("/openapi.json").json()
    schema = document["paths"][ROUTE]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": document["components"]}).validate(found)


def test_not_yet_and_unknown_are_told_apart(daemon: Running) -> None:
    soon, never = (daemon.get(f"/api/v1/services/{name}/rehearsal") for name in ("checkout", "basket"))
    assert (soon.status, soon.json()["error"]) == (404, "checkout is not rehearsed yet")
    assert (never.status, never.json()["error"]) == (404, "there is no service basket")
    assert daemon.get("/services/basket").status == 404


def test_the_page_shows_what_was_found_and_what_would_help(daemon: Running, seeded: Seeded) -> None:
    assert "Not rehearsed yet" in daemon.get("/services/checkout").text
    with seeded.database.write() as tx:
        rehearsals.add(tx, rehearsal(made_at=seeded.now, sentences=("<b>20</b> placebo deploys.",)))
    text = daemon.get("/services/checkout").text
    assert "&lt;b&gt;20&lt;/b&gt; placebo deploys." in text
    assert "<td>0 of 20 (0 % to 17 %)</td>" in text
    assert "<td>12 %</td>" in text
    assert "none up to 1,000 %" in text
    assert "What would help conversion" in text
    assert "<td>a short spike</td>" in text
    assert "none up to 100 %" in text
    assert "<td>20 of 20 (83 % to 100 %)</td>" in text
    assert 'href="/services/checkout"' in daemon.get("/").text


def test_the_page_says_of_a_signal_that_was_not_judged_why_and_not_that_its_harm_never_shows(
    daemon: Running, seeded: Seeded
) -> None:
    blind = SignalRehearsal("p95", NONE, {"too_little_history": 12, "gaps": 8}, None, None, None, None, NONE)
    with seeded.database.write() as tx:
        rehearsals.add(tx, rehearsal(made_at=seeded.now, signals=(blind,)))
    text = daemon.get("/services/checkout").text
    assert "<td>8 gaps, 12 too little history</td>" in text
    assert "never" not in text
    assert text.count("<td>unknown</td>") == 4
