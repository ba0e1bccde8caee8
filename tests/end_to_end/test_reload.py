"""SIGHUP on the true daemon: the new configuration whole or not at all, and no running watch lost."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.fault_server import Answer, FaultServer, Request
from support.made_rehearsal import rehearsal
from support.stopwatch import Stopwatch

from watcher.store import rehearsals
from watcher.store.database import Database

CONFIG = """
server: {listen: "${LISTEN}"}
store: {path: "${STORE}"}
hooks:
  ci: {kind: generic, token: first-token-of-the-hook}
sources:
  shop: {kind: openmetrics, url: "RECEIVER/shop", interval: 1s, timeout: 2m}
notifiers:
  chat: {kind: slack, url: "RECEIVER/old-chat", min_severity: info}
defaults: {window: 10m, step: 1s, history: 1h, notify: [chat]}
services:
  checkout:
    mode: observe
    signals:
      orders: {source: shop, kind: count, harm: down, step: 1s, counter: orders_total}
"""
CHANGED = """
server: {listen: "${LISTEN}"}
store: {path: "${STORE}"}
hooks:
  pipeline: {kind: generic, token: second-token-of-the-hook}
sources:
  site: {kind: openmetrics, url: "RECEIVER/site", interval: 1s}
services:
  search:
    mode: observe
    window: 20m
    signals:
      found: {source: site, kind: count, harm: down, step: 1s, counter: orders_total}
