"""A real Prometheus server in a directory of its own, with history back-filled by promtool.

with PrometheusServer(tmp_path) as prometheus:
    prometheus.backfill(openmetrics_lines)   # before or between starts: it restarts the server where it runs
    prometheus.query("up")
"""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from support.programs import Program, free_port, require


class PrometheusServer:
    """Starts on a free port; `scrape` are targets (`host:port`) of the one job `shop`, each every `interval`.

    Back-filled series continue live where their `job` and `instance` labels are those of the scrape.
    """

    def __init__(self, directory: Path, scrape: Sequence[str] = (), interval: str = "1s") -> None:
        self._prometheus, self._promtool = require("prometheus", "promtool")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._data = directory / "data"
        self._port = free_port()
        self._program: Program | None = None
        config: dict[str, Any] = {"global": {"scrape_interval": interval, "scrape_timeout": interval}}
        if scrape:
            config["scrape_configs"] = [{"job_name": "shop", "static_configs": [{"targets": list(scrape)}]}]
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._program = Program(
            [
                self._prometheus,
                f"--config.file={self._directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._data}",
                "--storage.tsdb.retention.time=10y",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--log.level=warn",
            ],
            self._directory / "prometheus.log",
        )
        self._program.wait_until_answers(f"{self.url}/-/ready")

    def stop(self) -> None:
        if self._program is not None:
            self._program.stop()
            self._program = None

    def backfill(self, lines: Iterable[str]) -> None:
        """Adds OpenMetrics samples with timestamps (no `# EOF` needed), in the past only."""
        running = self._program is not None
        self.stop()
        source = self._directory / "backfill.txt"
        with source.open("w") as file:
            file.writelines(line if line.endswith("\n") else line + "\n" for line in lines)
            file.write("# EOF\n")
        made = subprocess.run(
            [
                self._promtool,
                *("tsdb", "create-blocks-from", "--max-block-duration=240h", "-q", "openmetrics"),
                source,
                self._data,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        source.unlink()
        if running:
            self.start()

    def query(self, promql: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query."""
        parameters = {"query": promql} | ({} if at is None else {"time": repr(at)})
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result
