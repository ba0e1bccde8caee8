"""A disk that is full, a store that another process has locked: nothing is acknowledged that is not stored."""

from __future__ import annotations

import contextlib
import itertools
import resource
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_without_space_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    filler = small_disk / "filler"
    with surroundings() as around:
        store = small_disk / "watcher.db"
        daemon = Daemon(tmp_path, around.config(names(2)), {"STORE_URL": f"sqlite:///{store}"})
        with daemon:
            accepted = [number for number in range(3) if deploy(daemon, "good-0", number) == 202]
            _fill(filler)
            numbers = itertools.count(100)
            while (status := deploy(daemon, "good-0", number := next(numbers))) == 202:  # into what SQLite had spare
                accepted.append(number)
            assert status == 503
            assert daemon.status("/healthz") == 200
            assert daemon.get("/api/v1/watches")["watches"]
            filler.unlink()
            daemon.wait_for(lambda: deploy(daemon, "good-0", 9) in {200, 202})
            daemon.kill()
            _fill(filler)
            daemon.start(wait=False)  # with no space at all it may wait, but not break what is there
            time.sleep(2.0)
            filler.unlink()
            daemon.wait_for(daemon.ready, 60)
            told = {one["version"] for one in daemon.get("/api/v1/deploys?limit=200")["deploys"]}
        assert {f"v{number}" for number in [*accepted, 9]} <= told


def _fill(filler: Path) -> None:
    """Takes what is left."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


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
