"""A real PostgreSQL server in a directory of its own, on a free port of loopback; it refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from support.programs import Program, free_port, require


class PostgresqlServer:
    """`url` is the SQLAlchemy URL of an empty database."""

    def __init__(self, directory: Path) -> None:
        self._initdb, self._postgres, self._psql = require("initdb", "postgres", "psql")
        self._directory = directory
        self._port = free_port()
        self._program: Program | None = None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://watcher@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        user = _as_postgres(self._directory)
        data = self._directory / "data"
        subprocess.run(
            [*user, self._initdb, "-D", data, "-U", "watcher", "--auth=trust", "--no-sync"],
            check=True,
            capture_output=True,
        )
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._directory}"]
        self._program = Program(
            [*user, self._postgres, "-D", str(data), "-p", str(self._port), *options, "-c", "fsync=off"],
            self._directory / "postgresql.log",
        )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.stop()

    def _wait(self) -> None:
        for _ in range(200):
            asked = [self._psql, self.url.replace("+psycopg", ""), "-Atc", "select 1"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return
            subprocess.run(["sleep", "0.05"], check=True)
        raise AssertionError((self._directory / "postgresql.log").read_text())


def _as_postgres(directory: Path) -> Sequence[str]:
    """How to run a program as an ordinary user, who then owns `directory` and may enter what lies above it."""
    if os.getuid() != 0:
        return []
    shutil.chown(directory, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
    for parent in directory.parents:
        if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    return [*require("setpriv"), "--reuid=postgres", "--regid=postgres", "--init-groups"]
