"""A message received as a webhook is, without a server around it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from watcher.engine.plan import Matcher
from watcher.model.deploy import Parsed
from watcher.model.service import Service
from watcher.store.database import Database
from watcher.web import receive as web
from watcher.web.batches import Batches


def receive(
    database: Database, services: Mapping[str, Service], hook: str, parsed: Parsed, body: bytes, at: float, **more: Any
) -> web.Received:
    """`more`: `vendor`."""
    more["base_url"] = "http://watcher"
    return asyncio.run(web.receive(Batches(database), Matcher(services.values()), hook, parsed, body, at, **more))
