"""Rows that a newer version of the program wrote, with words that this one does not know: they are left to whoever
knows them, and fail no other row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import ValidationError

from watcher.store.database import Tx

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)


def readable(tx: Tx, rows: Iterable[Any], reads: Callable[[Any], T]) -> list[T]:
    """What `reads` makes of `rows`, without those that it does not understand (`ValueError`): these are told of."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(reads(row))
        except ValueError as error:
            tx.get_execution_options()["unknown"](row.id, _words(error))
    return found


def word(kind: type[Word], text: str, unknown: Word) -> Word:
    """The word `text`, or `unknown`."""
    try:
        return kind(text)
    except ValueError:
        return unknown


def _words(error: ValueError) -> str:
    """Without what was read: it may be a customer's."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
