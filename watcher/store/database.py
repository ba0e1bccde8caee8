"""Connections, transactions and migrations. Every fault of the database is a `StoreUnavailableError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Float, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from watcher.errors import StoreUnavailableError

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 10
_MIGRATION_LOCK = 7_316_021  # any number that no other program on the database uses

Tx = Connection  # what the functions of this room take: an open transaction


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


class Database:
    """The one store; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """`url` is an SQLAlchemy URL of SQLite or PostgreSQL (`postgresql+psycopg://`)."""
        self.url = url
        self._sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writing = Lock()  # SQLite has one writer: queue here rather than poll its lock
        self._engine = _sqlite_engine(url) if self._sqlite else _postgresql_engine(url)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads."""
        with _translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that is durable once the block ends, or undone whole if it raises."""
        with _translated():
            if not self._sqlite:
                with self._engine.begin() as connection:
                    yield connection
                return
            immediate = self._engine.execution_options(immediate=True)
            with self._writing, immediate.begin() as connection:
                yield connection

    def migrate(self) -> None:
        """Brings the schema to this version's, leaving a newer one alone; safe when several replicas start at once."""
        with self.read() as tx:
            if (_revision(tx) or "") >= _newest():
                return
        from watcher.store import migrating  # noqa: PLC0415  # a quarter of a second that a current schema need not pay

        with _translated(), self._engine.connect() as connection:
            if not self._sqlite:
                connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            migrating.upgrade(connection.execution_options(immediate=True), self.url)
            connection.commit()

    def ready(self) -> bool:
        """Whether the store answers and its schema is this version's or newer."""
        try:
            with self.read() as tx:
                current = _revision(tx)
        except StoreUnavailableError:
            return False
        return current is not None and current >= _newest()

    def close(self) -> None:
        self._engine.dispose()


def _revision(tx: Tx) -> str | None:
    """The schema's revision; None if there is no schema yet."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("select version_num from alembic_version")).scalar_one_or_none()
    return revision


@cache
def _newest() -> str:
    """The newest revision of this version: what its file is called up to the first underscore."""
    return max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*_*.py"))


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, pool_size=8)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("pragma journal_mode = wal")
        cursor.execute("pragma synchronous = full")  # an accepted deploy survives a power cut
        cursor.execute("pragma foreign_keys = on")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("begin immediate" if immediate else "begin")

    return engine


def _postgresql_engine(url: str) -> Engine:
    return create_engine(url, pool_pre_ping=True, pool_size=8, connect_args={"connect_timeout": _BUSY_SECONDS})


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        # The driver's own words only: the statement's parameters may hold customers' data.
        raise StoreUnavailableError(f"the store failed: {type(error.orig).__name__}: {error.orig}") from None
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"the store failed: {type(error).__name__}") from None
