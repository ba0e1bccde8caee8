"""The true daemon, as a process of its own, and a client of its API.

with Daemon(tmp_path, config, environment) as daemon:
    daemon.post("/hooks/ci", {...}, token="t")
    daemon.wait_for(lambda: daemon.get("/api/v1/watches")["watches"])
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from support.programs import free_port
from support.stopwatch import Stopwatch

T = TypeVar("T")


class Daemon:
    """Starts `watcher run`; `config` may name `${LISTEN}` and `${STORE}`."""

    def __init__(self, directory: Path, config: str, environment: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log = directory / "watcher.log"
        self.config = directory / "watcher.yaml"
        self.store = directory / "watcher.db"
        self.config.write_text(config)
        own = {"LISTEN": f"127.0.0.1:{self.port}", "STORE": str(self.store)}
        self._environment = dict(os.environ) | own | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Not started yet, but stopped after the block."""
        try:
            yield
        finally:
            self.__exit__()

    def start(self, *, wait: bool = True, through: Sequence[str] = ("watcher",)) -> None:
        """Returns once the daemon is ready, or at once; `through` is the module that runs it, and its arguments."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *through, "run", "--config", str(self.config), "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        if wait:
            self.wait_for(self.ready, 120.0)

    def ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            return self.status("/readyz") == 200
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM; the exit status. It must be gone within ten seconds, give or take."""
        assert self._process is not None
        with Stopwatch() as stopwatch:
            self._process.terminate()
            status = self._process.wait(120)
        assert stopwatch.seconds < 12, f"it took {stopwatch.seconds:.1f} s to stop"
        return status

    def died(self, seconds: float) -> int:
        """The exit status of a daemon that ends by itself, negative for a signal."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(60)

    def reload(self, config: str, event: str = "config_reloaded") -> dict[str, Any]:
        """SIGHUP; what the daemon says of the new configuration."""
        before = len(self.events(event))
        self.config.write_text(config)
        os.kill(self.pid, signal.SIGHUP)
        return self.wait_for(lambda: self.events(event)[before:], 60)[0]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`watcher ARGUMENTS` against this daemon."""
        return subprocess.run(
            [sys.executable, "-m", "watcher", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env=self._environment | {"WATCHER_URL": self.url},
        )

    def get(self, path: str, token: str | None = None) -> Any:
        return json.loads(self._request("GET", path, None, token)[1])

    def status(self, path: str) -> int:
        return self._request("GET", path, None, None)[0]

    def text(self, path: str) -> str:
        return self._request("GET", path, None, None)[1].decode()

    def post(self, path: str, body: Any, token: str | None = None) -> tuple[int, Any]:
        status, answer = self._request("POST", path, json.dumps(body).encode(), token)
        return status, json.loads(answer)

    def _request(self, method: str, path: str, body: bytes | None, token: str | None) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def wait_for(self, condition: Callable[[], T], seconds: float = 120.0) -> T:
        """The first true answer of `condition`."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text().splitlines()[-20:])
                raise AssertionError(f"not within {seconds} s; the daemon's log ends with:\n{tail}")
            time.sleep(0.1)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self._lines() if line.get("event") == name]

    def errors(self) -> list[dict[str, Any]]:
        """The log lines at error or above."""
        return [line for line in self._lines() if line.get("level") in {"error", "critical"}]

    def _lines(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