"""


@pytest.fixture
def receiver() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.answer = lambda _request: Answer(200, {"content-type": "text/plain"}, b"orders_total 5\n")
        yield server


@pytest.fixture
def daemon(tmp_path: Path, receiver: FaultServer) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG.replace("RECEIVER", receiver.url)) as running:
        yield running


def announce(daemon: Daemon, service: str, hook: str, token: str) -> tuple[int, Any]:
    body = {"service": service, "environment": "production", "version": "v2", "previous_version": "v1"}
    return daemon.post(f"/hooks/{hook}", body, token=token)


def scrapes(receiver: FaultServer, path: str) -> list[Request]:
    return [request for request in receiver.requests if request.path == path]


def metric(daemon: Daemon, name: str) -> float:
    found = re.search(rf"^watcher_{name} (\S+)$", daemon.text("/metrics"), re.MULTILINE)
    assert found, name
    return float(found[1])


def rehearsed(daemon: Daemon) -> set[str]:
    shown = daemon.text("/metrics")
    return set(re.findall(r'^watcher_rehearsal_timestamp_seconds\{service="(\w+)"\}', shown, re.MULTILINE))


def test_a_new_configuration_is_taken_over_and_a_running_watch_keeps_its_own(
    daemon: Daemon, receiver: FaultServer
) -> None:
    status, answer = announce(daemon, "checkout", "ci", "first-token-of-the-hook")
    assert status == 202
    (watch_id,) = answer["watch_ids"]
    path = f"/api/v1/watches/{watch_id}"
    daemon.wait_for(lambda: daemon.get(path)["last_look_at"])
    before = daemon.get(path)
    read_at = metric(daemon, "config_last_reload_success_timestamp_seconds")

    with closing(Database(f"sqlite:///{daemon.store}")) as store, store.write() as tx:
        for name in ("checkout", "search"):
            rehearsals.add(tx, rehearsal(service=name))
    assert rehearsed(daemon) == {"checkout"}
    said = daemon.reload(CHANGED.replace("RECEIVER", receiver.url), "config_reloaded")
    assert (said["added"], said["removed"], said["changed"]) == (["search"], ["checkout"], [])
    assert rehearsed(daemon) == {"search"}, "else the alert that a rehearsal is too old would never end"
    assert metric(daemon, "config_last_reload_successful") == 1
    assert metric(daemon, "config_last_reload_success_timestamp_seconds") > read_at

    # What is new works, what is gone is gone.
    status, answer = announce(daemon, "search", "pipeline", "second-token-of-the-hook")
    assert status == 202
    searching = daemon.get(f"/api/v1/watches/{answer['watch_ids'][0]}")
    assert searching["until"] - searching["finished_at"] == 1200
    assert announce(daemon, "checkout", "ci", "first-token-of-the-hook")[0] == 404
    assert announce(daemon, "checkout", "pipeline", "second-token-of-the-hook")[0] == 422

    # The running watch goes on with its window, its signals and a source that the file no longer names.
    reloaded_at = time.time()
    daemon.wait_for(lambda: daemon.get(path)["last_look_at"] > reloaded_at)
    later = daemon.get(path)
    assert later["until"] == before["until"]
    assert later["state"] == "watching"
    (orders,) = later["signals"]
    assert orders["name"] == "orders"
    assert orders["failure"] is None
    scraped = len(scrapes(receiver, "/shop"))
    daemon.wait_for(lambda: len(scrapes(receiver, "/shop")) > scraped)
    assert daemon.status("/healthz") == 200
    # And back again: now it is the watch of the other that holds on to its source.
    daemon.reload(CONFIG.replace("RECEIVER", receiver.url), "config_reloaded")
    assert announce(daemon, "checkout", "ci", "first-token-of-the-hook")[0] == 200  # a repeat
    scraped = len(scrapes(receiver, "/site"))
    daemon.wait_for(lambda: len(scrapes(receiver, "/site")) > scraped)
    assert daemon.stop() == 0


def test_what_is_wrong_or_cannot_be_changed_leaves_everything_as_it_was(daemon: Daemon, receiver: FaultServer) -> None:
    config = CONFIG.replace("RECEIVER", receiver.url)
    wrong = config.replace("mode: observe", "mode: obsrve").replace("first-token", "third-secret")
    said = daemon.reload(wrong, "config_reload_failed")
    (problem,) = said["problems"]
    assert re.search(r"watcher\.yaml:13: services\.checkout\.mode: .*did you mean \"observe\"", problem), problem
    assert metric(daemon, "config_last_reload_successful") == 0
    assert announce(daemon, "checkout", "ci", "first-token-of-the-hook")[0] == 202

    moved = config.replace("${LISTEN}", "127.0.0.1:1").replace("${STORE}", "elsewhere.db")
    said = daemon.reload(moved, "config_reload_failed")
    (listen, store) = said["problems"]
    assert "server.listen: was changed, which takes a restart" in listen
    assert "store: was changed, which takes a restart" in store
    said = daemon.reload("services: [", "config_reload_failed")
    assert metric(daemon, "config_last_reload_successful") == 0
    assert announce(daemon, "search", "ci", "first-token-of-the-hook")[0] == 422

    daemon.reload(config, "config_reloaded")
    assert metric(daemon, "config_last_reload_successful") == 1
    log = daemon.log.read_text()
    assert "third-secret" not in log
    assert "token-of-the-hook" not in log
    assert daemon.stop() == 0


def test_a_daemon_under_nohup_reads_its_file_anew(tmp_path: Path, receiver: FaultServer) -> None:
    config = CONFIG.replace("RECEIVER", receiver.url)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it to its child
    try:
        daemon = Daemon(tmp_path, config)
        with daemon:
            said = daemon.reload(config.replace("window: 10m", "window: 20m"))
            assert said["changed"] == ["checkout"]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_rollback_command_under_way_is_finished_once_and_a_source_that_hangs_delays_nothing(
    daemon: Daemon, receiver: FaultServer, tmp_path: Path
) -> None:
    trace = tmp_path / "runs"
    script = f"echo run {{dry_run}} >> {trace}; sleep 4; echo done"
    command = f"\n    rollback: {{kind: command, argv: [sh, -c, '{script}', '{{dry_run}}']}}\n"
    config = CONFIG.replace("RECEIVER", receiver.url) + command
    daemon.reload(config, "config_reloaded")
    named = {"environment": "production", "bad_version": "v2", "target_version": "v1"}
    status, drill = daemon.post("/api/v1/services/checkout/drills", named)
    assert status == 202
    daemon.wait_for(trace.exists)
    daemon.reload(config, "config_reloaded")
    settled = f"/api/v1/drills/{drill['id']}"
    daemon.wait_for(lambda: daemon.get(settled)["next_at"] is None)
    found = daemon.get(settled)
    assert (found["state"], found["detail"], found["attempts"]) == ("accepted", "done", 1)
    assert trace.read_text().splitlines() == ["run 1"]

    receiver.answer = lambda _request: Answer(200, delay=600)
    time.sleep(1.2)  # a scrape is under way
    began = time.monotonic()
    daemon.reload(CHANGED.replace("RECEIVER", receiver.url), "config_reloaded")
    assert time.monotonic() - began < 60
    assert announce(daemon, "search", "pipeline", "second-token-of-the-hook")[0] == 202
    os.kill(daemon.pid, signal.SIGHUP)  # and a stop in the middle of another
    with Stopwatch() as stopwatch:
        assert daemon.stop() == 0
    assert stopwatch.seconds < 10
