"""The tables. Times are unix seconds; JSON is text, so that both databases keep it byte for byte."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def spelled(word: str) -> ColumnElement[str]:
    """`word` as a part of the statement, for words of ours that never change.

    SQLite plans a statement anew each time a parameter is bound that a partial index is compared with, and a list of
    parameters is written anew by SQLAlchemy: either costs more than asking.
    """
    return literal_column(f"'{word}'", Text)


# What a program must know of the schema before it may use it.
compatibility = Table(
    "compatibility",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Every message that was answered, so that a repeat gets the same answer.
deliveries = Table(
    "deliveries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("received_at", Float, nullable=False, index=True),
    Column("answer", Text, nullable=False),
)

deploys = Table(
    "deploys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("identity", Text, nullable=False, unique=True),
    Column("hook", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("previous_version", Text),
    Column("received_at", Float, nullable=False, index=True),
    Column("started_at", Float, nullable=False, index=True),
    Column("finished_at", Float),
    Column("services", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("links", Text, nullable=False),
    Column("rollback_id", Text),
)

watches = Table(
    "watches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("deploy_id", Text, ForeignKey("deploys.id"), nullable=False, index=True),
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("previous_version", Text),
    Column("policy", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("ticket_until", Float, nullable=False),
    Column("created_at", Float, nullable=False, index=True),
    Column("next_look_at", Float, index=True),
    Column("last_look_at", Float),
    Column("outcome", Text),
    Column("reason", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("decided_at", Float),
    Column("ended_at", Float, index=True),
    Column("recovery_until", Float),
    Column("recovered", Integer),
    Column("blind_seconds", Float, nullable=False),
    Column("superseded_by", Text),
    Column("owner", Text),
    Column("lease_until", Float, nullable=False, server_default=text("0")),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("deploy_id", "service", "environment"),
    Index("ix_watches_service_environment_state", "service", "environment", "state"),
    Index("ix_watches_service_environment_finished_at", "service", "environment", "finished_at"),
    Index("ix_watches_state", "state"),
    Index("ix_watches_state_created_at", "state", "created_at"),
    Index("ix_watches_service_created_at", "service", "created_at"),
)

looks = Table(
    "looks",
    metadata,
    Column("watch_id", Text, ForeignKey("watches.id"), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("made_at", Float, nullable=False),
    Column("outcome", Text),
    Column("reason", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("findings", Text, nullable=False),
    Column("failures", Text, nullable=False),
    Column("record", Text),
)

points = Table(
    "points",
    metadata,
    Column("watch_id", Text, ForeignKey("watches.id"), primary_key=True),
    Column("signal", Text, primary_key=True),
    Column("at", Float, primary_key=True),
    Column("value", Float),
    Column("total", Float),
    Column("expected", Float),
    Column("low", Float),
    Column("high", Float),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("watch_id", Text, ForeignKey("watches.id"), primary_key=True),
    Column("made_at", Float, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# Calibrations that looks rested on while not every history could be read.
provisional_calibrations = Table(
    "provisional_calibrations",
    metadata,
    Column("watch_id", Text, ForeignKey("watches.id"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("made_at", Float, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# What a point was until a source said otherwise; `absent`: it was not there.
replaced_points = Table(
    "replaced_points",
    metadata,
    Column("watch_id", Text, ForeignKey("watches.id"), primary_key=True),
    Column("signal", Text, primary_key=True),
    Column("at", Float, primary_key=True),
    Column("replaced_at", Float, primary_key=True),
    Column("absent", Integer, nullable=False),
    Column("value", Float),
    Column("total", Float),
)

# What rehearsals found, the newest few of each service.
rehearsals = Table(
    "rehearsals",
    metadata,
    Column("service", Text, primary_key=True),
    Column("made_at", Float, primary_key=True),
    Column("data", Text, nullable=False),
)

# The outbox. `state` is a RollbackState for a rollback and a drill, a NoteState for a note; a drill has no watch.
orders = Table(
    "orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("watch_id", Text, ForeignKey("watches.id"), index=True),
    Column("target", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("next_at", Float, index=True),
    Column("expires_at", Float),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("detail", Text, nullable=False, server_default=text("''")),
    Column("reference", Text, nullable=False, server_default=text("''")),
    Column("decided_by", Text),
    Column("held", Text),
    Column("owner", Text),
    Column("lease_until", Float, nullable=False, server_default=text("0")),
    Column("fence", Integer, nullable=False, server_default=text("0")),
)
Index("ix_orders_kind_state", orders.c.kind, orders.c.state)
Index(
    "uq_orders_one_rollback_per_watch",
    orders.c.watch_id,
    unique=True,
    sqlite_where=orders.c.kind == "rollback",
    postgresql_where=orders.c.kind == "rollback",
)

# What budgets are counted by.
Index(
    "ix_orders_rollbacks",
    orders.c.created_at,
    sqlite_where=orders.c.kind == "rollback",
    postgresql_where=orders.c.kind == "rollback",
)

# What happened to a watch, for people: the audit log.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("watch_id", Text, ForeignKey("watches.id"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("event", Text, nullable=False),
    Column("text", Text, nullable=False),
)

memory_values = Table(
    "memory_values",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

memory_points = Table(
    "memory_points",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("at", Float, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Float, nullable=False),
    sqlite_with_rowid=False,
)

# Work that only one replica may do at a time, by name.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("fence", Integer, nullable=False, server_default=text("0")),
)
