"""What a right configuration means: defaults, inheritance, what is derived from what, and that nothing secret shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from watcher import settings
from watcher.errors import ConfigError
from watcher.model.service import Harm, Kind, Mode, Role, Service, Signal
from watcher.settings import Settings

README_EXAMPLE = """
hooks:
  acme-github: {kind: github, secret: "${GITHUB_WEBHOOK_SECRET}"}
sources:
  prom: {kind: prometheus, url: "http://prometheus:9090"}
ticket_systems:
  helpdesk: {kind: zendesk, url: "https://acme.zendesk.com", user: bot@acme.example, token: "${ZENDESK_TOKEN}"}
notifiers:
  oncall: {kind: slack, url: "${SLACK_URL}"}
services:
  checkout:
    match: {repository: acme/checkout, environment: production}
    mode: act
    signals:
      conversion: {source: prom, kind: ratio, harm: down, min_effect: 3%, good: orders_total, total: sessions_total}
      p95:        {source: prom, kind: latency, harm: up, min_effect: 20%, query: "histogram_quantile(0.95, latency)"}
      tickets:    {tickets: helpdesk, harm: up, query: {tags: [checkout]}}
    rollback: {kind: webhook, url: "https://cd.acme.example/rollback", secret: "${ROLLBACK_SECRET}"}
    notify: [oncall]
"""
ENVIRON = {
    "GITHUB_WEBHOOK_SECRET": "hush-github-hush",
    "ZENDESK_TOKEN": "hush-zendesk-hush",
    "SLACK_URL": "https://hooks.slack.example/hush-slack-hush",
    "ROLLBACK_SECRET": "hush-rollback-hush",
}
SMALL = """
sources:
  prom: {kind: prometheus, url: "http://prometheus:9090"}
services:
  checkout:
    signals:
      errors: {source: prom, kind: gauge, harm: up, query: errors}
"""


def load(folder: Path, text: str) -> Settings:
    file = folder / "watcher.yaml"
    file.write_text(text, "utf-8")
    return settings.load(str(file), ENVIRON)


def service(folder: Path, lines: str = "", signals: str = "", top: str = "") -> Service:
    """One service `s` with a metric signal, more lines and more signals."""
    text = f"""
sources:
  prom: {{kind: prometheus, url: "http://prometheus:9090"}}
ticket_systems:
  desk: {{kind: zendesk, url: "https://acme.zendesk.com", user: bot@acme.example, token: "${{ZENDESK_TOKEN}}"}}
notifiers:
  a: {{kind: log}}
  b: {{kind: log}}
{top}
services:
  s:
    {lines}
    signals:
      m: {{source: prom, kind: gauge, harm: up, query: up}}
      {signals}
