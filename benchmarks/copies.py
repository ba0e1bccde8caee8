"""Watches that need not be begun: what a few have learnt is copied for many, so that the looks at a fleet can be
measured without the hour in which its histories would be learnt.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from watcher.engine.plan import short_id
from watcher.model.deploy import Deploy
from watcher.model.service import Service
from watcher.model.watch import Watch
from watcher.settings import load
from watcher.store import deploys, looks, watches
from watcher.store.database import Database, Tx
from watcher.store.looks import Look

_MARGIN = 15.0  # seconds until the first of them is due
_OPENING = 0.04  # seconds for what the daemon reads of each from its store, once


@dataclass(frozen=True, slots=True)
class _Model:
    """A watch that was begun, and all that its looks rest on."""

    watch: Watch
    deploy: Deploy
    calibration: bytes
    look: Look


def copy(config: Path, store: Path, begun: Sequence[str], names: Sequence[str]) -> None:
    """Opens a watch for each of the services `names`, in turn like one of `begun`; the daemon must not run.

    Their deploys are those of the models, so that what was learnt fits to the bucket; only the looks are spread.
    """
    services = load(str(config), {"LISTEN": "127.0.0.1:8080", "STORE": str(store)}).services
    with closing(Database(f"sqlite:///{store}")) as database, database.write() as tx:
        models = [_model(tx, name) for name in begun]
        for number, name in enumerate(names):
            _put(tx, models[number % len(models)], services[name])
        ids = [model.watch.id for model in models] + [short_id("w", name) for name in names]
        start = time.time() + _MARGIN
        spread = max(models[0].watch.policy.step, _OPENING * len(ids))  # nothing need be caught up
        for number, watch_id in enumerate(ids):
            due = {"at": start + spread * number / len(ids), "id": watch_id}
            tx.execute(text("update watches set next_look_at = :at where id = :id"), due)


def _model(tx: Tx, service: str) -> _Model:
    (watch,) = watches.active(tx, service, "production")
    deploy = next(one for one in deploys.recent(tx, 1_000_000) if one.id == watch.deploy_id)
    calibration, look = looks.calibration(tx, watch.id), looks.last(tx, watch.id)
    assert calibration is not None, f"{service} was not begun for good"
    assert look is not None
    return _Model(watch, deploy, calibration, look)


def _put(tx: Tx, model: _Model, policy: Service) -> None:
    name = policy.name
    deploy = replace(model.deploy, id=short_id("d", name), identity=name, services=(name,))
    ours: dict[str, Any] = {"id": short_id("w", name), "deploy_id": deploy.id, "service": name, "policy": policy}
    watch = replace(model.watch, **ours)
    deploys.put(tx, deploy)
    watches.open_watch(tx, watch)
    looks.keep_calibration(tx, watch.id, model.look.made_at, model.calibration)
    looks.add(tx, replace(model.look, watch_id=watch.id), new=True)
    columns = "signal, at, value, total, expected, low, high"
    rows = f"select :copy, {columns} from points where watch_id = :model"
    tx.execute(text(f"insert into points (watch_id, {columns}) {rows}"), {"copy": watch.id, "model": model.watch.id})
