"""A real Prometheus Alertmanager in a directory of its own, that tells a receiver on loopback of every alert.

with AlertmanagerServer(tmp_path, webhook=f"{receiver.url}/alerts") as alertmanager:
    alertmanager.alerts()
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Self

from support.programs import Program, free_port, require


class AlertmanagerServer:
    """Starts on a free port, alone (no cluster); `webhook` is told at once of what begins and of what ends."""

    def __init__(self, directory: Path, webhook: str | None = None) -> None:
        (self._alertmanager,) = require("prometheus-alertmanager")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self._program: Program | None = None
        hooks = [{"url": webhook, "send_resolved": True}] if webhook else []
        route = {"receiver": "people", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
        config = {"route": route, "receivers": [{"name": "people", "webhook_configs": hooks}]}
        (directory / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._program = Program(
            [
                self._alertmanager,
                f"--config.file={self._directory / 'alertmanager.yml'}",
                f"--storage.path={self._directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
            self._directory / "alertmanager.log",
        )
        self._program.wait_until_answers(f"{self.url}/-/ready")
        return self

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.stop()
            self._program = None

    def alerts(self) -> list[dict[str, Any]]:
        """What fires now."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found
