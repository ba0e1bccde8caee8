"""What running watches keep of a configuration that has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.made import deploy, service, signal, watch
from support.sqlite_store import sqlite_store

from watcher import reloading, settings
from watcher.adapters import Adapters
from watcher.errors import StoreUnavailableError
from watcher.model.watch import WatchState
from watcher.store import deploys, watches
from watcher.telemetry.metrics import Metrics


def adapters(**names: tuple[str, ...]) -> Adapters:
    made: dict[str, Any] = {
        section: {name: object() for name in names.get(section, ())}
        for section in ("hooks", "sources", "rollbacks", "notifiers")
    }
    return Adapters(**made)


def test_what_a_running_watch_asks_for_stays_and_everything_else_is_the_new() -> None:
    old = adapters(hooks=("ci",), sources=("prom", "shop"), rollbacks=("checkout", "search"), notifiers=("chat", "log"))
    new = adapters(hooks=("cd",), sources=("prom",), notifiers=("pager",))
    policy = service(signals=(signal(source="prom"), signal("tickets", source="shop")), notify=("chat",))
    found = reloading.merged(old, new, reloading.needed([policy]))
    assert found.hooks == new.hooks  # who may announce deploys is never the old
    assert found.sources == {"prom": new.sources["prom"], "shop": old.sources["shop"]}
    assert found.rollbacks == {"checkout": old.rollbacks["checkout"]}
    assert found.notifiers == {"pager": new.notifiers["pager"], "chat": old.notifiers["chat"]}


def test_only_watches_that_go_on_hold_on_to_something(tmp_path: Path) -> None:
    database = sqlite_store(tmp_path)
    with database.write() as tx:
        for number, (name, state) in enumerate(
            [("a", WatchState.WATCHING), ("a", WatchState.RECOVERING), ("b", WatchState.DONE)]
        ):
            deploys.put(tx, deploy(id=f"d-{number}", identity=str(number)))
            watches.open_watch(
                tx, watch(id=f"w-{number}", deploy_id=f"d-{number}", service=name, policy=service(name), state=state)
            )
        assert [policy.name for policy in watches.open_policies(tx)] == ["a"]
    database.close()


def test_a_rollback_target_that_changed_is_a_change_of_its_service(tmp_path: Path) -> None:
    text = """
sources: {prom: {kind: prometheus, url: "http://prometheus:9090"}}
services:
  a: {signals: &signals {m: {source: prom, kind: gauge, harm: up, query: up}}, rollback: {kind: webhook, url: "http://a/1"}}
  b: {signals: *signals, rollback: {kind: webhook, url: "http://b/1"}}
"""
    file = tmp_path / "watcher.yaml"
    file.write_text(text)
    old = settings.load(str(file), {})
    assert reloading.changes(old, settings.load(str(file), {})) == {"added": [], "removed": [], "changed": []}
    file.write_text(text.replace("http://b/1", "http://b/2"))
    assert reloading.changes(old, settings.load(str(file), {})) == {"added": [], "removed": [], "changed": ["b"]}


def test_what_went_wrong_is_said_without_secrets() -> None:
    assert reloading.problems(StoreUnavailableError("the store failed")) == ["the store failed"]
    assert reloading.problems(ValueError("hunter2")) == ["unexpected ValueError"]


def test_gauges_of_what_is_gone_are_gone_too() -> None:
    metrics = Metrics("test")
    for name in ("prom", "shop"):
        metrics.source_up.labels(name).set(0)
        metrics.source_breaker.labels(name, "open").set(1)
        for service_name in ("checkout", "search"):
            metrics.newest_point_age.labels(name, "orders", service_name).set(5)
        metrics.heartbeat.labels(f"collect-{name}").set(1)
    metrics.forget(sources={"shop"}, services={"search"}, loops={"collect-shop"})
    exposed = metrics.exposition("")[0].decode()
    assert "shop" not in exposed
    assert "search" not in exposed
    assert 'watcher_source_up{source="prom"} 0.0' in exposed
    assert 'watcher_source_breaker_state{source="prom",state="open"} 1.0' in exposed
    assert 'service="checkout",signal="orders",source="prom"' in exposed
    assert 'loop="collect-prom"' in exposed