"""
    return load(folder, text).services["s"]


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    found = load(tmp_path, README_EXAMPLE)
    checkout = found.services["checkout"]
    assert checkout == Service(
        name="checkout",
        match={"repository": "acme/checkout", "environment": "production"},
        mode=Mode.ACT,
        window=3600.0,
        ticket_window=4 * 3600.0,
        step=60.0,
        history=14 * 86400.0,
        false_rollback_probability=0.01,
        rollback="checkout",
        recovery_window=1800.0,
        approval_timeout=1800.0,
        notify=("oncall",),
        signals=(
            Signal(
                name="conversion",
                kind=Kind.RATIO,
                harm=Harm.DOWN,
                source="prom",
                step=60.0,
                min_effect=0.03,
                query={"good": "orders_total", "total": "sessions_total"},
            ),
            Signal(
                name="p95",
                kind=Kind.LATENCY,
                harm=Harm.UP,
                source="prom",
                step=60.0,
                min_effect=0.2,
                query={"query": "histogram_quantile(0.95, latency)"},
            ),
            Signal(
                name="tickets",
                kind=Kind.COUNT,
                harm=Harm.UP,
                source="helpdesk",
                step=300.0,
                is_tickets=True,
                role=Role.SUPPORTING,
                min_effect=0.03,
                default_effect=True,
                query={"tags": ["checkout"]},
            ),
        ),
    )
    assert {name: adapter.kind for name, adapter in found.hooks.items()} == {"acme-github": "github"}
    assert found.rollbacks["checkout"].kind == "webhook"
    assert found.hooks["acme-github"].options.secret[0].get_secret_value() == "hush-github-hush"
    assert (found.server.host, found.server.port, found.server.loopback) == ("127.0.0.1", 8080, True)
    assert found.server.external_url == "http://127.0.0.1:8080"
    assert found.store_url.get_secret_value() == "sqlite:///watcher.db"
    assert not found.warnings


def test_no_repr_shows_what_came_from_outside(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        README_EXAMPLE.replace("http://prometheus:9090", "http://${ZENDESK_TOKEN}:9090").replace(
            'query: "histogram', 'query: "${ROLLBACK_SECRET} + histogram'
        ),
    )
    shown = repr(found) + repr(found.hooks) + repr(found.sources) + repr(found.rollbacks) + repr(found.server)
    assert "hush" not in shown
    assert "checkout" in shown


def test_what_a_service_does_not_say_comes_from_the_defaults(tmp_path: Path) -> None:
    top = "defaults: {mode: ask, window: 30m, step: 2m, history: 7d, false_rollback_probability: 0.5%, notify: [a], recovery_window: 20m, approval_timeout: 1h, ticket_window: 2h}"  # noqa: E501
    rollback = "rollback: {kind: command, argv: [/bin/true]}"
    found = service(tmp_path, rollback, top=top)
    assert (found.mode, found.window, found.step, found.history) == (Mode.ASK, 1800.0, 120.0, 7 * 86400.0)
    assert (found.false_rollback_probability, found.notify) == (0.005, ("a",))
    assert (found.recovery_window, found.approval_timeout, found.ticket_window) == (1200.0, 3600.0, 7200.0)
    own = service(
        tmp_path, "{mode: observe, window: 10m, notify: [b], step: null}".strip("{}").replace(", ", "\n    "), top=top
    )
    assert (own.mode, own.window, own.notify, own.step) == (Mode.OBSERVE, 600.0, ("b",), 120.0)
    assert service(tmp_path, "mode: observe\n    notify: []", top=top).notify == ()


@pytest.mark.parametrize(
    ("lines", "signals", "step", "ticket_window"),
    [
        ("", "", 60.0, 3600.0),
        ("", "t: {tickets: desk, harm: up}", 60.0, 4 * 3600.0),
        ("window: 6h", "t: {tickets: desk, harm: up}", 60.0, 6 * 3600.0),
        ("window: 2h", "", 60.0, 2 * 3600.0),
        ("", "n: {source: prom, kind: gauge, harm: up, query: up, step: 15s}", 15.0, 3600.0),
        ("step: 5m", "n: {source: prom, kind: gauge, harm: up, query: up, step: 15s}", 300.0, 3600.0),
        ("window: 60", "", 60.0, 60.0),
    ],
)
def test_derived_times(tmp_path: Path, lines: str, signals: str, step: float, ticket_window: float) -> None:
    found = service(tmp_path, lines, signals)
    assert (found.step, found.ticket_window) == (step, ticket_window)


def test_the_shortest_windows_and_steps(tmp_path: Path) -> None:
    text = SMALL.replace("    signals:", "    window: 30s\n    signals:").replace(
        "query: errors", "query: errors, step: 1s"
    )
    found = load(tmp_path, text).services["checkout"]
    assert (found.window, found.step) == (30.0, 1.0)


def test_of_a_ratio_less_must_be_seen_than_nobody_has_set_to_be_harm(tmp_path: Path) -> None:
    line = "good: {source: prom, kind: ratio, harm: down, good: a_total, total: b_total, must_see: 0.5%"
    assert service(tmp_path, "", line + "}").signal("good").must_see == 0.005
    level = "good: {source: prom, kind: gauge, harm: down, query: up, must_see: 0.5%}"
    for refused in (line + ", min_effect: 3%}", level):
        with pytest.raises(ConfigError, match="smaller than min_effect"):
            service(tmp_path, "", refused)


def test_a_signals_own_defaults(tmp_path: Path) -> None:
    found = service(
        tmp_path,
        "",
        """
      c: {source: prom, kind: gauge, role: control, query: up}
      x: {source: prom, kind: gauge, harm: either, query: up, control: c, min_effect: 50%, settle: 90, role: supporting}
      t: {tickets: desk, harm: up, role: required, kind: count, step: 10m, must_see: 100%}
