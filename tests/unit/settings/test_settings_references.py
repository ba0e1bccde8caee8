"""`${NAME}` and `file:`: what they bring in, and that they never bring in nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.settings import document, references

ENVIRON = {"NAME": "value", "HOST": "prom.example", "EMPTY": "", "NESTED": "${NAME}", "LOOKS": "file:/etc/passwd"}


def resolved(folder: Path, text: str) -> tuple[document.Document, references.References]:
    file = folder / "c.yaml"
    file.write_text(text, "utf-8")
    found = document.read(str(file))
    return found, references.resolve(found, ENVIRON)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${NAME}", "value"),
        ("http://${HOST}:9090/${NAME}", "http://prom.example:9090/value"),
        ("${NOBODY:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${NAME:-default}", "value"),
        ("x${NOBODY:-}y", "xy"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("sum(rate(x[5m])) $", "sum(rate(x[5m])) $"),
        ("$NAME", "$NAME"),
        ("${NESTED}", "${NAME}"),
        ("${LOOKS}", "file:/etc/passwd"),
    ],
)
def test_what_is_brought_in(tmp_path: Path, text: str, value: str) -> None:
    found, _ = resolved(tmp_path, f'a: ["{text}"]\n')
    assert found.value == {"a": [value]}
    assert not found.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "${NOBODY}",
            "the environment variable NOBODY is not set (expected a value, or a default: ${NOBODY:-default})",
        ),
        ("x${EMPTY}", "the environment variable EMPTY is empty (expected a value, or a default: ${EMPTY:-default})"),
        ("${NOBODY:-}", "nothing is left of the text (expected a default that is not empty)"),
        ("${}", "names no variable"),
        ("${A-B}", "names no variable"),
        ("${NAME", "names no variable"),
        ("file:missing", "file:missing cannot be read: no such file or directory (expected a text file)"),
        ("file:${NAME}", "the file cannot be read: no such file or directory"),
        ("file:", "cannot be read: is a directory"),
        ("file:empty", "file:empty is empty"),
        ("file:latin", "file:latin is not UTF-8"),
        ("file:large", "file:large is larger than"),
    ],
)
def test_what_cannot_be_brought_in_is_a_problem_and_never_empty(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    found, _ = resolved(tmp_path, f'x: 1\na:\n  b: "{text}"\n')
    ((_, problem),) = found.problems
    assert (problem.line, problem.path) == (3, "a.b")
    assert message in problem.message
    assert found.spoiled == {("a", "b")}


def test_a_file_is_found_beside_the_configuration_and_loses_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "value").write_bytes(b" kept inside \r\n")
    found, brought = resolved(tmp_path, f'a: "file:secrets/value"\nb: "file:{tmp_path}/secrets/${{NAME}}"\n')
    assert found.value == {"a": " kept inside ", "b": " kept inside "}
    assert brought.paths == {("a",), ("b",)}
    assert " kept inside " in brought.texts


def test_everything_brought_in_is_remembered_as_a_secret(tmp_path: Path) -> None:
    _, brought = resolved(tmp_path, 'a: {b: "x-${NAME}-${HOST}", c: plain, d: "$${NAME}"}\n')
    assert brought.texts == {"value", "prom.example"}
    assert brought.paths == {("a", "b")}
