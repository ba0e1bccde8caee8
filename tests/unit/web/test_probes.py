"""What an orchestrator asks: only a dead loop is unhealthy, only the store is unready."""

from __future__ import annotations

from pathlib import Path

from support.seeded_store import Seeded
from support.web_server import TOKENS, Running, serving, serving_seeded, web_of

from watcher.store.database import Database


def test_all_is_well(shown: Running) -> None:
    assert (shown.get("/healthz").status, shown.get("/readyz").status) == (200, 200)


def test_a_dead_loop_is_named(seeded: Seeded) -> None:
    with serving_seeded(seeded, health=lambda: {"looks": 41.26}) as running:
        answer = running.get("/healthz")
        assert (answer.status, answer.json()) == (503, {"status": "dead", "loops": {"looks": 41.3}})
        assert running.get("/readyz").status == 200


def test_a_store_that_is_away_or_not_migrated_is_not_ready_but_healthy(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'no' / 'folder.db'}", f"sqlite:///{tmp_path / 'empty.db'}"):
        database = Database(url)
        with serving(web_of(database, lambda: 1e9)) as running:
            assert (running.get("/readyz").status, running.get("/healthz").status) == (503, 200)
        database.close()


def test_metrics_speak_the_form_that_is_accepted(shown: Running) -> None:
    answer = shown.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.body == b"accept application/openmetrics-text\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"


def test_probes_need_no_token(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, loopback=False) as running:
        assert [running.get(path).status for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
