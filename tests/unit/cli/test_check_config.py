"""`watcher check-config`: the summary, the mistakes, and `--live` against servers that answer and that do not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.fault_server import Answer, FaultServer, Request

from watcher.cli.main import cli

Check = Callable[..., Result]
SECRET = "hush-hush-hush"
METRICS = """# TYPE orders counter
orders_total{{shop="a"}} 5
orders_total{{shop="b"}} 7
# TYPE sessions counter
sessions_total 99
# TYPE queue gauge
queue 3
# EOF
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs `watcher check-config` on a text, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "watcher.yaml").write_text("")

    def run(text: str, *arguments: str) -> Result:
        (tmp_path / "watcher.yaml").write_text(text, "utf-8")
        return CliRunner().invoke(cli, ["check-config", *arguments, "watcher.yaml"], env={"SECRET": SECRET})

    return run


GOOD = """
server:
  tokens: [{name: ci, token: "${SECRET}", scopes: [deploy, approve]}]
hooks:
  ci: {kind: generic, token: "${SECRET}"}
sources:
  prom: {kind: prometheus, url: "http://prometheus:9090", bearer_token: "${SECRET}"}
notifiers:
  chat: {kind: slack, url: "https://hooks.example.com/${SECRET}"}
services:
  checkout:
    mode: act
    false_rollback_probability: 0.5%
    signals:
      errors: {source: prom, kind: ratio, harm: up, bad: errors_total, total: requests_total, control: west}
      west: {source: prom, kind: ratio, role: control, bad: errors_total, total: requests_total}
    rollback: {kind: webhook, url: "https://cd.example.com/${SECRET}"}
    notify: [chat]
  basket:
    window: 90m
    zone: Europe/Berlin
    warm_up: 5m
    step: 90s
    signals:
      level: {source: prom, kind: gauge, harm: either, gauge: queue}
"""


def test_what_a_good_one_means(check: Check) -> None:
    result = check(GOOD)
    assert result.exit_code == 0, result.output
    assert (
        result.stdout
        == """\
watcher.yaml: 2 services, 1 hook, no problem found
server   127.0.0.1:8080, reached by this machine only
store    sqlite
hooks    POST /hooks/ci (generic)

checkout
  deploys   service=checkout
  window    1h; a look every 1m
  mode      act; a harmless deploy is called regressed with a probability of at most 0.5 %
  signal    errors: ratio of prom (prometheus) every 1m, required, harm up from 3 %, compared with west
  signal    west: ratio of prom (prometheus) every 1m, a control
  rollback  webhook
  asks      beyond 1 rollback an hour
  told      chat (slack)

basket
  deploys   service=basket
  window    1h30m, not the first 5m; a look every 1m30s
  clocks    Europe/Berlin
  mode      observe; a harmless deploy is called regressed with a probability of at most 1 %
  signal    level: gauge of prom (prometheus) every 1m, required, harm either from 3 %
  rollback  none
  told      nobody
"""
    )
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("good: good_total", "harm down from 3 % (of what it leaves out, where that is less than half)\n"),
        ("good: good_total, min_effect: 3%", "harm down from 3 %\n"),
        ("bad: bad_total", "harm down from 3 %\n"),
    ],
)
def test_of_what_a_least_effect_is_that_nobody_has_set(check: Check, said: str, told: str) -> None:
    more = f"      good: {{source: prom, kind: ratio, harm: down, {said}, total: requests_total}}\n"
    result = check(GOOD + more)
    assert result.exit_code == 0, result.output
    assert told in result.stdout


def test_when_it_only_asks_and_who_is_called_outside(check: Check) -> None:
    more = """
heartbeat: {url: "https://pings.example/${SECRET}", interval: 90s}
defaults:
  rollbacks_per_hour: 2
  freeze: [{start: fri 17:00, end: mon 08:00, zone: Europe/Berlin}, {start: "18:00", end: "08:00"}]
"""
    result = check(GOOD + more)
    assert result.exit_code == 0, result.output
    assert "outside  a heartbeat every 1m30s\n" in result.stdout
    when = "beyond 2 rollbacks an hour; fri 17:00 to mon 08:00 (Europe/Berlin); 18:00 to 08:00 (UTC)"
    assert f"  asks      {when}\n" in result.stdout
    assert SECRET not in result.output


