"""YAML as plain values with lines: what is read, where it stands, and what is refused without an exception."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watcher.errors import ConfigError
from watcher.settings import document


def read(folder: Path, text: str) -> document.Document:
    file = folder / "c.yaml"
    file.write_text(text, "utf-8")
    return document.read(str(file))


def problems(found: document.Document) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.path, problem.message) for _, problem in found.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("2026-11-22", "2026-11-22"),
        ("1:30", "1:30"),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("-5", -5),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".", "."),
        ("3%", "3%"),
        ("~", None),
        ("", None),
        ("null", None),
        ('"null"', "null"),
        ("=", "="),
        ("!!str 5", "5"),
        ("'5'", "5"),
    ],
)
def test_scalars_follow_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    found = read(tmp_path, f"a: {text}\n").value["a"]
    assert (type(found), found) == (type(value), value)


def test_every_key_is_text(tmp_path: Path) -> None:
    assert read(tmp_path, "on: 1\n404: 2\nnull: 3\ntrue: 4\n").value == {"on": 1, "404": 2, "null": 3, "true": 4}


def test_lines_of_keys_and_items(tmp_path: Path) -> None:
    found = read(tmp_path, "a:\n  b: 1\n  c:\n  - x\n  - y: 2\n")
    assert {path: line for path, (line, _) in found.places.items()} == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "y"): 5,
    }
    assert found.place(("a", "missing"))[0] == 1
    assert found.place(("a", "c", 1, "z", "deeper")) == (5, 5)
    assert found.place(("elsewhere",)) == (1, 1)


def test_merge_keys_own_keys_win_and_lines_are_those_of_the_text(tmp_path: Path) -> None:
    found = read(
        tmp_path, "base: &base\n  x: 1\n  y: 2\nother: &other {y: 3, z: 4}\nc:\n  <<: [*base, *other]\n  x: 5\n"
    )
    assert found.value["c"] == {"x": 5, "y": 2, "z": 4}
    assert found.places["c", "x"] == (7, 3)
    assert found.places["c", "y"] == (3, 3)
    assert not found.problems


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    found = read(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert found.value == {"a": 1, "b": {"c": 1}}
    assert [(line, path) for line, path, _ in problems(found)] == [(2, "b.c"), (3, "a")]
    assert problems(found)[1][2] == "the key stands twice, first in line 1 (expected it once)"


def test_a_problem_in_an_anchor_is_told_once(tmp_path: Path) -> None:
    found = read(tmp_path, "a: &a {b: 1, b: 2}\nc: *a\nd:\n  <<: *a\n")
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: !secret x\n", "a"),
        ("a: !!python/object:os.system x\n", "a"),
        ("a: !!set {b}\n", "a"),
        ("a: !!int 5x\n", "a"),
        ("a: !!bool yes\n", "a"),
    ],
)
def test_a_tag_spoils_its_value_only(tmp_path: Path, text: str, path: str) -> None:
    found = read(tmp_path, text + "b: 1\n")
    assert [path for _, path, _ in problems(found)] == [path]
    assert found.spoiled == {(path,)}
    assert found.value["b"] == 1


def test_numbers_without_end_and_half_characters(tmp_path: Path) -> None:
    found = read(tmp_path, f'a: {"9" * 5000}\nb: "\\ud800"\nc: 1e999\n')
    assert [path for _, path, _ in problems(found)] == ["a", "b"]
    assert found.value["c"] == float("inf")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1,\nc: 2\n", 2, "not valid YAML"),
        ("a:\n\tb: 1\n", 2, "spaces, not tabs"),
        ("a: {b: ${X}}\n", 1, 'quotes around "${...}"'),
        ("a: *nowhere\n", 1, "an anchor &name before its alias"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', 2, "names no character"),
        ("a: 1\n---\nb: 2\n", 2, "single document"),
        ("a: &a [*a]\n", 1, "grows without end"),
        ("a: &a\n  <<: *a\n", 1, "grows without end"),
        ("[" * 5000, 1, "nested deeper"),
        ("a: \x07\n", 1, "control character U+0007"),
    ],
)
def test_what_is_no_yaml_has_one_problem_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    (problem,) = raised.value.problems
    assert (problem.line, words in problem.message) == (line, True), problem


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="grows without end"):
        read(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    "text", ["password: *hunter22\n", "password: !hunter22 x\n", "password: 'hunter22\n", "password: %hunter22\n"]
)
def test_no_problem_repeats_the_text(tmp_path: Path, text: str) -> None:
    try:
        messages = str(problems(read(tmp_path, text)))
    except ConfigError as error:
        messages = str(error)
    assert "c.yaml:1: " in messages or "(1, 'password'" in messages
    assert "hunter" not in messages


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    for name, line, words in (
        ("missing.yaml", 1, "no such file"),
        (".", 1, "is a directory"),
        ("latin.yaml", 2, "not UTF-8"),
        ("large.yaml", 1, "larger than"),
        ("nul\0.yaml", 1, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words) as raised:
            document.read(str(tmp_path / name))
        assert raised.value.problems[0].line == line


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert document.read(str(tmp_path / "c.yaml")).value == {"a": 1}


_PIECES = st.sampled_from(
    [
        *"abc:-[]{},&*!|>'\"%@`#?~\n\t \\$<=0159.",
        "\n  ",
        ": ",
        "- ",
        "<<: ",
        "*a",
        "&a ",
        "${",
        "!!",
        "\\u",
        "---\n",
        "é",
    ]
)


@given(st.lists(_PIECES, max_size=40).map("".join))
@example("? [a]\n: b")
@example("%YAML 3.0\n---\na")
@example("%TAG ! tag:x,%ff:\n--- !x a")
@example("!<tag:%c3> a")
def test_no_text_raises_anything_but_a_configuration_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, "utf-8")
    found: tuple[object, ...] = ()
    try:
        found = (document.read(str(file)),)
    except ConfigError as error:
        found = error.problems
    assert found
