from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs
from support.seeded_store import Seeded, seeded_copy
from support.web_server import Running, serving_seeded

from watcher.cli.main import cli

Invoke = Callable[..., Result]


@pytest.fixture
def seeded(tmp_path: Path) -> Iterator[Seeded]:
    store = seeded_copy(tmp_path)
    yield store
    store.database.close()


@pytest.fixture
def daemon(seeded: Seeded) -> Iterator[Running]:
    with capture_logs(), serving_seeded(seeded) as running:
        yield running


@pytest.fixture
def invoke(daemon: Running) -> Invoke:
    """Runs `watcher ARGUMENTS` against the daemon; more of the environment by keyword."""

    def run(*arguments: str, **env: str | None) -> Result:
        return CliRunner().invoke(cli, arguments, env={"WATCHER_URL": daemon.url, "WATCHER_TOKEN": None, **env})

    return run
