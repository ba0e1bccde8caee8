"""Who is connected and what is held for them; and who has to go when it is too much: who lets us wait, never who waits
for us.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

MOST_CONNECTIONS = 1000
MOST_HELD = 32 * 1024 * 1024  # bytes, of all connections
# Nobody is sent away for less: that many bytes of every connection are no more than what may be held.
NEVER_TOO_LARGE = MOST_HELD // MOST_CONNECTIONS

Member = TypeVar("Member")


class Crowd(Generic[Member]):
    """The connections of a server; for use in one thread. It only says who has to go, and is told once they have gone.

    Of `most` connections a fifth is for clients that we wait for, so that whoever comes next has the time to ask.

    Attributes:
        held: bytes, for all of them together.
    """

    def __init__(self, most: int = MOST_CONNECTIONS, most_held: int = MOST_HELD) -> None:
        self._most = most
        self._spare = most // 5
        self._most_held = most_held
        self._clients: dict[Member, str] = {}
        self._waited_for: dict[str, OrderedDict[Member, None]] = {}  # by client, longest first
        self._waiting = 0  # how many those are
        self._coming: dict[Member, int] = {}  # bytes of what is not whole yet, or not taken yet
        self._held: dict[Member, int] = {}  # bytes, the above among them
        self.held = 0

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def busy(self) -> bool:
        """Whether as many clients wait for us as may."""
        return len(self._clients) - self._waiting > self._most - self._spare

    def join(self, member: Member, client: str) -> Member | None:
        """Counts a connection that was made, for whose first request we wait; who has to go for it."""
        self._clients[member] = client
        self.wait(member)
        if len(self._clients) <= self._most or self._waiting <= self._spare:
            return None
        # The one that we wait for longest, of the client with the most such.
        most = max(self._waited_for, key=lambda client: len(self._waited_for[client]))
        return next(iter(self._waited_for[most]))

    def leave(self, member: Member) -> None:
        """Forgets a connection; harmless for one that is none."""
        self.go_on(member)
        self.release(member)
        self._clients.pop(member, None)

    def wait(self, member: Member) -> None:
        """From now on we wait for this client, if we did not already."""
        if member not in self._clients:
            return
        waited_for = self._waited_for.setdefault(self._clients[member], OrderedDict())
        if member not in waited_for:
            waited_for[member] = None
            self._waiting += 1

    def go_on(self, member: Member) -> None:
        """Now it is the client that waits for us."""
        client = self._clients.get(member, "")
        waited_for = self._waited_for.get(client)
        if waited_for is None or member not in waited_for:
            return
        del waited_for[member]
        self._waiting -= 1
        if not waited_for:
            del self._waited_for[client]

    def hold(self, member: Member, size: int) -> Member | None:
        """Counts bytes that came from, or wait for, a client; who has to go for them: who fills the most memory."""
        if member not in self._clients:
            return None
        self.held += size
        self._held[member] = self._held.get(member, 0) + size
        self._coming[member] = self._coming.get(member, 0) + size
        if self.held <= self._most_held:
            return None
        largest = max(self._coming, key=self._coming.__getitem__)
        return largest if self._coming[largest] > NEVER_TOO_LARGE else None

    def came(self, member: Member) -> None:
        """What came from a client is whole: it is in our hands how long it is held."""
        self._coming.pop(member, None)

    def release(self, member: Member) -> None:
        """Nothing is held for this client any more."""
        self._coming.pop(member, None)
        self.held -= self._held.pop(member, 0)
