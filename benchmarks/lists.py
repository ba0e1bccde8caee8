"""What the lists of the API and the page cost when there are many watches. Used by benchmarks.cost."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.seeded_store import CHECKOUT
from support.web_server import serving, web_of

from watcher.store import codec
from watcher.store.database import Database

MANY = 100_000
_NOW = 1.8e9
_PATHS = (
    ("/api/v1/deploys", "50 deploys", "20"),
    ("/api/v1/deploys?before=1799500000", "50 deploys, far back", "20"),
    ("/api/v1/watches?state=done", "50 watches that ended", "20"),
    ("/", "the page", ""),
)
_TIMES = 9


def lists() -> list[tuple[str, str, str]]:
    """Rows of name, measured, aim: milliseconds of processor, client and server together."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/store.db")
        database.migrate()
        _fill(f"{folder}/store.db")
        with serving(web_of(database, lambda: _NOW, services={"checkout": CHECKOUT})) as running:
            rows = [
                (f"{name} of {MANY:,} (ms of processor)", _cost(running.get, path), aim) for path, name, aim in _PATHS
            ]
        database.close()
    return rows


def help_seconds() -> list[tuple[str, str, str]]:
    """How long `watcher --help` takes."""
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "watcher", "--help"], check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return [(f"watcher --help, median of {_TIMES} (s)", f"{statistics.median(taken):.2f}", "0.4")]


def _cost(get: object, path: str) -> str:
    taken = []
    for _ in range(_TIMES):
        began = time.process_time()
        answer = get(path)  # type: ignore[operator]  # a bound method
        taken.append(time.process_time() - began)
        assert answer.status == 200, answer
    return f"{statistics.median(taken) * 1000:.1f}"


def _fill(file: str) -> None:
    """One deploy and its watch every seven seconds; the newest two hundred are being watched."""
    policy = codec.dump(CHECKOUT)
    with sqlite3.connect(Path(file)) as store:
        store.execute("pragma synchronous = off")
        for number in range(MANY):
            at, ended = _NOW - number * 7.0, number >= 200
            deploy, watch = f"d-{number:016x}", f"w-{number:016x}"
            store.execute(
                "insert into deploys (id, identity, hook, phase, environment, version, received_at, started_at,"
                " finished_at, services, attributes, links) values (?, ?, 'ci', 'finished', 'production', ?, ?, ?, ?,"
                ' \'["checkout"]\', \'{"service":"checkout"}\', \'{"Run":"https://ci.example/1"}\')',
                (deploy, deploy, f"v{number}", at, at - 60, at),
            )
            store.execute(
                "insert into watches (id, deploy_id, service, environment, version, policy, state, started_at,"
                " finished_at, until, ticket_until, created_at, outcome, reason, sentence, score, ended_at,"
                " blind_seconds)"
                " values (?, ?, 'checkout', 'production', ?, ?, ?, ?, ?, ?, ?, ?, ?, 'no_harm', 'no harm', 0, ?, 0)",
                (
                    *(watch, deploy, f"v{number}", policy, "done" if ended else "watching", at - 60, at, at + 3600),
                    *(at + 3600, at, "healthy" if ended else None, at + 3600 if ended else None),
                ),
            )
