"""100,000 old watches and two gigabytes of their raw points: pages and the API stay quick, and retention drops them."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.fleet import names, surroundings
from support.made import service
from support.sqlite_store import sqlite_store
from support.stopwatch import Stopwatch

from watcher.store import codec

WATCHES = int(os.environ.get("SOAK_WATCHES", "100000"))
POINTS = 240  # a watch: four signals, an hour of minutes
DAY = 86400.0


def old_years(path: Path) -> None:
    """Writes watches that ended one after another, the newest two months ago."""
    sqlite_store(path.parent).close()
    now = time.time()
    policy = codec.dump(service("good-0"))
    with closing(sqlite3.connect(path)) as store:
        store.execute("pragma synchronous = off")
        columns = [row[1] for row in store.execute("pragma table_info(watches)")]
        for number in range(WATCHES):
            at = now - 60 * DAY - (WATCHES - number) * 600.0
            named = ("" if number % 2 else "other-") + f"good-{number % 2}"
            store.execute(
                "insert into deploys (id, identity, hook, phase, environment, version, received_at, started_at, "
                "finished_at, services, attributes, links) "
                "values (?,?,'ci','finished','production',?,?,?,?,'[]','{}','{}')",
                (f"d-{number}", f"n-{number}", f"v{number}", at, at, at),
            )
            row: dict[str, Any] = dict.fromkeys(columns) | {
                "id": f"w-{number}",
                "deploy_id": f"d-{number}",
                "service": named,
                "environment": "production",
                "version": f"v{number}",
                "policy": policy,
                "state": "done",
                "started_at": at,
                "finished_at": at,
                "until": at + 3600,
                "ticket_until": at + 3600,
                "created_at": at,
                "outcome": "healthy",
                "reason": "no_harm",
                "sentence": "No harm.",
                "score": 0.0,
                "decided_at": at,
                "ended_at": at + 3600,
                "blind_seconds": 0.0,
                "lease_until": 0.0,
                "fence": 0,
            }
            marks = ",".join("?" for _ in columns)
            store.execute(
                f"insert into watches ({','.join(columns)}) values ({marks})", [row[name] for name in columns]
            )
            store.executemany(
                "insert into points (watch_id, signal, at, value, total, expected, low, high) values (?,?,?,?,?,?,?,?)",
                [
                    (f"w-{number}", f"signal-{place % 4}", at + place, 1.0, 2.0, 1.0, 0.5, 1.5)
                    for place in range(POINTS)
                ],
            )
        store.commit()


def timed(daemon: Daemon, path: str, times: int = 20) -> float:
    """Median seconds of an answer."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        assert daemon.status(path) == 200, path
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_years_of_watches_do_not_slow_what_is_asked_now(tmp_path: Path) -> None:
    path = tmp_path / "watcher.db"
    old_years(path)
    before = path.stat().st_size / 1e9
    with surroundings() as around:
        daemon = Daemon(tmp_path, around.config(names(2)), {"STORE_URL": f"sqlite:///{path}"})
        with daemon:
            accepts: list[float] = []
            while not daemon.events("points_dropped"):
                body = {"service": "good-1", "environment": "production", "version": f"n{len(accepts)}"}
                with Stopwatch() as stopwatch:
                    assert daemon.post("/hooks/ci", body | {"id": str(len(accepts))}, token="t")[0] == 202
                accepts.append(stopwatch.seconds)
                assert daemon.status("/healthz") == 200
                time.sleep(0.5)
            (dropped,) = daemon.events("points_dropped")
            asked = {where: timed(daemon, where) for where in ("/", "/api/v1/watches", "/api/v1/deploys", "/metrics")}
        with closing(sqlite3.connect(path)) as store:
            (left,) = store.execute(
                "select count(*) from points where watch_id like 'w-_%' and at < ?", (time.time() - 50 * DAY,)
            ).fetchone()
            (kept,) = store.execute("select count(*) from watches where outcome = 'healthy'").fetchone()
    said = ", ".join(f"{where} {seconds * 1000:.0f} ms" for where, seconds in asked.items())
    print(
        f"\n{WATCHES} old watches, {before:.2f} GB: {dropped['points']} points dropped, {kept} decisions kept; "
        f"an accept meanwhile {statistics.median(accepts) * 1000:.0f} ms (99 of 100 within "
        f"{sorted(accepts)[int(0.99 * len(accepts))] * 1000:.0f} ms, longest {max(accepts) * 1000:.0f} ms); {said}"
    )
    assert left == 0
    assert dropped["points"] == WATCHES * POINTS
    assert kept >= WATCHES
    assert max(asked.values()) < 1.0
    assert max(accepts) < 5.0
