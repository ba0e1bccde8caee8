"""A real PostgreSQL server in a directory of its own, on a free port of loopback; it refuses to run as root."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from support.programs import Program, free_port, require

from watcher.store.database import Database


class PostgresqlServer:
    """`url` is the SQLAlchemy URL of its database; `empty` gives a new one. May be stopped and started again."""

    def __init__(self) -> None:
        self._initdb, self._postgres, self._psql = require("initdb", "postgres", "psql")
        # Not below pytest's folder, which its next run closes to everybody else: the server is another user.
        self._folder = TemporaryDirectory(prefix="postgresql-")
        self._directory = Path(self._folder.name)
        self._port = free_port()
        self._program: Program | None = None
        self._numbers = itertools.count(1)
        self._template: str | None = None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://watcher@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        user = _as_postgres(self._directory)
        data = self._directory / "data"
        made = subprocess.run(
            [*user, self._initdb, "-D", data, "-U", "watcher", "--auth=trust", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._directory}"]
        data = self._directory / "data"
        self._program = Program(
            [
                *_as_postgres(self._directory),
                *(self._postgres, "-D", str(data), "-p", str(self._port), *options, "-c", "fsync=off"),
            ],
            self._directory / "postgresql.log",
        )
        self._wait()

    def stop(self) -> None:
        """At once, whoever is connected."""
        if self._program is not None:
            self.interrupt()
            self._program.stop()
            self._program = None

    def interrupt(self) -> None:
        """Cuts every connection and ends the server (a "fast" shutdown)."""
        if self._program is not None:
            os.kill(self._program.pid, signal.SIGINT)

    def empty(self, name: str = "", template: str = "template1") -> str:
        """The URL of a new database, empty unless another is its template."""
        name = name or f"test_{next(self._numbers)}"
        self.sql(f"create database {name} template {template}")
        return f"postgresql+psycopg://watcher@127.0.0.1:{self._port}/{name}"

    def migrated(self) -> Database:
        """A new database with the schema of now, a copy of one that was made once; closed by the caller."""
        if self._template is None:
            self._template = "migrated"
            with closing(Database(self.empty(self._template))) as made:
                made.migrate()
        return Database(self.empty(template=self._template))

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What `psql` says to one statement."""
        url = f"postgresql://watcher@127.0.0.1:{self._port}/{database}"
        asked = [self._psql, url, "-v", "ON_ERROR_STOP=1", "-Atc", statement]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        return said.stdout.strip()

    def _wait(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            asked = [self._psql, self.url.replace("+psycopg", ""), "-Atc", "select 1"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self._directory / "postgresql.log").read_text())


def _as_postgres(directory: Path) -> Sequence[str]:
    """How to run a program as an ordinary user, who then owns `directory`."""
    if os.getuid() != 0:
        return []
    shutil.chown(directory, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
    return [*require("setpriv"), "--reuid=postgres", "--regid=postgres", "--init-groups"]
