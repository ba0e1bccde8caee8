"""`watcher schema`: to the terminal, into a file, and as tables between the marks of a document."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from watcher.cli.main import cli
from watcher.cli.schema import BEGIN, END


def test_the_schema_on_the_terminal_and_in_a_file_is_the_same(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["schema"])
    written = CliRunner().invoke(cli, ["schema", "--output", str(tmp_path / "s.json")])
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert json.loads(printed.stdout)["title"] == "Configuration of deploy-watch"
    assert (tmp_path / "s.json").read_text("utf-8") == printed.stdout


def test_tables_take_the_place_of_those_between_the_marks(tmp_path: Path) -> None:
    document = tmp_path / "config.md"
    document.write_text(f"Before.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n", "utf-8")
    result = CliRunner().invoke(cli, ["schema", "--markdown", "--output", str(document)])
    assert result.exit_code == 0, result.output
    text = document.read_text("utf-8")
    assert text.startswith(f"Before.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "old" not in text.partition(BEGIN)[2].partition("|")[0]
    assert "| `false_rollback_probability` | share | `1%` |" in text


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "config.md"
    document.write_text("Nothing here.\n", "utf-8")
    result = CliRunner().invoke(cli, ["schema", "--markdown", "--output", str(document)])
    assert result.exit_code == 1
    assert BEGIN in result.output
    assert document.read_text("utf-8") == "Nothing here.\n"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["schema", "--output", str(tmp_path / "missing" / "s.json")])
    assert result.exit_code == 1
    assert "No such file or directory" in result.output
