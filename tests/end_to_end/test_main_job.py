"""The main job on the true daemon, a real Prometheus and a real rollback receiver."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.real_shop import STEP, Change, Shop
from support.scene import WINDOW, Scene, make_scene

_OVER = 60.0  # so much earlier than the scene's, a deploy's window is over and all of it back-filled


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    deployed_at = (time.time() // STEP) * STEP - WINDOW + 30
    shops = [
        Shop("clean"),
        Shop("dropped", (Change(deployed_at, 0.7),)),
        Shop("older", (Change(deployed_at - _OVER - 120, 0.7),)),
    ]
    with make_scene(tmp_path_factory.mktemp("scene"), shops, deployed_at) as made:
        yield made


@pytest.mark.prometheus
def test_a_clean_deploy_is_left_alone(scene: Scene) -> None:
    at = scene.deployed_at - _OVER
    status, answer = scene.announce("clean", started_at=at, finished_at=at)
    assert status == 202
    watch = scene.decided(answer["watch_ids"][0])
    assert (watch["outcome"], watch["reason"]) == ("healthy", "no_harm"), watch["sentence"]
    assert watch["state"] == "done"
    assert not scene.rollbacks("clean")


@pytest.mark.prometheus
def test_harm_that_began_well_before_the_deploy_is_not_rolled_back(scene: Scene) -> None:
    at = scene.deployed_at - _OVER
    _, answer = scene.announce("older", started_at=at, finished_at=at)
    watch = scene.decided(answer["watch_ids"][0])
    assert (watch["outcome"], watch["reason"]) == ("inconclusive", "pre_existing"), watch["sentence"]
    assert not scene.rollbacks("older")


@pytest.mark.prometheus
def test_a_bad_deploy_is_rolled_back_once_and_seen_to_recover(scene: Scene) -> None:
    _, answer = scene.announce("dropped")
    (watch_id,) = answer["watch_ids"]
    scene.daemon.wait_for(lambda: scene.rollbacks("dropped"))
    watch = scene.watch(watch_id)
    assert watch["outcome"] == "regressed", watch["sentence"]
    (signal,) = watch["signals"]
    assert abs(signal["onset"] - scene.deployed_at) <= 3 * STEP
    assert -0.4 < signal["effect"] < -0.2
    order = json.loads(scene.rollbacks("dropped")[0].body)
    assert (order["bad_version"], order["target_version"], order["watch_id"]) == ("v2", "v1", watch_id)
    # The pipeline goes back and says so: that is the receipt, not a new deploy.
    scene.shops.change("dropped", 1.0)
    now = time.time()
    told = {"started_at": now, "finished_at": now, "rollback_id": order["rollback_id"]}
    _, receipt = scene.announce("dropped", "v1", **told)
    assert receipt["watch_ids"] == [watch_id]
    scene.daemon.wait_for(lambda: scene.watch(watch_id)["state"] == "done", 200)
    after = scene.watch(watch_id)
    assert after["recovered"] is True
    assert after["rollback"]["state"] == "verified"
    assert len(scene.rollbacks("dropped")) == 1
    assert len(scene.daemon.get("/api/v1/watches?service=dropped")["watches"]) == 1
    assert scene.daemon.command("wait", watch_id, "--timeout", "5s").returncode == 1
    assert "a secret that nobody may see" not in scene.daemon.log.read_text()


@pytest.mark.prometheus
def test_killed_in_the_middle_it_goes_on_and_the_source_that_dies_is_not_the_deploys_fault(tmp_path: Path) -> None:
    with make_scene(tmp_path, [Shop("killed")], deployed_at=0.0) as scene:
        # It is killed within these seconds, and then lacks more of its window than a healthy watch may (20 s).
        scene.deployed_at = time.time() - WINDOW + 35
        _, answer = scene.announce("killed")
        (watch_id,) = answer["watch_ids"]
        scene.daemon.wait_for(lambda: scene.watch(watch_id)["last_look_at"])
        scene.daemon.kill()
        scene.prometheus.stop()
        scene.daemon.start()
        watch = scene.decided(watch_id)
        assert watch["outcome"] == "inconclusive", watch["sentence"]
        assert watch["reason"] in {"source_failed", "stale_data"}
        assert watch["blind_seconds"] > 0
        assert not scene.rollbacks("killed")
        # A repeat after the restart still creates nothing.
        status, again = scene.announce("killed")
        assert (status, again["watch_ids"]) == (200, [watch_id])
        assert scene.daemon.stop() == 0
