"""The phases of one GitHub deployment, from its bytes to the store: one deploy, one watch, whatever comes when."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.made import service
from support.plain_tools import plain_tools
from support.receiving import receive
from support.sqlite_store import sqlite_store

from watcher.intake.github import GitHub, GitHubOptions
from watcher.kit import clock
from watcher.store import deploys
from watcher.store.database import Database
from watcher.web.receive import Received

DATA = Path(__file__).parents[2] / "conformance" / "data" / "github"
GITHUB = GitHub("acme", GitHubOptions.model_validate({"secret": "s3cret-s3cret"}), plain_tools())
RECEIVED = clock.parse_iso("2026-11-22T03:10:00Z")
CREATED, STARTED, FINISHED = (clock.parse_iso(f"2026-11-22T{time}Z") for time in ("03:00:00", "03:02:10", "03:04:05"))
STEPS = ("deployment_created", "status_in_progress", "status_success")
SERVICES = {"checkout": service(match={"repository": "acme/checkout", "environment": "production"})}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    store = sqlite_store(tmp_path)
    yield store
    store.close()


def send(database: Database, name: str, delivery: str) -> Received:
    recorded: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    body = json.dumps(recorded["body"]).encode()
    parsed = GITHUB.parse(recorded["headers"] | {"x-github-delivery": delivery}, body, RECEIVED)
    return receive(database, SERVICES, "acme", parsed, body, RECEIVED, vendor=True)


def times(database: Database) -> tuple[float, float | None]:
    with database.read() as tx:
        (deploy,) = deploys.recent(tx, 10)
    return deploy.started_at, deploy.finished_at


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)))
def test_every_order_of_arrival_is_one_deploy(database: Database, order: tuple[str, ...]) -> None:
    answers = {name: send(database, name, f"delivery-{name}") for name in order}
    assert len(answers["status_success"].body["watch_ids"]) == 1
    started_at, finished_at = times(database)
    assert finished_at == FINISHED
    # The best that is known; where the start came last, the creation stays.
    assert started_at == (STARTED if order.index("status_in_progress") < order.index("status_success") else CREATED)


def test_a_success_alone_counts_harm_from_the_creation(database: Database) -> None:
    assert send(database, "status_success", "delivery-1").status == 202
    assert times(database) == (CREATED, FINISHED)


@pytest.mark.parametrize("delivery", ["delivery-1", "delivery-2"])
def test_a_repeat_answers_the_same_ids(database: Database, delivery: str) -> None:
    first = send(database, "status_success", "delivery-1")
    again = send(database, "status_success", delivery)
    assert again.status == 200
    assert again.body["watch_ids"] == first.body["watch_ids"]
    assert again.body["deploy_id"] == first.body["deploy_id"]
