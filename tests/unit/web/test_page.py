"""The page as the server renders it, without a browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.seeded_store import CHECKOUT, Seeded, opened
from support.sqlite_store import sqlite_store
from support.web_server import HOOK_TOKEN, TOKENS, Reply, Running, serving, serving_seeded, web_of

from watcher.model.deploy import Phase
from watcher.model.order import RollbackState
from watcher.model.service import Mode
from watcher.model.watch import WatchState
from watcher.store import deploys, orders, watches
from watcher.web import words

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def _page(running: Running, path: str = "/", **more: Any) -> Reply:
    return running.get(path, headers=HTML | more.pop("headers", {}), **more)


def _text(reply: Reply) -> str:
    """What a reader sees, white space folded."""
    plain = re.sub(r"<(script|style|head).*?</\1>", " ", reply.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", plain)).replace("&#39;", "'")


def test_the_list_says_of_each_deploy_how_it_did(shown: Running) -> None:
    text = _text(_page(shown))
    for wanted in (
        "search 2026.11.21-1 production · 10 min ago 10 min into the 30 min window",
        "Rollback to v42 waits for approval",
        "✓ Healthy checkout v42",
        "Rolled back to v40, and users recovered",
        "? Inconclusive search 2026.11.20-3",
        "Not watched wiki 1.8.0",
        "No configured service matches this deploy",
        "A newer deploy (d-0020) took its place",
    ):
        assert wanted in text, wanted
    assert text.index("2026.11.21-1") < text.index("wiki") < text.index("2026.11.20-2"), "newest first"
    assert "Waiting for a decision checkout v43 made things worse" in text


def test_the_list_of_one_service(shown: Running) -> None:
    text = _text(_page(shown, "/?service=search"))
    assert text.count("2026.11.2") == 3
    assert "wiki" not in text
    assert "✓ Healthy" not in text


def test_older_deploys_are_a_page_away(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        for number in range(100, 160):
            opened(tx, CHECKOUT, f"v{number}", seeded.now - 30 * 86400 + number * 60, number)
    first = _page(daemon)
    assert first.text.count('class="row ') == 50
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older is not None
    second = _page(daemon, older[1])
    versions = re.findall(r'class="version">([^<]+)<', first.text + second.text)
    assert len(versions) == len(set(versions)) == 67
    assert 'rel="next"' not in second.text


def test_a_watch_tells_everything(shown: Running, shown_store: Seeded) -> None:
    page = _page(shown, f"/watches/{shown_store.waiting.id}")
    text = _text(page)
    for wanted in (
        "✕ Regressed production · deployed 13 min ago",
        "Conversion fell 31 % (between",
        "Rollback to v42 waits for approval, which expires in 28 min",
        "Decided 2 min ago (worse since the deploy)",
        "ask: a person decides",
        "conversion ✕ Harm",
        "2.4 % where 3.5 % was expected",
        "a 4.1 % loss would show",
        "Charged twice? My order [redacted] is missing",
        "Approval wanted Roll back to v42?",
    ):
        assert wanted.lower() in text.lower(), wanted
    assert text.index("conversion ✕ Harm") < text.index("p95 latency ? Suspect") < text.index("Control control")
    assert "fell 31\u00a0% (" in page.text, "no line ends between a number and its percent sign"
    assert page.text.count("<textarea") == 2
    exact = re.search(r'<time datetime="([^"]+)" title="([^"]+ UTC)" data-at="([\d.]+)"', page.text)
    assert exact is not None


def test_what_customers_write_stays_text(shown: Running, shown_store: Seeded) -> None:
    page = _page(shown, f"/watches/{shown_store.waiting.id}")
    assert "&lt;script&gt;alert(&#39;pay&#39;)&lt;/script&gt;" in page.text
    assert "alert('pay')" not in page.text


def test_only_links_to_the_web_are_links(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        deploy = deploys.get(tx, seeded.waiting.deploy_id)
        assert deploy is not None
        bad = {"Good": "https://ci.example/1", "Bad": "javascript:alert(1)", '"><b>': "https://x.example/"}
        deploys.put(tx, replace(deploy, links=bad))
    page = _page(daemon, f"/watches/{seeded.waiting.id}").text
    assert 'href="https://ci.example/1" rel="noreferrer noopener">Good<' in page
    assert "javascript:" not in page
    assert "<b>" not in page


@pytest.mark.parametrize("path", ["/", "/watches/w-0043", "/watches/w-0041", "/watches/w-none"])
def test_no_page_has_code_or_style_inside(shown: Running, path: str) -> None:
    page = _page(shown, path).text
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=", page)
    assert re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(url.startswith("/static/") for url in re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', page))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("state", RollbackState)
def test_every_state_of_a_rollback_has_words(state: RollbackState, mode: Mode) -> None:
    for recovered in (None, True, False):
        for watch_state in WatchState:
            ended_at = None if watch_state in (WatchState.WATCHING, WatchState.RECOVERING) else 1.0
            line = words.rollback(
                {
                    "rollback": {"state": state.value, "target_version": "v1"},
                    "mode": mode.value,
                    "ended_at": ended_at,
                    "recovered": recovered,
                    "state": watch_state.value,
                }
            )
            assert line is not None
            assert line.tone in ("bad", "good", "unsure", "busy", "off")
            assert line.waits == (state is RollbackState.PLANNED and mode is Mode.ASK and ended_at is None)
            if recovered is False and state in (RollbackState.ACCEPTED, RollbackState.VERIFIED):
                assert "NOT recovered" in line.text


def test_words_that_are_not_known_are_shown_as_they_are() -> None:
    assert words.badge("postponed").word == "Postponed"
    watch = {"rollback": {"state": "paused", "target_version": None}, "mode": "act", "ended_at": None}
    assert words.rollback(watch) == words.Line("Rollback paused", "off")
    assert words.signal_badge({"failure": None, "state": "odd", "role": "required"}).word == "Odd"


@pytest.mark.parametrize("phase", Phase)
def test_deploys_without_a_watch(daemon: Running, seeded: Seeded, phase: Phase) -> None:
    wanted = {
        Phase.ANNOUNCED: "The watch begins when the deploy has finished",
        Phase.STARTED: "◔ Deploying",
        Phase.FAILED: "Deploy failed",
        Phase.FINISHED: "The version to which we rolled back",
    }
    with seeded.database.write() as tx:
        deploys.put(tx, replace(seeded.unwatched, phase=phase, services=("checkout",)))
    assert wanted[phase] in _text(_page(daemon))


def test_the_forms_decide(daemon: Running, seeded: Seeded) -> None:
    path = f"/watches/{seeded.waiting.id}"
    empty = daemon.form(f"{path}/approve", headers=HTML, reason=" ")
    assert (empty.status, "Please give a reason" in empty.text) == (400, True)
    done = daemon.form(f"{path}/refuse", headers=HTML, reason="a campaign & a sale")
    assert (done.status, done.headers["location"]) == (303, path)
    with seeded.database.read() as tx:
        order = orders.rollback_of(tx, seeded.waiting.id)
    assert order is not None
    assert (order.state, order.detail) == (RollbackState.REFUSED, "refused by local user: a campaign & a sale")
    late = daemon.form(f"{path}/approve", headers=HTML, reason="x")
    assert (late.status, "That was not done" in late.text) == (409, True)
    assert daemon.form(f"{path}/stop", headers=HTML, reason="x").status == 303
    with seeded.database.read() as tx:
        watch = watches.get(tx, seeded.waiting.id)
    assert watch is not None
    assert watch.state is WatchState.STOPPED
    assert daemon.form(f"{path}/explode", headers=HTML, reason="x").status == 404


def test_the_window_of_a_watch_that_has_ended_does_not_go_on(daemon: Running, seeded: Seeded) -> None:
    watch = seeded.waiting
    path = f"/watches/{watch.id}"
    assert re.search(r"Window (\d+ min, )?ends in", _text(_page(daemon, path)))
    assert daemon.form(f"{path}/stop", headers=HTML, reason="a load test").status == 303
    text = _text(_page(daemon, path))
    assert re.search(r"Window \d+ (min|h); the watch ended before, (just now|\d+ s ago)", text), text
    assert not re.search(r"\bends? +in\b|watched until in", text)


def test_who_may_not_decide_is_told_how(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS) as running:
        page = _page(running, f"/watches/{seeded.waiting.id}")
    assert "<textarea" not in page.text
    assert "watcher approve w-0043 --reason TEXT" in page.text


def test_a_deploys_id_leads_to_its_watch(shown: Running) -> None:
    assert "checkout" in _page(shown, "/watches/d-0042").text
    missing = _page(shown, "/watches/w-none")
    assert (missing.status, "There is no watch or deploy w-none." in missing.text) == (404, True)
    assert shown.get("/watches/w-none").json() == {"error": "there is no watch or deploy w-none"}


def test_a_newcomer_is_told_what_to_do_first(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    web = web_of(database, lambda: 1e9)
    with serving(web) as running:
        text = _text(_page(running)).replace("&#34;", '"').replace("\\ ", "")
    assert "curl -X POST http://watcher.example/hooks/pipeline" in text
    assert '-d \'{"service": "checkout", "environment": "production", "version": "v1"}\'' in text
    assert "watcher deploy --url http://watcher.example --service checkout --environment production" in text
    assert "http://watcher.example/hooks/acme-github" in text
    with serving(replace(web, services={}, hooks={})) as running:
        assert "No service is configured yet" in _page(running).text
    database.close()


def test_an_empty_filter_is_not_the_first_step(shown: Running) -> None:
    text = _text(_page(shown, "/?service=nobody"))
    assert "No deploy of nobody is known" in text
    assert "curl" not in text


def test_the_first_curl_line_works_as_it_stands(tmp_path: Path) -> None:
    """What the page tells a newcomer to send is accepted."""
    database = sqlite_store(tmp_path)
    with serving(web_of(database, lambda: 1e9)) as running:
        page = _page(running).text.replace("&#34;", '"').replace("&#39;", "'")
        body = re.search(r"-d '(\{.*?\})'", page)
        assert body is not None
        headers = {"authorization": f"Bearer {HOOK_TOKEN}", "content-type": "application/json"}
        assert running.ask("POST", "/hooks/pipeline", body=body[1].encode(), headers=headers).status == 202
    database.close()