def test_every_mistake_at_once_and_status_1(check: Check) -> None:
    result = check(GOOD.replace("mode: act", "mode: auto").replace("notify: [chat]", "notify: [chad]"))
    assert result.exit_code == 1
    assert result.stdout == ""
    mode, notifier = result.stderr.splitlines()
    assert mode == 'watcher.yaml:12: services.checkout.mode: "auto" is not known (expected one of observe, ask, act)'
    wrong = 'there is no notifier "chad"; did you mean "chat"? (expected chat)'
    assert notifier == f"watcher.yaml:18: services.checkout.notify[0]: {wrong}"


def test_a_file_that_is_not_there() -> None:
    result = CliRunner().invoke(cli, ["check-config", "nowhere.yaml"])
    assert result.exit_code == 1
    assert result.stderr == "nowhere.yaml:1: there is no such file (expected a YAML file)\n"


def test_no_file_at_all_is_a_usage_error() -> None:
    assert CliRunner().invoke(cli, ["check-config"]).exit_code == 2


def test_warnings_are_told_and_do_not_fail(check: Check) -> None:
    result = check(GOOD.replace("  basket:\n", "  basket:\n    match: {service: checkout}\n"))
    assert result.exit_code == 0
    assert result.stderr == (
        "watcher.yaml:19: services.basket: matches the same deploys as checkout: "
        "each deploy is watched for both (a warning)\n"
    )


def live(server: FaultServer, signals: str) -> str:
    return f"""
sources:
  shop: {{kind: openmetrics, url: "{server.url}/metrics", interval: 15}}
  api: {{kind: http_json, url: "{server.url}/series?step={{step}}", headers: {{x-key: "${{SECRET}}"}}}}
  gone: {{kind: prometheus, url: "http://127.0.0.1:9"}}
services:
  checkout:
    signals:
      {signals}
"""


def answer(request: Request) -> Answer:
    if request.path == "/metrics":
        return Answer(200, {"content-type": "text/plain"}, METRICS.format().encode())
    now = time.time()
    step = float(request.query["step"][0])
    spacing = 2 * step if step == 60 else step
    return Answer.of([[now - (now % step) - place * spacing, 40 + place] for place in range(5)])


def test_live_tells_value_age_series_and_the_spacing_found(check: Check) -> None:
    with FaultServer() as server:
        server.answer = answer
        result = check(
            live(
                server,
                """queue: {source: shop, kind: gauge, harm: up, gauge: queue}
      orders: {source: shop, kind: count, harm: down, counter: orders_total}
      fine: {source: shop, kind: gauge, harm: up, gauge: queue, step: 5s}
      hits: {source: api, kind: gauge, harm: up, step: 30s}""",
            ),
            "--live",
        )
    assert result.exit_code == 0, result.output
    found = result.stdout.partition("told      nobody\n")[2].strip().splitlines()
    assert re.fullmatch(r"checkout\.queue \(shop\): 3, \ds old, 1 series, a point every 15s", found[0])
    assert re.fullmatch(r"checkout\.orders \(shop\): no value yet, \ds old, 2 series, a point every 15s", found[1])
    assert found[2].startswith("checkout.fine (shop): 3")
    assert found[3] == "  warning: the step of 5 s is finer than the scrape interval of 15 s"
    assert re.fullmatch(r"checkout\.hits \(api\): 40, \d+s old, 1 series, a point every 30s", found[4])
    assert SECRET not in result.output
    assert not list(Path().glob("*.db")), "a check leaves nothing behind"


def test_live_fails_on_what_does_not_answer_or_gives_nothing(check: Check) -> None:
    with FaultServer() as server:
        server.answer = answer
        result = check(
            live(
                server,
                """queue: {source: shop, kind: gauge, harm: up, gauge: queue}
      misnamed: {source: shop, kind: gauge, harm: up, gauge: que}
      down: {source: gone, kind: gauge, harm: up, query: up}""",
            ),
            "--live",
        )
    assert result.exit_code == 1
    found = result.stdout.partition("told      nobody\n")[2].strip().splitlines()
    assert re.fullmatch(r"checkout\.queue \(shop\): 3, \ds old, 1 series, a point every 15s", found[0])
    assert found[1:] == [
        "checkout.misnamed (shop): FAILED: the query gives no value",
        "  warning: no series matches que",
        "checkout.down (gone): FAILED: 127.0.0.1: connection refused",
    ]


def test_live_does_not_begin_on_a_bad_file(check: Check) -> None:
    with FaultServer() as server:
        result = check(live(server, "queue: {source: shop, kind: gaugee, harm: up, gauge: queue}"), "--live")
    assert result.exit_code == 1
    assert server.requests == []
