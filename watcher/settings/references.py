"""What is not in the file itself: `${NAME}`, `${NAME:-default}` inside a text, and `file:PATH` as a whole text.

What they bring in is taken for a secret: it is remembered so that no message ever repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from watcher.settings.document import Document, Path

_MAX_BYTES = 1024 * 1024
_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}|)", re.ASCII)
_FORM = "${NAME} or ${NAME:-default}; $${ stands for a plain ${"


@dataclass(slots=True)
class References:
    """What was brought in.

    Attributes:
        texts: every text that came from outside the file.
        paths: where such a text stands, alone or as a part.
    """

    texts: set[str] = field(default_factory=set)
    paths: set[Path] = field(default_factory=set)


class _UnresolvedError(Exception):
    pass


def resolve(document: Document, environ: Mapping[str, str]) -> References:
    """Replaces every reference in `document.value`; what cannot be replaced is noted as a problem there."""
    references = References()

    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or not ("${" in value or value.startswith("file:")):
            return value
        try:
            return _resolved(value, path, document.file, environ, references)
        except _UnresolvedError as error:
            document.problems.append(document.problem(document.place(path), path, str(error)))
            document.spoiled.add(path)
            return None

    document.value = walk(document.value, ())
    return references


def _resolved(raw: str, path: Path, file: str, environ: Mapping[str, str], references: References) -> str:
    parts: set[str] = set()
    is_file = raw.startswith("file:")
    text = _interpolated(raw.removeprefix("file:") if is_file else raw, environ, parts)
    if is_file:
        text = _content(FilePath(file).parent / text, raw if not parts else "the file")
        parts.add(text)
    if not text:
        raise _UnresolvedError("nothing is left of the text (expected a default that is not empty)")
    if parts:
        references.texts |= parts
        references.paths.add(path)
    return text


def _interpolated(raw: str, environ: Mapping[str, str], parts: set[str]) -> str:
    def one(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name, default = found[1], found[2]
        if name is None:
            raise _UnresolvedError(f"a ${{ that names no variable (expected {_FORM})")
        value = environ.get(name, "") or (default or "").removeprefix(":-")
        if not value and default is None:
            state = "is empty" if name in environ else "is not set"
            raise _UnresolvedError(
                f"the environment variable {name} {state} (expected a value, or a default: ${{{name}:-default}})"
            )
        parts.add(value)
        return value

    return _REFERENCE.sub(one, raw)


def _content(path: FilePath, name: str) -> str:
    """The file's text without the line break at its end."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _UnresolvedError(f"{name} is not UTF-8 (expected a text file)") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a file name").lower()
        raise _UnresolvedError(f"{name} cannot be read: {reason} (expected a text file)") from None
    if len(data) > _MAX_BYTES:
        raise _UnresolvedError(f"{name} is larger than {_MAX_BYTES} bytes (expected a short text file)")
    if not text:
        raise _UnresolvedError(f"{name} is empty (expected a text file)")
    return text
