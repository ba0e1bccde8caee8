"""A real Request Tracker 5 with a database of its own.

    with RequestTracker(tmp_path) as helpdesk:
        helpdesk.seed([(created_at, "Checkout fails"), ...])    # many at once, straight into the database
        helpdesk.create("Card refused", created_at)             # one through the API, about 0.6 s

User `root`, password `password`, queue `General`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from support.programs import Program, free_port, require

USER, PASSWORD = "root", "password"
_CONFIG = """
Set($rtname, 'helpdesk');
Set($Organization, 'helpdesk.example');
Set($WebPath, '');
Set($WebDomain, '127.0.0.1');
Set($WebPort, {port});
Set($WebBaseURL, 'http://127.0.0.1:{port}');
Set($Timezone, '{timezone}');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{database}');
Set($LogToSyslog, '');
Set($LogToSTDERR, 'error');
1;
"""


class RequestTracker:
    """Starts in about two seconds; `timezone` is the server's, which every user without an own one has."""

    def __init__(self, directory: Path, timezone: str = "UTC") -> None:
        self._server, self._setup = require("rt-server", "rt-setup-database-5")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "empty").mkdir(exist_ok=True)
        self._directory = directory
        self._database = directory / "rtdb"
        self._port = free_port()
        self._program: Program | None = None
        _configure(directory, self._database, self._port, timezone)
        shutil.copyfile(_prepared_database(self._setup), self._database)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._program = Program(
            [self._server, "--port", str(self._port), "--host", "127.0.0.1"],
            self._directory / "rt.log",
            _environment(self._directory),
        )
        self._program.wait_until_answers(f"{self.url}/REST/2.0/")

    def stop(self) -> None:
        if self._program is not None:
            self._program.stop(2.0)
            self._program = None

    def create(self, subject: str, created_at: float | None = None, text: str = "", queue: str = "General") -> str:
        """Writes one ticket through REST 2.0; returns its id."""
        ticket = {"Queue": queue, "Subject": subject, "Content": text or subject}
        if created_at is not None:
            ticket["Created"] = _utc(created_at)
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/REST/2.0/ticket",
            json.dumps(ticket).encode(),
            {"content-type": "application/json", "authorization": f"Basic {credentials}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["id"])

    def seed(self, tickets: Iterable[tuple[float, str]]) -> None:
        """Writes `(created_at, subject)` into the queue `General`, thousands a second; the server may be running."""
        rows = [(subject, _utc(created_at), _utc(created_at)) for created_at, subject in tickets]
        with contextlib.closing(sqlite3.connect(self._database, timeout=60)) as connection, connection:
            connection.executemany(
                "INSERT INTO Tickets (EffectiveId, Queue, Type, Owner, Subject, Creator, LastUpdatedBy, Status,"
                " Created, LastUpdated) VALUES (0, 1, 'ticket', 6, ?, 1, 1, 'new', ?, ?)",
                rows,
            )
            connection.execute("UPDATE Tickets SET EffectiveId = id WHERE EffectiveId = 0")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _configure(directory: Path, database: Path, port: int, timezone: str) -> None:
    text = _CONFIG.format(port=port, database=database, timezone=timezone)
    (directory / "RT_SiteConfig.pm").write_text(text)


def _environment(directory: Path) -> dict[str, str]:
    return {"RT_SITE_CONFIG": str(directory / "RT_SiteConfig.pm"), "RT_SITE_CONFIG_DIR": str(directory / "empty")}


def _prepared_database(setup: str) -> Path:
    """An empty database, made once a machine and user (five seconds), then copied."""
    made = Path(tempfile.gettempdir()) / f"deploy-watch-request-tracker-{os.getuid()}-{_version()}.sqlite"
    if made.exists():
        return made
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "empty").mkdir()
        _configure(directory, directory / "rtdb", 80, "UTC")
        done = subprocess.run(
            [setup, "--action", "init", "--skip-create"],
            env=dict(os.environ) | _environment(directory),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        complete = made.with_suffix(f".{os.getpid()}")
        shutil.copyfile(directory / "rtdb", complete)
        complete.replace(made)
    return made


def _version() -> str:
    schema = Path("/usr/share/request-tracker5/etc/schema.SQLite")
    return str(int(schema.stat().st_mtime)) if schema.exists() else "0"
