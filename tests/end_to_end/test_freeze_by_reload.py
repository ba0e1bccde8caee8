"""A freeze that SIGHUP adds while deploys are watched: nothing is rolled back without a person from then on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from support.daemon import Daemon
from support.fleet import Sender, surroundings
from support.programs import free_port

FREEZE = """
    freeze: [{start: "2020-01-01", end: "2090-01-01", why: the great sale}]
"""


def test_a_freeze_that_is_added_holds_rollbacks_that_were_not_made_yet(tmp_path: Path) -> None:
    with surroundings() as around:
        # Of bad-0 harm is yet to come; bad-1 is decided already, and its rollback tried in vain again and again.
        config = around.config(["bad-0"]) + around.config(["bad-1"]).partition("services:\n")[2]
        config = config.replace("window: 30s", "window: 10m")
        config = config.replace(f"{around.server.url}/rollback/bad-1", f"http://127.0.0.1:{free_port()}/")
        frozen = config.replace("  bad-1:", f"{FREEZE}\n  bad-1:") + FREEZE
        with Daemon(tmp_path, config, {"STORE_URL": f"sqlite:///{tmp_path / 'watcher.db'}"}) as daemon:
            sender = Sender(around, [daemon])
            sender.deploy("bad-1", ago=4.0)
            sender.deploy("bad-0")
            del around.deployed["bad-0"]
            ids = {name: watch_id for name, (_, watch_id) in sender.accepted.items()}

            def watch(name: str) -> Any:
                return daemon.get(f"/api/v1/watches/{ids[name]}")

            daemon.wait_for(lambda: watch("bad-0")["last_look_at"])
            daemon.wait_for(lambda: daemon.events("rollback_retry"))
            assert watch("bad-0")["rollback"] is None

            said = daemon.reload(frozen)
            assert said["changed"] == ["bad-0", "bad-1"]
            around.deployed["bad-0"] = time.time()

            def held() -> Any:
                listed = daemon.get("/api/v1/watches")["watches"]
                found = {each["service"]: each["rollback"] for each in listed if each["rollback"]}
                return {name: each for name, each in found.items() if each["held"]}

            daemon.wait_for(lambda: len(held()) == 2)
            for name, rollback in held().items():
                assert (rollback["state"], rollback["held"]) == ("planned", "frozen")
                assert rollback["detail"] == f"{name} is frozen until Sun 01 Jan 00:00 (UTC): the great sale"
                assert watch(name)["outcome"] == "regressed"
            assert not around.rollbacks()

            # Held, not lost: a person may still say so, and nobody else said it.
            assert daemon.post(f"/api/v1/watches/{ids['bad-0']}/approve", {"reason": "it burns"})[0] == 200
            daemon.wait_for(around.rollbacks)
            assert {name: keys.total() for name, keys in around.rollbacks().items()} == {"bad-0": 1}
