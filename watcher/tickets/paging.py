"""A question to a ticket system that may take many pages: all of them share one deadline and one limit of tickets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.kit.http import Polled
from watcher.kit.units import Duration
from watcher.ports import Http, HttpResponse

_MOST_PAGES = 1000  # pages may be empty, and lead to each other


class Listed(Polled):
    """A connection to what lists tickets page by page."""

    question_timeout: Duration = Field(
        default=120.0, gt=0, le=240, description="Seconds for a whole question, all its pages together."
    )
    max_tickets: int = Field(default=100_000, gt=0, description="Most tickets that one question may list.")


class Question:
    """One question, begun when it is made."""

    def __init__(self, http: Http, options: Listed) -> None:
        self._http = http
        self._options = options
        self._until = clock.monotonic() + options.question_timeout
        self._tickets = 0
        self._pages = 0

    def left(self) -> float:
        """Seconds.

        Raises:
            ExternalError: none is left.
        """
        left = self._until - clock.monotonic()
        if left <= 0:
            raise self.late()
        return left

    def get(self, url: str, **more: Any) -> HttpResponse:
        """The next page.

        Raises:
            ExternalError: as the exchange says, or the question has come to one of its limits.
        """
        left = self.left()
        self._pages += 1
        if self._pages > _MOST_PAGES:
            raise ExternalError(f"more than {_MOST_PAGES} pages", fault=Fault.TOO_LARGE, permanent=True)
        try:
            return self._http.request("GET", url, timeout=min(left, self._options.timeout), **more)
        except ExternalError as error:
            if error.fault is Fault.TIMEOUT and left < self._options.timeout:
                raise self.late() from None
            raise

    def count(self, tickets: int) -> None:
        """So many more were listed.

        Raises:
            ExternalError: more than a question may list.
        """
        self._tickets += tickets
        if self._tickets > self._options.max_tickets:
            raise too_many(self._options)

    def late(self) -> ExternalError:
        limit = self._options.question_timeout
        return ExternalError(
            f"not all pages within {limit:g} s (`question_timeout`)", fault=Fault.TIMEOUT, permanent=False
        )


def too_many(options: Listed) -> ExternalError:
    return ExternalError(
        f"more than {options.max_tickets} tickets (`max_tickets`)", fault=Fault.TOO_LARGE, permanent=True
    )
