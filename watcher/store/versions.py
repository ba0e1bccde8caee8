"""How the schema stands to this program: a newer one may have been made by a newer version.

Two versions run on one database during a rolling upgrade. So migrations only add, and where one cannot, it names
itself in `compatibility` as the oldest that a program must know (docs/reliability.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from watcher.store.schema import compatibility

_MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST = "oldest_program"


@dataclass(frozen=True, slots=True)
class Schema:
    """Four-digit revisions: what the store has, what this program knows, the least a program must know to use it."""

    current: str | None
    known: str
    needs: str

    @property
    def newer(self) -> bool:
        """Whether a newer program has been here."""
        return self.current is not None and self.current > self.known

    @property
    def usable(self) -> bool:
        return self.current is not None and self.current >= self.known >= self.needs

    def refusal(self) -> str:
        """Why this program cannot use the newer schema."""
        return (
            f"the store has schema {self.current}, which needs a watcher that knows schema {self.needs}; "
            f"this one knows {self.known}: run the newer version, or restore a backup from before its start"
        )


def schema_of(tx: Connection) -> Schema:
    """How the schema stands now; `current` is None if there is none yet."""
    if not inspect(tx).has_table("alembic_version"):
        return Schema(None, head(), "")
    current: str | None = tx.execute(text("select version_num from alembic_version")).scalar_one_or_none()
    needs = ""
    if current is not None and current > head() and inspect(tx).has_table(compatibility.name):
        query = select(compatibility.c.value).where(compatibility.c.name == OLDEST)
        needs = tx.execute(query).scalar_one_or_none() or ""
    return Schema(current, head(), needs)


@cache
def head() -> str:
    """The newest revision that this program knows: what its file is called up to the first underscore."""
    return max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*_*.py"))
