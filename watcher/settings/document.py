"""A YAML file as plain values that remember their lines.

Plain scalars follow YAML 1.2's core schema, so `no`, `on` and `2026-11-22` stay text; every key is text. A key that
stands twice, a tag, an endless alias: each is a problem with its line, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from watcher.errors import ConfigError, Problem
from watcher.settings import yaml12

Path = tuple[str | int, ...]
Place = tuple[int, int]

_MAX_BYTES = 4 * 1024 * 1024
_MAX_VALUES = 100_000  # aliases of aliases can blow a few lines up to billions of values


def write_path(path: Path) -> str:
    """`("server", "tokens", 0, "name")` -> `server.tokens[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


@dataclass(slots=True)
class Document:
    """Plain values, where every key and list item stands, and what is wrong so far.

    Attributes:
        places: line and column, both from 1.
        problems: each with its place.
        spoiled: paths whose value is not what the file meant; nothing more is to be said of them.
    """

    file: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[tuple[Place, Problem]] = field(default_factory=list)
    spoiled: set[Path] = field(default_factory=set)

    def place(self, path: Path) -> Place:
        """Where `path` stands, or the nearest thing around it that is in the file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def problem(self, place: Place, path: Path, message: str) -> tuple[Place, Problem]:
        """One line, whatever the file's own keys hold."""
        return place, Problem(self.file, place[0], _one_line(write_path(path)), _one_line(message))


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def read(file: str) -> Document:
    """The document in `file`; ConfigError if it cannot be read or is not YAML at all."""
    text = _read_text(file)
    document = Document(file)
    loader = yaml12.Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            document.value = _Builder(document).value(node, ())
    except yaml.MarkedYAMLError as error:
        line = yaml12.error_line(error)
        raise _failed(file, line, yaml12.syntax(error, _line_of(text, line))) from None
    except yaml12.RefusedError as error:
        raise _failed(file, error.line, error.message) from None
    except (ValueError, OverflowError):  # an escape that is no character
        raise _failed(file, loader.line + 1, "a \\ escape names no character (expected YAML)") from None
    finally:
        loader.dispose()
    return document


def _failed(file: str, line: int, message: str) -> ConfigError:
    return ConfigError((Problem(file, line, "", message),))


def _read_text(file: str) -> str:
    path = FilePath(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise _failed(file, 1, "there is no such file (expected a YAML file)") from None
    except IsADirectoryError:
        raise _failed(file, 1, "is a directory (expected a YAML file)") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise _failed(file, 1, f"cannot be read: {reason} (expected a YAML file)") from None
    if len(data) > _MAX_BYTES:
        raise _failed(file, 1, f"larger than {_MAX_BYTES} bytes (expected a YAML file)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _failed(file, line, "not UTF-8 (expected text in UTF-8)") from None
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise _failed(file, line, f"holds the control character U+{ord(odd[0]):04X} (expected text in UTF-8)")
    return text


def _line_of(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1] if 0 < line <= len(lines) else ""


class _Builder:
    """Turns composed nodes into values and notes lines and problems in the document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _MAX_VALUES
        self._depth = 0
        self._reported: set[int] = set()  # nodes; an alias is met again wherever it is used

    def value(self, node: yaml.Node, path: Path) -> Any:
        with self._deeper(node):
            return self._value(node, path)

    @contextmanager
    def _deeper(self, node: yaml.Node) -> Iterator[None]:
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > yaml12.MAX_DEPTH:
            raise yaml12.RefusedError(
                _line(node), "grows without end (expected aliases that are not nested in themselves)"
            )
        yield
        self._depth -= 1

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == yaml12.TAG + "map":
            result: dict[str, Any] = {}
            self._fill(node, path, result)
            return result
        if isinstance(node, yaml.SequenceNode) and node.tag == yaml12.TAG + "seq":
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return self._spoil(node, path, "a tag that means nothing here (expected a plain value)")

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self._document.places[path] = _place(node)
        return self.value(node, path)

    def _fill(self, node: yaml.MappingNode, path: Path, result: dict[str, Any]) -> None:
        """Adds the node's own keys, then those of `<<`; a key that is there already wins."""
        seen: dict[str, int] = {}
        merges: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, path, "a key that is no text (expected key: value)")
            elif key.value in seen:
                what = f"the key stands twice, first in line {seen[key.value]} (expected it once)"
                self._problem(key, (*path, key.value), what)
            else:
                seen[key.value] = _line(key)
                if key.tag == yaml12.TAG + "merge":
                    merges.append(value)
                elif key.value not in result:
                    self._document.places[*path, key.value] = _place(key)
                    result[key.value] = self.value(value, (*path, key.value))
        for merged in merges:
            for part in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
                self._merge(part, path, result)

    def _merge(self, node: yaml.Node, path: Path, result: dict[str, Any]) -> None:
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, (*path, "<<"), "merges no mapping (expected << with an alias such as *name)")
            return
        with self._deeper(node):
            self._fill(node, path, result)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        build = yaml12.SCALARS.get(node.tag.removeprefix(yaml12.TAG))
        if build is None:
            return self._spoil(node, path, "a tag that means nothing here (expected a plain value)")
        try:
            value = build(node.value)
            str(node.value).encode()
        except UnicodeEncodeError:
            return self._spoil(node, path, "half of a character (expected text in UTF-8)")
        except (ValueError, KeyError):
            return self._spoil(node, path, "not a value that can be used (expected a plain one)")
        return value

    def _spoil(self, node: yaml.Node, path: Path, message: str) -> None:
        self._problem(node, path, message)
        self._document.spoiled.add(path)

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        if id(node) not in self._reported:
            self._reported.add(id(node))
            self._document.problems.append(self._document.problem(_place(node), path, message))


def _place(node: yaml.Node) -> Place:
    return int(node.start_mark.line) + 1, int(node.start_mark.column) + 1


def _line(node: yaml.Node) -> int:
    return _place(node)[0]
