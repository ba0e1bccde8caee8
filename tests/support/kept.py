"""What a store holds of the one watch that most tests have, `w-1`."""

from __future__ import annotations

from watcher.model.order import Note, Topic
from watcher.model.watch import Watch
from watcher.store import orders, watches
from watcher.store.database import Database


class Kept:
    """For a test's own class, which has the store."""

    database: Database

    def watch(self) -> Watch:
        with self.database.read() as tx:
            found = watches.get(tx, "w-1")
        assert found is not None
        return found

    def topics(self) -> list[Topic]:
        """Of the notes for people, in order."""
        with self.database.read() as tx:
            return [order.payload.topic for order in orders.notes_of(tx, "w-1") if isinstance(order.payload, Note)]
