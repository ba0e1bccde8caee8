"""Gathers every problem of a configuration, each with its line, and keeps secrets out of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from watcher.errors import ConfigError, Problem
from watcher.settings import words
from watcher.settings.document import Document, Path, write_path
from watcher.settings.references import References

Model = TypeVar("Model", bound=BaseModel)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
_SHOWN = 60


class Report:
    """The problems of one document so far."""

    def __init__(self, document: Document, references: References) -> None:
        self._document = document
        self._references = references
        self._secrets = set(references.texts)
        self._problems = list(document.problems)
        self._warnings: list[Problem] = []

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._warnings, key=lambda problem: problem.line))

    def add(self, path: Path, message: str) -> None:
        """Notes a problem, unless the value was already spoiled further up the way."""
        if not any(path[: len(spoiled)] == spoiled for spoiled in self._document.spoiled):
            problem = self._problem(path, message)
            if problem not in self._problems:
                self._problems.append(problem)

    def warn(self, path: Path, message: str) -> None:
        """Notes what is allowed and yet probably not meant."""
        self._warnings.append(self._problem(path, message))

    def finish(self) -> None:
        """Raises ConfigError with every problem in the order of the file, if there is one."""
        if self._problems:
            raise ConfigError(tuple(sorted(self._problems, key=lambda problem: problem.line)))

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
        self.add(path, f"{which}{hint} (expected {words.one_of(names) if names else none})")

    def validated(
        self, model: type[Model], raw: Mapping[str, Any], path: Path, known: Iterable[str] | None = None
    ) -> Model | None:
        """`raw` as `model`, or None and a problem for everything that is wrong with it.

        `known` are the keys to suggest for an unknown one, if they are more than the model's own.
        """
        self._secrets |= set(_secret_texts(model, raw))
        truths = [name for name, field in model.model_fields.items() if _truth_for_number(raw.get(name), field)]
        for name in truths:
            expected = words.expectation(model.model_fields[name])
            self.add((*path, name), words.wrong_type(raw[name], expected))
        try:
            valid = model.model_validate(raw)
        except ValidationError as error:
            entries = error.errors(include_url=False)
            for entry in entries:
                if entry["type"] == "too_short" and any(_inside(other["loc"], entry["loc"]) for other in entries):
                    continue  # pydantic counts only the entries that are right
                self._add_entry(entry, model, raw, path, known)
            return None
        return None if truths else valid

    def _add_entry(
        self, entry: Any, model: type[BaseModel], raw: Mapping[str, Any], path: Path, known: Iterable[str] | None
    ) -> None:
        where = (*path, *_location(entry, raw))
        if any(problem.path == write_path(where) for problem in self._problems):
            return  # the members of a union, or a reader that came before, already said so
        if entry["type"] in words.FOREIGN and self.spoiled(where):
            return  # a rule about several keys, one of which could not be read
        if entry["type"] == "extra_forbidden":
            names = sorted(known if known is not None and len(where) == len(path) + 1 else _siblings(model, entry))
            hint = words.nearest(str(where[-1]), names)
            self.add(where, f"unknown key{hint} (expected {words.one_of(names)})")
            return
        field = _field(model, where[len(path) :])
        self.add(where, words.explain(entry, field, self.shown(where, entry.get("input")), self._scrubbed))

    def _scrubbed(self, message: str) -> str:
        """An adapter's own words may quote what they were given."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            bound = "" if len(secret) > 3 else r"\b"  # a short one would tear words apart
            message = re.sub(bound + re.escape(secret) + bound, "***", message)
        return message

    def _problem(self, path: Path, message: str) -> Problem:
        document = self._document
        return Problem(document.file, document.line(path), write_path(path), " ".join(message.split()))


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


def _inside(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _field(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field that `path` leads to, through lists and mappings of models."""
    field: FieldInfo | None = None
    inner: type[BaseModel] | None = model
    for part in path:
        if inner is not None and isinstance(part, str) and part in inner.model_fields:
            field = inner.model_fields[part]
            inner = next(_models(field.annotation), None)
        elif inner is None:
            return None
    return field


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _siblings(model: type[BaseModel], entry: Any) -> Iterable[str]:
    field = _field(model, tuple(entry["loc"][:-1]))
    inner = next(_models(field.annotation), None) if field else None
    return (inner or model).model_fields


def _truth_for_number(value: object, field: FieldInfo) -> bool:
    """Pydantic would take `true` for 1."""
    return isinstance(value, bool) and words.expectation(field) in {"a number", "a whole number"}


def _secret_texts(model: type[BaseModel], raw: Any) -> Iterator[str]:
    """Every text in `raw` that stands where the model wants a secret."""
    for name, field in model.model_fields.items() if isinstance(raw, dict) else ():
        value = raw.get(name)
        if "SecretStr" in repr(field.annotation):
            yield from _texts(value)
        for inner in _models(field.annotation):
            for item in value if isinstance(value, list) else [value]:
                yield from _secret_texts(inner, item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
