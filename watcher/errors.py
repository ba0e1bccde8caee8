"""One small tree of errors. An error from outside says by `permanent` whether a retry can help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WatcherError(Exception):
    """Base of every error that the product raises on purpose; its text is safe to show."""


class Fault(StrEnum):
    """What went wrong outside, as a metric label and in logs: a closed list (docs/adapters/sources.md)."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"  # the request may have been carried out
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"
    STATUS = "status"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    QUERY = "query"  # the other side refused the question itself
    COMMAND = "command"
    FORBIDDEN_ADDRESS = "forbidden_address"  # an answer led away from the configured address
    CLOCK_OFF = "clock_off"  # the other side's clock is so far off that its times mean nothing
    OVER_BUDGET = "over_budget"  # our own limit on requests is reached
    CIRCUIT_OPEN = "circuit_open"  # it failed so often that it is not asked for a while
    INTERNAL = "internal"  # an error of the adapter itself


class ExternalError(WatcherError):
    """A system outside failed or refused.

    Attributes:
        fault: what kind of failure.
        permanent: whether the same call would fail again.
        sent: whether the other side may have received and carried out the request.
        retry_after: seconds that the other side asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        fault: Fault,
        permanent: bool,
        sent: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.permanent = permanent
        self.sent = sent
        self.retry_after = retry_after


class UnauthenticatedError(WatcherError):
    """The sender did not prove who it is (HTTP 401)."""


class MalformedError(WatcherError):
    """Input that cannot be understood (HTTP 400). `field` is the path of the offending field, '' for the whole body."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: expected {expected}" if field else f"expected {expected}")
        self.field = field
        self.expected = expected


class StoreUnavailableError(WatcherError):
    """The store cannot be reached or written now (HTTP 503). `permanent`: waiting will not help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class LeaseLostError(WatcherError):
    """Another worker holds the row now; nothing was written."""


class ConflictError(WatcherError):
    """The request does not fit the state (HTTP 409): for example, an approval of an order that has expired."""


class NotFoundError(WatcherError):
    """No such thing (HTTP 404)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where it is and what was expected there."""

    file: str
    line: int
    path: str  # the key's path, for example `services.checkout.signals.p95.harm`
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(WatcherError):
    """Every problem of one configuration, all at once, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
