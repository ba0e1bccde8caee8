"""The table of commands: all of them load, and none of them for the help."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from watcher.cli.main import COMMANDS, cli

_HEAVY = ("numpy", "pydantic", "sqlalchemy", "alembic", "requests", "fastapi", "structlog", "scipy")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help, "it explains itself"
    assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


def test_the_help_names_every_command_with_a_whole_sentence() -> None:
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=200).stdout
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name}" in shown
        assert summary in shown
        assert summary.endswith(".")


def test_the_help_imports_no_command() -> None:
    code = (
        "import sys; from watcher.cli.main import cli; cli(['--help'], standalone_mode=False); "
        f"sys.exit(', '.join(name for name in {_HEAVY!r} if name in sys.modules) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200)
    assert result.returncode == 0, result.stderr


def test_numpy_works_in_the_thread_that_asks() -> None:
    code = (
        "import os, watcher, numpy as np; np.linalg.solve(np.eye(500), np.ones(500)); "
        "print(len(os.listdir('/proc/self/task')))"
    )
    surroundings = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=surroundings)
    assert result.stdout.strip() == "1"
