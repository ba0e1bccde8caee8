"""Statements that every deploy or every look needs, compiled once and run at the driver.

SQLAlchemy makes a statement for either database, but its way to the driver costs ten times what SQLite then takes.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.exc import DBAPIError

from watcher.store.database import Tx, locked


@dataclass(frozen=True, slots=True)
class _Compiled:
    """`order`: names of the parameters by position, or None where the driver takes them by name; `preset`: those that
    stand in the statement itself; `row`: makes a named row of a tuple.
    """

    text: str
    order: tuple[str, ...] | None
    preset: Mapping[str, Any]
    row: Callable[[Iterable[Any]], Any]

    def bound(self, given: Mapping[str, Any]) -> Any:
        values = {**self.preset, **given}
        return values if self.order is None else [values[name] for name in self.order]


class Prepared:
    """One statement, for both databases; its parameters have the same names at every run."""

    def __init__(self, statement: Executable | Callable[[str], Executable], locks: Table | None = None) -> None:
        """`statement`, or what makes it for a dialect's name; `locks`: whose rows it locks, as `locked` does."""
        self._statement = statement
        self._locks = locks
        self._compiled: dict[tuple[str, bool], _Compiled] = {}

    def rows(self, tx: Tx, **given: Any) -> Sequence[Any]:
        """The rows, whose columns are attributes."""
        compiled = self._for(tx, given)
        return [compiled.row(row) for row in self._run(tx, compiled, lambda cursor: cursor.fetchall(), given)]

    def tuples(self, tx: Tx, **given: Any) -> Sequence[Sequence[Any]]:
        """The rows as the driver gives them, where there are many."""
        rows: Sequence[Sequence[Any]] = self._run(tx, self._for(tx, given), lambda cursor: cursor.fetchall(), given)
        return rows

    def first(self, tx: Tx, **given: Any) -> Any:
        """The first row, or None."""
        return next(iter(self.rows(tx, **given)), None)

    def write(self, tx: Tx, given: Mapping[str, Any]) -> int:
        """How many rows were written.

        Raises:
            IntegrityError: a row contradicts others.
        """
        number: int = self._run(tx, self._for(tx, given), lambda cursor: cursor.rowcount, given)
        return number

    def write_all(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same for several rows; none may be given."""
        if rows:
            self._run(tx, self._for(tx, rows[0]), lambda _cursor: None, rows)

    def _run(self, tx: Tx, compiled: _Compiled, result: Callable[[Any], Any], given: Any) -> Any:
        cursor = tx.connection.cursor()
        try:
            if isinstance(given, Mapping):
                cursor.execute(compiled.text, compiled.bound(given))
            else:
                cursor.executemany(compiled.text, [compiled.bound(row) for row in given])
            return result(cursor)
        except tx.dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                compiled.text,
                None,  # parameters may hold customers' data
                error,
                tx.dialect.loaded_dbapi.Error,
                hide_parameters=True,
                dialect=tx.dialect,
            ) from error
        finally:
            cursor.close()

    def _for(self, tx: Tx, given: Mapping[str, Any]) -> _Compiled:
        key = tx.dialect.name, tx.get_execution_options().get("alone", False)
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = self._compile(tx, given)
        return compiled

    def _compile(self, tx: Tx, given: Mapping[str, Any]) -> _Compiled:
        statement: Any = self._statement(tx.dialect.name) if callable(self._statement) else self._statement
        if self._locks is not None:
            statement = locked(tx, statement, self._locks)
        made = statement.compile(dialect=tx.dialect, column_keys=list(given))
        order = tuple(made.positiontup) if made.positional else None
        row = namedtuple("Row", [column.name for column in statement.exported_columns])  # type: ignore[misc]  # noqa: PYI024  # its columns are the statement's
        return _Compiled(str(made), order, made.params, row._make)
