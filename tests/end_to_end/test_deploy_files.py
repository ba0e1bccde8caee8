"""The files under deploy/ work with the real programs: promtool, a real Prometheus, systemd-analyze."""

from __future__ import annotations

import json
import math
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.programs import require
from support.prometheus_server import PrometheusServer

import watcher
from watcher.model.decision import Outcome, Reason
from watcher.model.order import RollbackState
from watcher.model.watch import WatchState
from watcher.telemetry.metrics import Metrics, Rehearsed, RehearsedSignal

ROOT = Path(watcher.__file__).parents[1]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "deploy-watch.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {
    f"{panel['title']}: {target['legendFormat']}": target["expr"] for panel in PANELS for target in panel["targets"]
} | {f"annotation {item['name']}": item["expr"] for item in DASHBOARD["annotations"]["list"]}
GRAFANA = {"$__rate_interval": "4s", "$__range": "1m0s", "$service": ".*"}

# One value of each label, as the daemon sets them; a name that is not here is not a label of ours.
LABELS = {
    "hook": "ci",
    "outcome": "healthy",
    "service": "checkout",
    "source": "prom",
    "fault": "timeout",
    "signal": "p95",
    "reason": "no_harm",
    "state": "failed",
    "hold": "frozen",
    "loop": "look-0",
    "notifier": "oncall",
    "route": "/healthz",
    "method": "GET",
    "status": "200",
}


def touched() -> Metrics:
    """The daemon's metrics, each with at least one series, and every outcome and state that a query asks for."""
    metrics = Metrics("1.2.3")
    for metric in vars(metrics).values():
        names = getattr(metric, "_labelnames", None)
        if names is None:
            continue
        child = metric.labels(*(LABELS[name] for name in names)) if names else metric
        for change in ("inc", "observe"):
            if hasattr(child, change):
                getattr(child, change)(1)
                break
    for outcome in Outcome:
        metrics.decisions.labels("checkout", outcome.value, Reason.NO_HARM.value).inc()
    signals = {
        "p95": RehearsedSignal(0.1, 600.0, 0.0, 0.05),
        "orders": RehearsedSignal(math.inf, None, None, None),
    }
    metrics.watch_store(
        lambda: {state.value: 1 for state in WatchState},
        lambda: {("rollback", state.value): 1 for state in RollbackState},
        lambda: {"checkout": Rehearsed(1_800_000_000.0, 0.02, 0.001, 0.01, 0.05, True, 0.002, signals)},
    )
    return metrics


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A real Prometheus that has scraped the daemon's own metrics a few times."""
    require("prometheus", "promtool")
    metrics = touched()

    class Exposition(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = metrics.exposition(self.headers.get("accept", ""))
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Exposition)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        directory = tmp_path_factory.mktemp("prometheus")
        with PrometheusServer(directory, [f"127.0.0.1:{server.server_port}"], "500ms") as prometheus:
            deadline = time.monotonic() + 120
            while not prometheus.query("count_over_time(watcher_build_info[1m]) > 5"):
                assert time.monotonic() < deadline, "Prometheus did not scrape"
                time.sleep(0.1)
            yield prometheus
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


@pytest.mark.prometheus
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_of_the_dashboard_finds_the_daemons_metrics(scraped: PrometheusServer, query: str) -> None:
    for name, value in GRAFANA.items():
        query = query.replace(name, value)
    assert "$" not in query
    assert scraped.query(query), "the query is valid, but found nothing"


@pytest.mark.parametrize("where", ["dashboard", "alerts"])
def test_names_labels_and_values_are_those_of_the_daemon(where: str) -> None:
    text = "\n".join(QUERIES.values()) if where == "dashboard" else ALERTS.read_text()
    samples: dict[str, set[str]] = {}
    for family in touched().registry.collect():
        samples.setdefault(family.name, set())  # prose may speak of a histogram as a whole
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    used = re.findall(r"\b(watcher_\w+|process_\w+)(?:\{([^}]*)\})?", text)
    assert len(used) > 20
    for name, matchers in used:
        assert name in samples, name
        labels = dict(re.findall(r'(\w+)[!=]~?"([^"]*)"', matchers))
        assert set(labels) <= samples[name], f"{name}{{{matchers}}}"
        known = _known_values(name)
        for value in labels.get("state", "").split("|") + labels.get("outcome", "").split("|"):
            assert not value or value in known, f"{name}{{{matchers}}}"


def test_all_that_a_rehearsal_measures_and_every_warning_of_a_clock_is_on_the_dashboard() -> None:
    text = "\n".join(QUERIES.values())
    names = {sample.name for family in touched().registry.collect() for sample in family.samples}
    shown = {name for name in names if name.startswith("watcher_rehearsal_") or name.endswith("_clock_ahead_total")}
    assert len(shown) > 10
    assert {name for name in shown if not re.search(rf"{name}\b", text)} == set()


def test_no_panel_of_the_dashboard_hides_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (column, row)
        for place in places
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


def _known_values(name: str) -> set[str]:
    if name == "watcher_decisions_total":
        return {outcome.value for outcome in Outcome}
    if name == "watcher_watches":
        return {state.value for state in WatchState}
    if name == "watcher_notifications_total":
        return {"sent", "failed"}
    if name == "watcher_deploys_received_total":
        return {"accepted", "repeated", "ignored", "unwatched", "unauthenticated", "malformed", "unavailable"}
    return {state.value for state in RollbackState} | {"pending", "sent", "renewing"}


def test_the_dashboard_is_one_that_grafana_can_load() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(DASHBOARD))) == variables


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "deploy/prometheus/alerts.yaml"),
        ("check", "config", "deploy/prometheus/prometheus.yml"),
        ("test", "rules", "tests/unit/deploy/alerts.test.yaml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_alerts(arguments: tuple[str, ...]) -> None:
    (promtool,) = require("promtool")
    run = subprocess.run([promtool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.prometheus
def test_every_alert_is_tried_out() -> None:
    alerts = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    tried = (ROOT / "tests" / "unit" / "deploy" / "alerts.test.yaml").read_text()
    assert {alert for alert in alerts if alert not in tried} == set()


def test_systemd_accepts_the_unit_and_calls_it_safe(tmp_path: Path) -> None:
    (analyze,) = require("systemd-analyze")
    text = (DEPLOY / "systemd" / "deploy-watch.service").read_text()
    assert text.count("/opt/deploy-watch/bin/watcher") == 3
    unit = tmp_path / "deploy-watch.service"
    unit.write_text(text.replace("/opt/deploy-watch/bin/watcher", "/bin/true"))  # it must exist to be verified
    verified = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert unit.name not in verified.stderr
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True, check=False
    )
    exposure = re.search(r"exposure level for deploy-watch.service: ([\d.]+)", rated.stdout)
    assert exposure, rated.stderr
    assert float(exposure[1]) < 2.0
