"""PyYAML's parser as we use it: the plain scalars of YAML 1.2, a limit on nesting, and its mistakes in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

TAG = "tag:yaml.org,2002:"
MAX_DEPTH = 40


class RefusedError(Exception):
    """The text is YAML, and yet nothing that could be a configuration."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def error_line(error: yaml.MarkedYAMLError) -> int:
    """Where the mistake is: of what is never closed that is where it begins, not the end of the file."""
    open_ended = error.context_mark is not None and "stream" in (error.problem or "")
    mark = error.context_mark if open_ended else error.problem_mark
    return int(mark.line) + 1 if mark else 1


def syntax(error: yaml.MarkedYAMLError, line: str) -> str:
    """What PyYAML found, without the file's own words: they may be a secret."""
    found = re.sub(r"'([^']*)'", _harmless, ": ".join(filter(None, (error.context, error.problem))))
    found = " ".join(found.split())
    if "alias" in found:
        hint = "an anchor &name before its alias *name, or quotes around text that begins with *"
    elif "${" in line:
        hint = 'quotes around "${...}" inside { } or [ ]'
    elif "\t" in line:
        hint = "spaces, not tabs, before a key"
    elif "mapping values" in found:
        hint = "quotes around text that has ': ' in it"
    else:
        hint = "YAML"
    return f"not valid YAML: {found} (expected {hint})"


def _harmless(quoted: re.Match[str]) -> str:
    """PyYAML quotes single characters and `<names>` of its own; the rest is the file's."""
    inside = quoted[1]
    return quoted[0] if len(inside) <= 2 or inside.startswith("<") else "..."


class Loader(yaml.SafeLoader):
    """PyYAML's parser with the plain scalars of YAML 1.2 and a limit on nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise RefusedError(self.line + 1, f"nested deeper than {MAX_DEPTH} levels (expected a flat configuration)")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_PLAIN: tuple[tuple[str, str, str], ...] = (
    # tag, pattern, first characters; https://yaml.org/spec/1.2.2/#1032-tag-resolution
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
)
Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _PLAIN:
    Loader.add_implicit_resolver(TAG + _tag, re.compile(rf"(?:{_pattern})\Z"), [c.replace("\0", "") for c in _first])


def _integer(text: str) -> int:
    if len(text) > 100:
        raise ValueError
    return int(text, 0 if text[:2] in {"0x", "0o"} else 10)


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": _float,
    "merge": str,
}
