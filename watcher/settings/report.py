"""Gathers every problem of a configuration, each with its line, and keeps secrets out of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from watcher.errors import ConfigError, Problem
from watcher.settings import shapes, words
from watcher.settings.document import Document, Path, Place, write_path
from watcher.settings.references import References

Model = TypeVar("Model", bound=BaseModel)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
_SHOWN = 60
_NUMBERS = frozenset({"a number", "a whole number"})


class Report:
    """The problems of one document so far."""

    def __init__(self, document: Document, references: References) -> None:
        self._document = document
        self._references = references
        self._secrets = set(references.texts)
        self._problems = list(document.problems)
        self._told = set(self._problems)
        self._paths = {problem.path for _, problem in self._problems}
        self._warnings: list[tuple[Place, Problem]] = []

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return _in_order(self._warnings)

    def add(self, path: Path, message: str) -> None:
        """Notes a problem, unless the value was already spoiled further up the way."""
        if not any(path[: len(spoiled)] == spoiled for spoiled in self._document.spoiled):
            problem = self._problem(path, message)
            if problem not in self._told:
                self._problems.append(problem)
                self._told.add(problem)
                self._paths.add(problem[1].path)

    def warn(self, path: Path, message: str) -> None:
        """Notes what is allowed and yet probably not meant."""
        self._warnings.append(self._problem(path, message))

    def finish(self) -> None:
        """Raises ConfigError with every problem in the order of the file, if there is one."""
        if self._problems:
            raise ConfigError(_in_order(self._problems))

    def spoiled(self, path: Path) -> bool:
        """Whether the value at `path` or something in it could not be read or resolved."""
        return any(spoiled[: len(path)] == path for spoiled in self._document.spoiled)

    def shown(self, path: Path, value: object) -> str | None:
        """`value` as a message may repeat it: only plain text that came from the file itself."""
        if not isinstance(value, str) or path in self._references.paths or value in self._secrets:
            return None
        return value if len(value) <= _SHOWN and value.isprintable() else None

    def mapping(self, value: object, path: Path, expected: str) -> Mapping[str, Any]:
        """`value` if it is a mapping with usable names, else an empty one and a problem."""
        if isinstance(value, dict):
            return value
        self.add(path, words.wrong_type(value, expected))
        return {}

    def name(self, path: Path) -> bool:
        """Whether the last part of `path` may be a name."""
        if NAME.fullmatch(str(path[-1])):
            return True
        self.add(path, "not a name (expected lower-case letters, digits, '.', '_' and '-', at most 100 of them)")
        return False

    def unknown(self, path: Path, what: str, value: object, known: Iterable[str], none: str) -> None:
        """Notes that `value` names nothing of `known`; `none` says so where there is nothing to name."""
        names, given = sorted(known), self.shown(path, value)
        hint = words.nearest(given, names) if given is not None else ""
        which = f'there is no {what} "{given}"' if given is not None else f"there is no such {what}"
        self.add(path, f"{which}{hint} (expected {shapes.one_of(names) if names else none})")

    def validated(
        self, model: type[Model], raw: Mapping[str, Any], path: Path, known: Iterable[str] | None = None
    ) -> Model | None:
        """`raw` as `model`, or None and a problem for everything that is wrong with it.

        `known` are the keys to suggest for an unknown one, if they are more than the model's own.
        """
        self._secrets |= {text for text in shapes.secret_texts(model, raw) if text}
        wanted = {name: shapes.wanted(field) for name, field in model.model_fields.items()}
        # pydantic would take `true` for 1.
        truths = [name for name in wanted if isinstance(raw.get(name), bool) and wanted[name] in _NUMBERS]
        for name in truths:
            self.add((*path, name), words.wrong_type(raw[name], wanted[name]))
        try:
            valid = model.model_validate(raw)
        except ValidationError as error:
            entries = [(_location(entry, raw), entry) for entry in error.errors(include_url=False)]
            around = {where[:length] for where, _ in entries for length in range(len(where))}
            for where, entry in entries:
                # A list with a wrong entry is not too short, nor is a member of a union wrong if another came further.
                if where not in around:
                    self._add_entry(entry, where, model, path, known)
            return None
        return None if truths else valid

    def salvaged(self, model: type[Model], raw: Mapping[str, Any]) -> Model | None:
        """`raw` without the keys that are wrong, so that what the others say can still be checked."""
        keep = dict(raw)
        for _ in (1, 2):
            try:
                return model.model_validate(keep)
            except ValidationError as error:
                for entry in error.errors():
                    keep.pop(str(entry["loc"][0]) if entry["loc"] else "", None)
        return None

    def _add_entry(
        self, entry: Any, inner: Path, model: type[BaseModel], path: Path, known: Iterable[str] | None
    ) -> None:
        where = (*path, *inner)
        if write_path(where) in self._paths:
            return  # the members of a union, or a reader that came before, already said so
        if entry["type"] in words.FOREIGN and self.spoiled(where):
            return  # a rule about several keys, one of which could not be read
        if entry["type"] == "extra_forbidden":
            own = known is not None and len(inner) == 1
            names = sorted(known or ()) if own else shapes.keys_at(model, inner[:-1])
            self.add(where, f"unknown key{words.nearest(str(where[-1]), names)} (expected {shapes.one_of(names)})")
            return
        given = self.shown(where, entry.get("input"))
        self.add(where, words.explain(entry, shapes.wanted_at(model, inner), given, self._scrubbed))

    def _scrubbed(self, message: str) -> str:
        """An adapter's own words may quote what they were given."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            bound = "" if len(secret) > 3 else r"\b"  # a short one would tear words apart
            message = re.sub(bound + re.escape(secret) + bound, "***", message)
        return message

    def _problem(self, path: Path, message: str) -> tuple[Place, Problem]:
        return self._document.problem(self._document.place(path), path, message)


def _in_order(found: list[tuple[Place, Problem]]) -> tuple[Problem, ...]:
    """By place in the file; what stands at the same place stays in the order in which it was found."""
    return tuple(problem for _, problem in sorted(found, key=lambda each: each[0]))


def _location(entry: Any, raw: object) -> Path:
    """Pydantic's location without what is no part of the file: the members of unions and the like."""
    path: list[str | int] = []
    last = len(entry["loc"]) - 1
    for index, part in enumerate(entry["loc"]):
        known = (isinstance(raw, dict) and part in raw) or (
            isinstance(raw, list) and isinstance(part, int) and 0 <= part < len(raw)
        )
        if known:
            raw = raw[part]  # type: ignore[index]  # checked above
            path.append(part)
        elif index == last and entry["type"] == "missing":
            path.append(part)
    return tuple(path)
