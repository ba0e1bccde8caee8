"""docs/api.md names everything that the API has, and nothing that it has not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from support.web_server import Running

from watcher.cli.main import cli
from watcher.cli.wait import EXITS, TIMED_OUT
from watcher.model.order import RollbackState
from watcher.model.watch import WatchState
from watcher.web.auth import SCOPES
from watcher.web.drills import DrillView
from watcher.web.schemas import ChartsView, ChartView, DeployView, RollbackDetail, SignalView, WatchDetail

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "api.md").read_text()
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
WORDS = set(re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`]+)`", PROSE))))


@pytest.mark.parametrize(
    "model", [WatchDetail, RollbackDetail, SignalView, DeployView, ChartsView, ChartView, DrillView]
)
def test_every_name_of_an_answer_is_there(model: type[BaseModel]) -> None:
    assert set(model.model_fields) - WORDS == set()


def test_every_state_scope_and_exit_is_there() -> None:
    assert {*WatchState, *RollbackState, *SCOPES} - WORDS == set()
    statuses = {int(status) for status in re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE)}
    assert statuses == {*EXITS.values(), TIMED_OUT, 2}


def test_every_path_is_there(shown: Running) -> None:
    documented = TEXT.replace("{id}", "{watch_id}").replace("<name>", "{name}")
    for path in shown.get("/openapi.json").json()["paths"]:
        short = f"/{path.rsplit('/', 1)[1]}" if path.endswith(("refuse", "stop")) else path
        assert f"`{short}" in documented or f" {short}" in documented, path


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (DOCS / target).exists(), target


def test_the_commands_have_the_options_that_are_named() -> None:
    for command in ("status", "explain", "wait", "deploy", "approve", "refuse", "drill"):
        text = CliRunner().invoke(cli, [command, "--help"]).output
        assert {"--url", "--token", "--ca-file"} <= set(re.findall(r"--[a-z-]+", text)), command
    deploy = CliRunner().invoke(cli, ["deploy", "--help"]).output
    example = TEXT[TEXT.index("$ watcher deploy") : TEXT.index("--timeout 90m")]
    assert set(re.findall(r"--[a-z-]+", example)) <= set(re.findall(r"--[a-z-]+", deploy))


def test_the_commands_that_exit_with_1_for_a_mistake_in_a_file_are_named(tmp_path: Path) -> None:
    """Elsewhere 1 is a deploy that regressed."""
    none, file = str(tmp_path / "none.yaml"), tmp_path / "file"
    file.write_text("no JSON\n")
    config = ["--config", none]
    calls = {
        "run": config,
        "check-config": [none],
        "import": [*config, "--source", "shop", str(file)],
        "rehearse": [*config, "checkout"],
        "backup": [*config, "x"],
        "restore": [*config, "x"],
        "replay": [str(file), "--jobs", "1"],
    }
    named = re.search(r"a command that only reads a file \(([^)]*)\)", TEXT)
    assert named is not None
    assert sorted(re.findall(r"`([^`]+)`", named[1])) == sorted(calls)
    assert {name: CliRunner().invoke(cli, [name, *more]).exit_code for name, more in calls.items()} == dict.fromkeys(
        calls, 1
    )
    assert CliRunner().invoke(cli, ["explain", "--replay", *config, "w-1"]).exit_code == 5
