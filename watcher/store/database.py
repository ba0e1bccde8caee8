"""Connections and transactions. Every fault of the database is a `StoreUnavailableError`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, Float, Select, Table, make_url, or_, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from watcher.errors import StoreUnavailableError
from watcher.store.engines import postgresql_engine, sqlite_engine
from watcher.store.shared_clock import SharedClock
from watcher.store.together import Work, together
from watcher.store.versions import Schema, schema_of

# Any numbers that no other program on the database uses.
_MIGRATION_LOCK = 7_316_021
_WRITER_LOCK = 7_316_022

_PERMANENT = ("unable to open database file", "readonly database")  # SQLite's words

Tx = Connection  # what the functions of this room take: an open transaction
Query = TypeVar("Query", bound=Select[Any])


class database_time(GenericFunction[float]):  # noqa: N801  # the name is the SQL function's
    """The database's own clock, unix seconds: leases of several replicas must not rest on their hosts' clocks."""

    type = Float()
    inherit_cache = True


@compiles(database_time, "sqlite")
def _sqlite_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_time, "postgresql")
def _postgresql_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


def free_to_take(lease_until: Any, lease_seconds: Any) -> Any:
    """Whether nobody holds a row: its lease has ended, or ends later than any can, for the clock was set back."""
    return or_(lease_until < database_time(), lease_until > database_time() + 2 * lease_seconds)


class Database:
    """The one store; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """`url` is an SQLAlchemy URL of SQLite or PostgreSQL (`postgresql+psycopg://`)."""
        self.url = url
        self.on_unknown: Callable[[str, str], None] = lambda _row, _why: (
            None
        )  # told once of a row that is not understood
        self._noticed: set[str] = set()
        self._sqlite = make_url(url).get_backend_name() == "sqlite"
        self._file = make_url(url).database if self._sqlite else None
        self.clock = SharedClock()
        self._writing = Lock()  # SQLite has one writer: queue here rather than poll its lock
        self._engine = sqlite_engine(url) if self._sqlite else postgresql_engine(url)
        self._engine.update_execution_options(unknown=self._notice)
        self._immediate = self._engine.execution_options(immediate=True)
        self._alone = self._engine.execution_options(alone=True)

    @classmethod
    def existing(cls, url: str) -> Database:
        """The store at `url`, where there is one: SQLite makes an empty one of a file that is not there.

        Raises:
            StoreUnavailableError: (permanent) there is no such file.
        """
        made = cls(url)
        if made._file is not None and not Path(made._file).is_file():
            raise StoreUnavailableError(f"{made._file}: there is no such store", permanent=True)
        return made

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads."""
        with _translated(self._file), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[Tx]:
        """A transaction that is durable once the block ends, or undone whole if it raises.

        Such transactions run one after another, over all replicas, so that each may decide from what it reads. With
        `alone` False it runs beside them: for writes that add rows, or change rows under a lease or a fence.
        """
        with _translated(self._file):
            if not self._sqlite:
                with (self._alone if alone else self._engine).begin() as connection:
                    if alone:
                        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
                    yield connection
                return
            with self._writing, self._immediate.begin() as connection:
                yield connection

    def together(self, works: Sequence[Work]) -> list[Any]:
        """Runs functions in one transaction that is alone (group commit); what each returned, or its exception."""
        return together(self.write, works)

    def migrate(self) -> Schema:
        """Brings the schema to this version's; safe when several replicas start at once.

        Raises:
            StoreUnavailableError: the store does not answer, or (permanent) cannot be used.
        """
        with self.read() as tx:
            schema = schema_of(tx)
        if schema.current is None or schema.current < schema.known:
            schema = self._upgraded()
        if not schema.usable:
            raise StoreUnavailableError(schema.refusal(), permanent=True)
        return schema

    def _upgraded(self) -> Schema:
        from watcher.store import migrating  # noqa: PLC0415  # a quarter of a second that a current schema need not pay

        with _translated(self._file), self._immediate.connect() as connection:
            if not self._sqlite:
                connection.execute(text("set local lock_timeout = 0"))
                connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            schema = schema_of(connection)
            if not schema.newer:  # than ours, by a newer version that was faster
                migrating.upgrade(connection, self.url)
                schema = schema_of(connection)
            connection.commit()
            return schema

    def ready(self) -> bool:
        """Whether the store answers and this program can use its schema."""
        try:
            with self.read() as tx:
                return schema_of(tx).usable
        except StoreUnavailableError:
            return False

    def _notice(self, row_id: str, why: str) -> None:
        if row_id not in self._noticed:
            self._noticed.add(row_id)
            self.on_unknown(row_id, why)

    def close(self) -> None:
        self._engine.dispose()


def locked(tx: Tx, query: Query, table: Table) -> Query:
    """`query`; in a transaction that is alone, the rows of `table` that it finds stay as they are until it ends.

    Others still write beside it: a look that is being written must be seen, or wait.
    """
    if not tx.get_execution_options().get("alone", False):
        return query
    key = (query, table)
    if key not in _locked:
        _locked[key] = query.with_for_update(of=table, key_share=True)
    found: Query = _locked[key]
    return found


# Queries are made once and hold parameters: making one costs more than asking it.
_locked: dict[Any, Any] = {}


@contextmanager
def _translated(file: str | None) -> Iterator[None]:
    """Errors of the driver in its own words, on one line; SQLite's do not name the file."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        # The driver's own words only: the statement's parameters may hold customers' data.
        words = f"the store failed: {type(error.orig).__name__}: {' '.join(str(error.orig).split())}"
        words += f" ({file})" if file else ""
        raise StoreUnavailableError(words, permanent=not _may_pass(error)) from None
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"the store failed: {type(error).__name__}") from None


def _may_pass(error: DBAPIError) -> bool:
    """Whether waiting can help: a server that is away or busy, not a file that cannot be opened or written."""
    return isinstance(error, OperationalError) and not any(words in str(error.orig) for words in _PERMANENT)