""",
    )
    control, other, tickets = found.signal("c"), found.signal("x"), found.signal("t")
    assert (tickets.min_effect, tickets.default_effect, other.default_effect) == (0.03, True, False)
    assert (control.role, control.harm) == (Role.CONTROL, Harm.EITHER)
    assert (other.control, other.min_effect, other.must_see, other.settle, other.role) == (
        "c",
        0.5,
        0.75,
        90.0,
        Role.SUPPORTING,
    )
    assert (tickets.role, tickets.kind, tickets.step, tickets.must_see) == (Role.REQUIRED, Kind.COUNT, 600.0, 1.0)
    assert (found.signal("m").min_effect, found.signal("m").must_see) == (0.03, 0.3)


@pytest.mark.parametrize(("harm", "must_see"), [("down", 1.0), ("up", 1.2), ("either", 1.2)])
def test_a_fall_that_must_be_seen_is_at_most_one_of_everything(tmp_path: Path, harm: str, must_see: float) -> None:
    """Beyond that a deploy would be healthy of which not even a total loss would have shown."""
    text = SMALL.replace("harm: up", f"harm: {harm}, min_effect: 80%")
    assert text != SMALL
    (signal,) = load(tmp_path, text).services["checkout"].signals
    assert signal.must_see == pytest.approx(must_see)


def test_a_service_without_match_is_found_by_its_name(tmp_path: Path) -> None:
    assert load(tmp_path, SMALL).services["checkout"].match == {"service": "checkout"}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("{}", "sqlite:///watcher.db"),
        ("{path: data/watcher.db}", "sqlite:///data/watcher.db"),
        ("{path: /var/lib/watcher.db}", "sqlite:////var/lib/watcher.db"),
        ('{url: "sqlite:///x.db"}', "sqlite:///x.db"),
        ('{url: "postgresql://u:${ZENDESK_TOKEN}@db/w"}', "postgresql+psycopg://u:hush-zendesk-hush@db/w"),
        ('{url: "postgres://u@db/w"}', "postgresql+psycopg://u@db/w"),
        ('{url: "postgresql+psycopg://u@db/w"}', "postgresql+psycopg://u@db/w"),
        ('{url: "postgresql:///w?host=/run/postgresql"}', "postgresql+psycopg:///w?host=/run/postgresql"),
        ('{url: "postgresql://u:a/b#c?d%40e@[::1]:5432/w"}', "postgresql+psycopg://u:a/b#c?d%40e@[::1]:5432/w"),
    ],
)
def test_store(tmp_path: Path, text: str, url: str) -> None:
    assert load(tmp_path, f"store: {text}\n{SMALL}").store_url.get_secret_value() == url
    make_url(url)


@pytest.mark.parametrize("rest", ["u:hush@hush@db/w", "u:x@:hush@db:5432/w", "u@db:hush/w", "u@db:70000/w", "u@db:0/w"])
def test_a_database_that_cannot_be_parsed_is_refused_before_anything_repeats_its_password(
    tmp_path: Path, rest: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f'store: {{url: "postgresql://{rest}"}}\n{SMALL}')
    (problem,) = raised.value.problems
    assert (problem.path, problem.message[:35]) == ("store.url", "not a database that can be used (ex")
    assert "hush" not in str(raised.value)


def test_a_store_that_no_file_can_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a file name"):
        load(tmp_path, f'store: {{path: "a\\0b"}}\n{SMALL}')


@pytest.mark.parametrize("text", ['path: ":memory:"', 'url: "sqlite:///"', 'url: "sqlite:///:memory:"'])
def test_a_store_that_a_restart_would_lose_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="kept in memory"):
        load(tmp_path, f"store: {{{text}}}\n{SMALL}")


@pytest.mark.parametrize(
    ("listen", "host", "port", "loopback"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0, True),
        ("127.8.8.8:80", "127.8.8.8", 80, True),
        ("localhost:65535", "localhost", 65535, True),
        ("[::1]:8080", "::1", 8080, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),
        ("[::]:8080", "::", 8080, False),
        ("watcher.internal:8080", "watcher.internal", 8080, False),
    ],
)
def test_where_it_listens(tmp_path: Path, listen: str, host: str, port: int, loopback: bool) -> None:
    inside = f"""
server:
  listen: "{listen}"
  external_url: http://localhost:8080
  tokens: [{{name: page, token: "${{ZENDESK_TOKEN}}", scopes: [read]}}]
{SMALL}"""
    assert load(tmp_path, inside).server.loopback == loopback
    text = f"""
