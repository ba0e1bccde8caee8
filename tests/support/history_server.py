"""A service's history behind a real HTTP server, as `http_json` sources read it, and a configuration that asks it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.fault_server import Answer, Request

CONFIG = """
store: {{path: {store}}}
server: {{listen: "{listen}"}}
sources:
  shop:
    kind: http_json
    url: "{url}/points"
    params: {{start: "{{start}}", end: "{{end}}"}}
    timeout: 60s
services:
  checkout:
    window: 30m
    history: 2d
    signals:
      orders: {{source: shop, kind: count, harm: down}}
"""


def configuration(folder: Path, url: str, listen: str = "127.0.0.1:8080") -> Path:
    file = folder / "watcher.yaml"
    file.write_text(CONFIG.format(store=folder / "watcher.db", url=url, listen=listen))
    return file


def orders(request: Request) -> Answer:
    """About 200 orders a minute, the same ones whenever they are asked for."""
    start, end = (float(request.query[name][0]) for name in ("start", "end"))
    minutes = np.arange(start // 60 + 1, end // 60 + 1)
    # A minute's place in its day seeds it: the draws of a whole day are one array.
    drawn = np.random.default_rng(11).poisson(200, (7, 1440))
    values = drawn[(minutes // 1440 % 7).astype(int), (minutes % 1440).astype(int)]
    return Answer.of([list(pair) for pair in zip((minutes * 60).tolist(), values.tolist(), strict=True)])
