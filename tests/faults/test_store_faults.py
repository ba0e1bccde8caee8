"""A disk that is full, a store that another process has locked: nothing is acknowledged that is not stored."""

from __future__ import annotations

import itertools
import resource
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from support.daemon import Daemon
from support.fleet import Sender, Surroundings, names, surroundings


def full_disk(daemon: Daemon, *, full: bool) -> None:
    """No file of the daemon may grow any more, or all may again."""
    largest = max(path.stat().st_size for path in daemon.store.parent.glob("watcher.db*"))
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (largest if full else hard, hard))


def deploy(daemon: Daemon, service: str, number: int = 0) -> int:
    body = {"id": f"{service}-{number}", "service": service, "environment": "production", "version": f"v{number}"}
    return daemon.post("/hooks/ci", body, token="t")[0]


def test_a_full_disk_and_a_locked_store_lose_nothing(tmp_path: Path) -> None:
    with surroundings() as around:
        daemon = Daemon(tmp_path, around.config(names(2)), {"STORE_URL": f"sqlite:///{tmp_path / 'watcher.db'}"})
        with daemon:
            sender = Sender(around, [daemon])
            sender.deploy("good-0", ago=20.0)
            _full(daemon)
            _locked(daemon)
            sender.deploy("bad-1", ago=5.0)
            _all_is_well(daemon, around, sender)


def _full(daemon: Daemon) -> None:
    full_disk(daemon, full=True)
    numbers = itertools.count(100)
    daemon.wait_for(lambda: deploy(daemon, "good-1", next(numbers)) == 503)
    assert daemon.status("/healthz") == 200  # its loops live
    assert daemon.get("/api/v1/watches")["watches"]  # and what is stored can be read
    daemon.wait_for(lambda: daemon.events("store_unavailable") + daemon.events("hook_not_stored"))
    full_disk(daemon, full=False)
    daemon.wait_for(lambda: deploy(daemon, "good-1", 9) in {200, 202})


def _locked(daemon: Daemon) -> None:
    with closing(sqlite3.connect(daemon.store, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("begin immediate")
        answered = pool.submit(deploy, daemon, "good-1", 10)
        time.sleep(1.5)
        assert not answered.done(), "it waits for the lock"
        other.execute("rollback")
        assert answered.result() == 202


def _all_is_well(daemon: Daemon, around: Surroundings, sender: Sender) -> None:
    daemon.wait_for(lambda: around.rollbacks().get("bad-1"))
    watch_id = sender.accepted["good-0"][1]
    daemon.wait_for(lambda: daemon.get(f"/api/v1/watches/{watch_id}")["state"] == "done")
    assert daemon.get(f"/api/v1/watches/{watch_id}")["outcome"] == "healthy"
    assert {name: len(keys) for name, keys in around.rollbacks().items()} == {"bad-1": 1}
    assert not daemon.events("loop_died")
    assert not daemon.events("loop_error")
