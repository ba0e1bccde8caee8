"""`watcher rehearse`, as a process that reads a real HTTP server and writes a real store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.fault_server import Answer, FaultServer
from support.history_server import configuration, orders
from support.made_rehearsal import CONVERSION, rehearsal

from watcher.cli.main import cli
from watcher.cli.rehearse import rehearse as rehearse_command
from watcher.cli.rehearse import text
from watcher.engine.rehearse import PLACEBOS
from watcher.model.rehearsal import Rehearsal
from watcher.store import rehearsals
from watcher.store.database import Database


@pytest.fixture
def shop() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.answer = orders
        yield server


def rehearse(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watcher", "rehearse", "--config", str(configuration(folder, url)), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def test_the_command_judges_as_many_placebos_as_the_daemon() -> None:
    (option,) = (each for each in rehearse_command.params if each.name == "placebos")
    assert option.default == PLACEBOS


def stored(folder: Path) -> Rehearsal | None:
    database = Database(f"sqlite:///{folder / 'watcher.db'}")
    database.migrate()
    try:
        with database.read() as tx:
            return rehearsals.latest(tx, "checkout")
    finally:
        database.close()


def test_it_reads_judges_prints_and_stores(tmp_path: Path, shop: FaultServer) -> None:
    done = rehearse(tmp_path, shop.url, "checkout", "--placebos", "2", "--json", "--low-priority")
    assert done.returncode == 0, done.stderr
    made = stored(tmp_path)
    assert made is not None
    printed = json.loads(done.stdout)
    assert (printed["placebos"], printed["made_at"]) == (made.placebos, made.made_at) == (2, made.made_at)
    assert printed["signals"][0]["detectable"] == made.signals[0].detectable is not None
    assert printed["sentences"] == list(made.sentences)
    assert len(shop.requests) == 1
    lines = text(made, 80).splitlines()
    assert lines[0].startswith("checkout: 2 placebo deploys over 2 d of history")
    assert lines[3].split()[:4] == ["orders", "0", "of", "2"]
    assert lines[6].split() == [
        "SIGNAL",
        "SHAPE",
        "OF",
        "HARM",
        "SMALLEST",
        "HARM",
        "SEEN",
        "AS",
        "MUCH",
        "AS",
        "MUST",
        "BE",
        "SEEN",
    ]
    assert [line.split()[1] for line in lines[7:11]] == ["step", "ramp", "late", "spike"]
    assert all(len(line) <= 80 for line in lines[11:])


def test_one_look_is_one() -> None:
    made = rehearsal(signals=(replace(CONVERSION, looks=1.0, seconds=60.0), replace(CONVERSION, looks=1.5)))
    lines = text(made, 110).splitlines()
    assert "60 s, 1 look " in lines[3]
    assert "9 min, 1.5 looks " in lines[4]


def invoked(folder: Path, url: str, service: str) -> Result:
    return CliRunner().invoke(cli, ["rehearse", service, "--config", str(configuration(folder, url))])


def test_a_source_that_fails_is_told_in_one_line_and_nothing_is_stored(tmp_path: Path, shop: FaultServer) -> None:
    shop.answer = lambda _request: Answer(404)
    done = invoked(tmp_path, shop.url, "checkout")
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr.startswith("watcher: not rehearsed: ")
    assert done.stderr.endswith("(signal orders, source shop)\n")
    assert stored(tmp_path) is None


def test_an_unknown_service_names_those_there_are(tmp_path: Path, shop: FaultServer) -> None:
    done = invoked(tmp_path, shop.url, "basket")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "no service named basket; it has checkout" in done.stderr


def test_without_the_file_nothing_is_made(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["rehearse", "checkout", "--config", str(tmp_path / "none.yaml")])
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert not list(tmp_path.iterdir())
