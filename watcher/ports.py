"""What the product asks of the world outside. A port asks the least that every adapter can honestly offer; what only
some can do is a second, small Protocol. Every port says the same of failure: `ExternalError`, with `permanent`.

Every adapter class is made as `Class(name, options, tools)`, owns a pydantic model `Options` (its configuration), and,
where signals ask it something, a pydantic model `Query` (the signal's own keys).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from watcher.errors import ExternalError
from watcher.model.deploy import Parsed
from watcher.model.memory import Point as Point  # noqa: PLC0414  # part of the port `Memory`
from watcher.model.order import Note, Receipt, RollbackOrder, Severity, Standing
from watcher.model.series import Series, Window
from watcher.model.service import Signal
from watcher.model.tickets import Tickets


class Memory(Protocol):
    """What an adapter must remember between calls; behind it is the one store. Each adapter instance has its own."""

    def get(self, key: str) -> Any:
        """The JSON value put under `key`, or None."""
        ...

    def put(self, key: str, value: Any) -> None:
        """Remembers a small JSON value."""
        ...

    def append(self, points: Mapping[str, Iterable[Point]]) -> None:
        """Adds points to streams (stream name -> points), all or none, durably; repeats replace."""
        ...

    def range(self, stream: str, start: float, end: float) -> Sequence[Point]:
        """Points with `start < at <= end`, ascending by time then key."""
        ...

    def streams(self, prefix: str = "") -> Sequence[str]:
        """Names of the streams that begin with `prefix`, sorted."""
        ...


class Http(Protocol):
    """The one door for HTTP, as adapters see it; `kit.http` is behind it."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> HttpResponse:
        """One exchange; every answer below 400 is returned, everything else raises `ExternalError`."""
        ...


class HttpResponse(Protocol):
    """An answer, read whole."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...

    @property
    def clock_behind(self) -> float:
        """Seconds by which the server's clock is behind ours; negative: ahead; 0: not known."""
        ...

    def json(self) -> Any:
        """The body as JSON; `ExternalError` (malformed) if it is none."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What an adapter is handed.

    Attributes:
        http: makes a door for this adapter, given its connection options (`kit.http.Connection`).
        memory: its own memory.
        now: reads the clock, unix seconds; for settling ("the last minute is not complete"), never for deciding.
    """

    http: Callable[[Any], Http]
    memory: Memory
    now: Callable[[], float]


class MetricSource(Protocol):
    """Measures signals: what users do."""

    def fetch(self, signal: Signal, window: Window) -> Series:
        """Points of `signal` in `window`, `window.step` seconds apart on whole multiples of the step.

        Missing buckets are left out or NaN, never zero; `complete_until` never exceeds what is known to be final.

        Raises:
            ExternalError: the source could not answer.
        """
        ...


@runtime_checkable
class FetchesMany(Protocol):
    """A metric source that can measure several signals with one question."""

    def kin(self, signal: Signal) -> Hashable | None:
        """The same for signals of one step that may be asked for together; None: only by itself."""
        ...

    def fetch_all(self, signals: Sequence[Signal], window: Window) -> Sequence[Series | ExternalError]:
        """`fetch` for each of `signals`, which are of one kin, in their order; what fails a single one is returned.

        Raises:
            ExternalError: the source could not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """What one question to a source answered now, for `check-config --live`."""

    value: float | None
    age: float | None  # seconds since the newest point
    series: int  # how many series the query matched
    step: float | None  # the spacing really found, seconds
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Probes(Protocol):
    """A source that can say more of a query than its points."""

    def probe(self, signal: Signal, now: float) -> Probe: ...


@runtime_checkable
class Collects(Protocol):
    """A source that gathers its own history between looks; a supervised, leased loop drives it.

    `interval` is in seconds; `collect` is called about that often and stores what it saw.
    """

    @property
    def interval(self) -> float: ...

    def collect(self, now: float, signals: Sequence[Signal]) -> None:
        """Takes one sample of everything that `signals` (those of this source) need."""
        ...


@runtime_checkable
class Imports(Protocol):
    """A source whose own history can be filled from an OpenMetrics text with timestamps."""

    def import_openmetrics(self, lines: Iterable[str], signals: Sequence[Signal]) -> int:
        """Stores what `signals` need; returns the number of samples kept. `MalformedError` names the line."""
        ...


class TicketSystem(Protocol):
    """Lists what customers wrote. Counting and de-duplication are done once, in `tickets.counting`."""

    def fetch(self, query: Mapping[str, Any], window: Window) -> Tickets:
        """Tickets with `window.start < created_at <= window.end` that match `query`; may repeat ids."""
        ...


class Intake(Protocol):
    """Understands one kind of CD webhook. Header names are lower case."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises `UnauthenticatedError` unless the sender has proved itself; no input makes it raise anything else."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes, received_at: float) -> Parsed:
        """Raises `MalformedError` naming the field; no input makes it raise anything else."""
        ...


@runtime_checkable
class ProvedByHead(Protocol):
    """A webhook whose headers alone can show that its sender is none of ours, so that the body need not be read."""

    def verify_head(self, headers: Mapping[str, str]) -> None:
        """Raises `UnauthenticatedError` if whatever body comes could prove nothing; no input makes it raise another."""
        ...


class RollbackTarget(Protocol):
    """Pulls the team's rollback hook."""

    idempotent: ClassVar[bool]  # whether the same `order.key` twice is one rollback

    def trigger(self, order: RollbackOrder) -> Receipt: ...


@runtime_checkable
class Checks(Protocol):
    """A rollback target that can be asked afterwards, where `can_check` says that it was configured so."""

    @property
    def can_check(self) -> bool: ...

    def check(self, order: RollbackOrder) -> Standing:
        """What became of `order`; ExternalError if that cannot be said."""
        ...


class Notifier(Protocol):
    """Tells people. `min_severity`: notes below it are not handed to this notifier."""

    @property
    def min_severity(self) -> Severity: ...

    def send(self, note: Note) -> None: ...


@runtime_checkable
class Renews(Protocol):
    """A notifier whose alerts expire unless sent again about every `renew_every` seconds, until resolved."""

    @property
    def renew_every(self) -> float: ...
