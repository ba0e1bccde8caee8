"""How connections are made: everything that one database wants set differently from the other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

BUSY_SECONDS = 10  # for a lock, or for a connection

# A replica that is stopped or cut off in the middle of a transaction must not keep its locks.
_SESSION = (
    "set idle_in_transaction_session_timeout = '5s'",
    f"set lock_timeout = '{BUSY_SECONDS}s'",
)
# A server that vanished without a word is noticed within about ten seconds.
_KEEPALIVES = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def sqlite_engine(url: str) -> Engine:
    """Write-ahead log, every commit on the disk; transactions begin `immediate` where the options say so."""
    options: dict[str, Any] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, pool_size=8, hide_parameters=True, connect_args=options)

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


def postgresql_engine(url: str) -> Engine:
    """Connections that were lost are replaced when they are next wanted."""
    options: dict[str, Any] = {"connect_timeout": BUSY_SECONDS, **_KEEPALIVES}
    engine = create_engine(url, pool_pre_ping=True, pool_size=8, hide_parameters=True, connect_args=options)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
        connection.commit()

    return engine