server:
  listen: "{listen}"
  external_url: https://watcher.example.com/deploys/
  tokens: [{{name: page, token: "${{ZENDESK_TOKEN}}", scopes: [read, approve, read]}}]
{SMALL}"""
    server = load(tmp_path, text).server
    assert (server.host, server.port, server.loopback) == (host, port, False), "a proxy must be in front of it"
    assert server.external_url == "https://watcher.example.com/deploys"
    (token,) = server.tokens
    assert token.name == "page"
    assert set(token.scopes) == {"read", "approve"}
    assert token.token.get_secret_value() == "hush-zendesk-hush"


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ("external_url: https://watcher.example.com", True),
        ("external_url: https://watcher.example.com, proxy: {addresses: [127.0.0.1]}", True),
        ("external_url: https://watcher.example.com, proxy: {addresses: [127.0.0.1], user_header: X-User}", False),
        ("external_url: https://w.example.com, tokens: [{name: page, token: of-its-own, scopes: [read]}]", False),
        ("external_url: http://localhost:8080", False),
        ("external_url: 'http://[::1]:8080'", False),
        ("listen: '127.0.0.1:8080'", False),
    ],
)
def test_behind_a_proxy_of_this_machine_somebody_must_say_who_asks(tmp_path: Path, more: str, refused: bool) -> None:
    text = f"server: {{{more}}}\n{SMALL}"
    if not refused:
        assert load(tmp_path, text)
        return
    with pytest.raises(ConfigError, match=r"server\.tokens: .*scope read, server\.proxy with a user_header"):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "listen", ["8080", ":8080", "::1:8080", "host", "host:", "host:99999", "a b:80", "http://h:80", "[::x]:80"]
)
def test_no_address(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.listen: .*expected"):
        load(tmp_path, f'server: {{listen: "{listen}"}}\n{SMALL}')


def test_warnings_do_not_stop_it(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
server: {listen: "0.0.0.0:8080", tokens: [{name: page, token: a-token-of-its-own, scopes: [read]}]}
sources:
  prom: {kind: prometheus, url: "http://prometheus:9090"}
services:
  a: &a
    match: {service: shop}
    signals: {m: {source: prom, kind: gauge, harm: up, query: up}}
  b: *a
""",
    )
    assert [(warning.line, warning.path) for warning in found.warnings] == [(2, "server.listen"), (9, "services.b")]
    assert set(found.services) == {"a", "b"}


def test_who_may_approve_when_nobody_can(tmp_path: Path) -> None:
    text = """
server:
  listen: "0.0.0.0:8080"
  external_url: https://watcher.example.com
  tokens: [{name: page, token: a-token-of-its-own, scopes: [read]}]
notifiers: {log: {kind: log}}
defaults: {mode: ask, notify: [log]}
""" + SMALL.replace("    signals:", "    rollback: {kind: command, argv: [/bin/true]}\n    signals:")
    assert ["nobody can approve" in warning.message for warning in load(tmp_path, text).warnings] == [True]
    assert not load(tmp_path, text.replace("[read]", "[read, approve]")).warnings
    local = text.replace("0.0.0.0", "127.0.0.1")
    assert ["nobody can approve" in warning.message for warning in load(tmp_path, local).warnings] == [True]
    own = local.replace("https://watcher.example.com", "http://localhost:8080")
    assert ["nobody can approve" in warning.message for warning in load(tmp_path, own).warnings] == [True]
    assert not load(tmp_path, own.replace("[read]", "[read, approve]")).warnings
    assert not load(tmp_path, re.sub("  tokens: .*", "", own)).warnings  # whoever is on this machine may
    acts = own.replace("mode: ask", "mode: act")  # which asks beyond a budget
    assert ["nobody can approve" in warning.message for warning in load(tmp_path, acts).warnings] == [True]
    assert not load(tmp_path, own.replace("mode: ask", "mode: observe")).warnings


@pytest.mark.parametrize(("mode", "warned"), [("observe", False), ("ask", True), ("act", True)])
def test_rollbacks_of_which_nobody_is_told_are_warned_of(tmp_path: Path, mode: str, warned: bool) -> None:
    rollback = "    rollback: {kind: command, argv: [/bin/true]}\n    signals:"
    text = f"notifiers: {{log: {{kind: log}}}}\ndefaults: {{mode: {mode}}}\n" + SMALL.replace("    signals:", rollback)
    found = load(tmp_path, text).warnings
    assert [(each.path, "nobody is told" in each.message) for each in found] == [("services.checkout", True)] * warned
    assert not load(tmp_path, text.replace("mode:", "notify: [log], mode:")).warnings


def test_settings_are_frozen(tmp_path: Path) -> None:
    found: Any = load(tmp_path, SMALL)
    with pytest.raises(AttributeError):
        found.file = "other"
    with pytest.raises(TypeError):
        found.services["other"] = None


def test_freezes_go_by_the_clocks_of_the_service_unless_they_say_their_own(tmp_path: Path) -> None:
    freezes = """
    freeze: [{start: fri 17:00, end: mon 08:00}, {start: "18:00", end: "08:00", zone: America/New_York}]
"""
    defaults = "defaults: {zone: Europe/Berlin}"
    own = service(tmp_path, freezes, top=defaults)
    assert own.zone == "Europe/Berlin"
    assert [freeze.zone for freeze in own.freeze] == ["Europe/Berlin", "America/New_York"]
    assert service(tmp_path, "\n    zone: Asia/Tokyo" + freezes, top=defaults).freeze[0].zone == "Asia/Tokyo"
    assert [freeze.zone for freeze in service(tmp_path, freezes).freeze] == ["UTC", "America/New_York"]
    assert service(tmp_path).zone is None
