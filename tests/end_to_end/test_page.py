"""The page in a real browser: it keeps itself fresh, decides, draws, complains of nothing and asks nobody else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from structlog.testing import capture_logs
from support.programs import require
from support.seeded_store import HISTORY, Seeded, harmed, look, seeded_copy, series
from support.web_server import APPROVE, TOKENS, Running, serving_seeded, web_of

from watcher.model.decision import Outcome, Reason
from watcher.model.order import RollbackState
from watcher.store import looks, orders, watches
from watcher.web.server import create_app

pytestmark = pytest.mark.browser

SOON = 60_000  # milliseconds
expect.set_options(timeout=SOON)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    (chromium,) = require("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=SOON)
        yield started
        started.close()


@pytest.fixture
def seeded(tmp_path: Path) -> Iterator[Seeded]:
    store = seeded_copy(tmp_path)
    with capture_logs():
        yield store
    store.database.close()


@pytest.fixture
def daemon(seeded: Seeded) -> Iterator[Running]:
    with serving_seeded(seeded, now=time.time) as running:
        yield running


@dataclass(slots=True)
class Seen:
    """What a page did beside being shown."""

    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def tab(browser: Browser, running: Running, path: str = "/", **options: Any) -> Iterator[tuple[Page, Seen]]:
    """A page of the daemon; at the end it must have complained of nothing and asked nobody else."""
    options = {"viewport": {"width": 1200, "height": 900}, "locale": "en-GB", "timezone_id": "UTC"} | options
    context = browser.new_context(**options)
    page, seen = context.new_page(), Seen()
    page.on("console", lambda line: seen.complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.set_default_timeout(SOON)
    page.goto(running.url + path)
    try:
        yield page, seen
        assert seen.complaints == []
        assert [url for url in seen.asked if not url.startswith(running.url)] == []
    finally:
        context.close()


def _regress(seeded: Seeded) -> None:
    """A look at the watch that has been quiet until now finds harm."""
    now = time.time()
    watch = replace(
        seeded.watching,
        outcome=Outcome.REGRESSED,
        reason=Reason.LEVEL_SHIFT,
        sentence="p95 latency rose 42 % right after the deploy",
        last_look_at=now,
        decided_at=now,
    )
    signal = watch.policy.signals[0]
    with seeded.database.write() as tx:
        look(tx, watch, now, harmed(watch, now)[:1])
        measured, band = series(signal, watch, now, 0.24, 1.42, 5)
        looks.add_points(tx, watch.id, signal.name, measured, band)
        watches.change(tx, watch)
        watches.log(tx, watch.id, now, "regressed", watch.sentence)


def test_the_list_shows_a_new_deploy_and_a_new_verdict_by_itself(
    browser: Browser, daemon: Running, seeded: Seeded
) -> None:
    with tab(browser, daemon) as (page, _seen):
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        expect(page.locator(".row")).to_have_count(7)
        page.evaluate("window.untouched = true")
        daemon.post("/api/v1/deploys", {"service": "checkout", "environment": "production", "version": "v44"})
        expect(page.locator(".row").first).to_contain_text("v44")
        assert page.locator(".row").first.inner_text().startswith("◔ Watching")
        _regress(seeded)
        row = page.locator(".row", has_text="2026.11.21-1")
        expect(row).to_contain_text("Regressed")
        expect(row).to_contain_text("P95 latency rose 42")
        assert page.evaluate("window.untouched"), "it was loaded anew"


def test_a_watch_follows_its_looks_by_itself(browser: Browser, daemon: Running, seeded: Seeded) -> None:
    with tab(browser, daemon, f"/watches/{seeded.watching.id}") as (page, seen):
        expect(page.locator(".sentence")).to_contain_text("no harm in p95 latency so far")
        expect(page.locator("canvas")).to_have_count(1)
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        before = _drawn(page)
        page.evaluate("window.untouched = true")
        charts = sum("/chart" in url for url in seen.asked)
        _regress(seeded)
        expect(page.locator(".sentence")).to_contain_text("rose 42")
        expect(page).to_have_title(re.compile("^✕ search .*: regressed"))
        expect(page.locator(".verdict.bad")).to_be_visible()
        expect(page.locator("#timeline li").first).to_contain_text("Regressed")
        expect(page.locator("figure h3")).to_contain_text("Suspect")
        until = time.monotonic() + SOON / 1000
        while _drawn(page) == before:
            assert time.monotonic() < until, "nothing new is drawn"
            page.wait_for_timeout(100)
        assert sum("/chart" in url for url in seen.asked) > charts
        assert page.evaluate("window.untouched"), "it was loaded anew"


def _drawn(page: Page) -> str:
    return str(page.evaluate("document.querySelector('canvas').toDataURL()"))


def test_charts_show_what_was_measured(browser: Browser, daemon: Running, seeded: Seeded) -> None:
    with tab(browser, daemon, f"/watches/{seeded.regressed.id}") as (page, seen):
        expect(page.locator("figure canvas")).to_have_count(4)
        assert page.locator("figure h3").first.inner_text().startswith("conversion"), "harm comes first"
        plot = page.locator("[data-signal=conversion] .u-over")
        plot.scroll_into_view_if_needed()
        plot.hover()
        expect(page.locator("[data-signal=conversion] .readout")).to_have_text(
            re.compile(r"^\d\d:\d\d · [\d.]+ % · expected [\d.]+ %, range [\d.]+ % to [\d.]+ %$")
        )
        page.get_by_role("button", name="All", exact=True).click()
        expect(page.get_by_role("button", name="All", exact=True)).to_have_attribute("aria-pressed", "true")
        assert any(url.endswith("chart?since=0") for url in seen.asked)
        since = [float(url.partition("since=")[2]) for url in seen.asked if "/chart?" in url]
        assert since[0] > seeded.regressed.started_at - HISTORY


BROKEN = """async (t) => {
  const { broken } = await import("/static/charts.js");
  const value = t.map((at) => at);
  const signal = broken({ step: 60, t, value, expected: value, low: value, high: value });
  return ["t", "value", "expected", "low", "high"].map((name) => signal[name]);
}"""


def test_no_line_is_drawn_over_minutes_that_nobody_measured(browser: Browser, daemon: Running) -> None:
    with tab(browser, daemon, "/") as (page, _):
        at, *drawn = page.evaluate(BROKEN, [60, 120, 180, 600, 660, 720, 1200])
        assert at == [60, 120, 180, 240, 600, 660, 720, 780, 1200]
        assert drawn == [[60, 120, 180, None, 600, 660, 720, None, 1200]] * 4
        sparse = [120, 240, 420, 540, 660]  # as the signal always is
        assert page.evaluate(BROKEN, sparse) == [sparse] * 5
        assert page.evaluate(BROKEN, [60]) == [[60]] * 5


def test_approving_keeps_what_was_typed_and_reaches_the_store(
    browser: Browser, daemon: Running, seeded: Seeded
) -> None:
    with tab(browser, daemon) as (page, _seen):
        page.get_by_role("link", name="checkout v43 made things worse").click()
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        page.get_by_label("Reason, for the record").first.fill("seen in the shop as well")
        with seeded.database.write() as tx:  # something else happens while a person types
            watches.change(tx, replace(seeded.waiting, sentence="conversion fell 33 % by now"))
            waiting = orders.rollback_of(tx, seeded.waiting.id)
            assert waiting is not None
            orders.change(tx, replace(waiting, expires_at=seeded.now + 3600))  # the form itself looks different now
        expect(page.locator(".sentence")).to_contain_text("fell 33")
        expect(page.get_by_label("Reason, for the record").first).to_have_value("seen in the shop as well")
        page.get_by_role("button", name="Roll back to v42").click()
        expect(page.locator(".verdict")).to_contain_text("Rollback to v42 is approved")
        expect(page.get_by_role("button", name="Roll back to v42")).to_have_count(0)
        expect(page.locator("#timeline")).to_contain_text("approved by local user: seen in the shop as well")
    with seeded.database.read() as tx:
        order = orders.rollback_of(tx, seeded.waiting.id)
    assert order is not None
    assert order.state is RollbackState.APPROVED


def test_enter_in_the_reason_decides_nothing(browser: Browser, daemon: Running, seeded: Seeded) -> None:
    with tab(browser, daemon, f"/watches/{seeded.waiting.id}") as (page, _seen):
        page.get_by_label("Reason, for the record").first.fill("half a thou")
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        expect(page.get_by_role("button", name="Roll back to v42")).to_be_visible()


def test_signing_in_and_deciding_with_a_session(browser: Browser, seeded: Seeded) -> None:
    with (
        serving_seeded(seeded, now=time.time, tokens=TOKENS, loopback=False) as running,
        tab(browser, running, f"/watches/{seeded.waiting.id}") as (page, seen),
    ):
        page.get_by_label("Token").fill(APPROVE.secret.get_secret_value())
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".sentence")).to_be_visible()
        expect(page.locator(".top")).to_contain_text("mara")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        assert page.evaluate("document.cookie") == "", "no script can read the session"
        page.get_by_label("Reason, for the record").first.fill("a campaign ended")
        page.get_by_role("button", name="Keep v43, refuse").click()
        expect(page.locator("#timeline")).to_contain_text("refused by mara: a campaign ended")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        # The browser itself reports the two answers 401 that lead to the form.
        seen.complaints[:] = [line for line in seen.complaints if "401" not in line]


def test_it_says_when_the_daemon_is_away_and_comes_back(browser: Browser, daemon: Running, seeded: Seeded) -> None:
    with tab(browser, daemon, f"/watches/{seeded.watching.id}") as (page, seen):
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        port = daemon.server.port
        daemon.server.stop()
        expect(page.get_by_text("what you see may be old")).to_be_visible()
        expect(page.locator(".sentence")).to_contain_text("no harm in p95 latency so far")
        web = web_of(seeded.database, time.time, samples=seeded.samples)
        daemon.server.start(create_app(web), "127.0.0.1", port)
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        seen.complaints[:] = [line for line in seen.complaints if "net::ERR" not in line]


def test_without_a_stream_of_events_it_polls(browser: Browser, daemon: Running, seeded: Seeded) -> None:
    with tab(browser, daemon, "/openapi.json") as (page, seen):
        page.route("**/events*", lambda route: route.fulfill(status=503))
        page.goto(daemon.url)
        _regress(seeded)
        expect(page.locator(".row", has_text="2026.11.21-1")).to_contain_text("Regressed")
        seen.complaints[:] = [line for line in seen.complaints if "503" not in line]


def test_it_works_without_a_script(browser: Browser, daemon: Running, seeded: Seeded) -> None:
    with tab(browser, daemon, f"/watches/{seeded.waiting.id}", java_script_enabled=False) as (page, _seen):
        assert "The charts need JavaScript" in page.content()
        page.get_by_label("Reason, for the record").first.fill("no script here")
        page.get_by_role("button", name="Roll back to v42").click()
        # Not the content at once: between two pages there is none.
        expect(page.locator("body")).to_contain_text("Rollback to v42 is approved")


PATHS = ("/", "/watches/w-0043", "/watches/w-0041", "/watches/w-0020", "/?service=nobody", "/watches/w-0044")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_by_day_and_by_night(browser: Browser, daemon: Running, scheme: str) -> None:
    options: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    with tab(browser, daemon, **options) as (page, _seen):
        for path in PATHS:
            page.goto(daemon.url + path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
            pale = page.evaluate(PALE)
            assert pale == [], f"{path}: too little contrast"
            nameless = page.evaluate(NAMELESS)
            assert nameless == [], f"{path}: a control without a name"


# Every element with words of its own: their colour on the nearest ground, by the formula of WCAG 2.2 (1.4.3).
PALE = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const words = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")].filter((element) => words(element) && element.checkVisibility())
    .map((element) => {
      const pair = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
      return [element.className || element.tagName, element.textContent.trim().slice(0, 40),
              (pair[0] + 0.05) / (pair[1] + 0.05)];
    })
    .filter(([, , ratio]) => ratio < 4.5);
}"""
NAMELESS = """() => [...document.querySelectorAll("button, select, textarea, input:not([type=hidden]), a")]
  .filter((control) => !(control.innerText.trim() || control.labels?.length || control.getAttribute("aria-label")))
  .filter((control) => control.checkVisibility())
  .map((control) => control.outerHTML)"""
