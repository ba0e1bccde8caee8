"""A helpdesk behind a proxy that spoils its answers: tickets that cannot be counted are no harm, and no silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from support.fault_proxy import FaultProxy
from support.fault_server import Answer, FaultServer, Request
from support.made import tickets
from support.measuring import tools
from support.memory import DictMemory
from support.misbehaving import AFTER, PAST, START, STEP, WINDOW, House
from support.sqlite_store import sqlite_store

from watcher.errors import Fault
from watcher.kit import clock
from watcher.model.decision import Outcome, Reason
from watcher.model.order import Topic
from watcher.model.service import Role
from watcher.tickets.counting import CountedTickets
from watcher.tickets.http_json import HttpJson, HttpJsonOptions

PER_MINUTE = 6
FAULTS = (
    *(
        "hangs",
        "rate_limited_for_seconds",
        "internal_error",
        "unauthorized",
        "sign_in_page",
        "half_the_json",
        "cut_off",
    ),
    *("a_gigabyte", "redirect_to_itself", "reset", "speaks_no_tls", "certificate_of_nobody", "certificate_expired"),
    "pages_without_an_end",
)


def helpdesk(request: Request) -> Answer:
    """Some tickets a minute, whatever is deployed; page by page."""
    (page,) = request.query.get("page", ["0"])
    start, end = (float(request.query[name][0]) for name in ("start", "end"))
    times = np.arange(START - PAST, START + 2 * WINDOW, STEP / PER_MINUTE) + 1.0
    times = times[(times > start) & (times <= end)]
    found = [{"id": f"{at:.0f}", "created_at": clock.iso(at), "subject": "Help"} for at in times.tolist()]
    first, size = int(page) * 500, 500
    more = f"/tickets?start={start}&end={end}&page={int(page) + 1}" if len(found) > first + size else None
    return Answer.of({"tickets": found[first : first + size], "next": more})


class Desk(FaultProxy):
    """A proxy that can also lead from page to page for ever."""

    def _spoilt(self, fault: str, request: Request) -> Answer:
        if fault == "pages_without_an_end":
            return Answer.of({"tickets": [], "next": "/tickets?page=1"})
        return super()._spoilt(fault, request)


def system(memory: DictMemory) -> Callable[[str, str | None, float, Callable[[], float]], CountedTickets]:
    def make(url: str, ca_file: str | None, timeout: float, now: Callable[[], float]) -> CountedTickets:
        options: dict[str, Any] = {"items": "tickets", "next": "next", "params": {"start": "{start}", "end": "{end}"}}
        options |= {"url": f"{url}/tickets", "ca_file": ca_file, "timeout": timeout, "max_bytes": 1 << 20}
        return CountedTickets(HttpJson("desk", HttpJsonOptions.model_validate(options), tools(now)), memory)

    return make


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("watcher.tickets.paging._MOST_PAGES", 20)
    asked = tickets(role=Role.REQUIRED, must_see=2.0)
    with FaultServer() as server, Desk(server.url) as proxy, closing(sqlite_store(tmp_path)) as database:
        server.answer = helpdesk
        yield House(database, proxy, asked=asked, makes=system(DictMemory()))
        assert proxy.elsewhere == 0, "a redirect was followed"


def named(house: House, fault: str, said: list[Any]) -> None:
    if fault == "pages_without_an_end":
        assert house.errors(Fault.TOO_LARGE) >= 1
    else:
        house.assert_told(fault, said)


def test_a_helpdesk_that_is_well_is_measured(house: House) -> None:
    done = house.pass_by(START + WINDOW + AFTER)
    assert (done.outcome, done.reason) == (Outcome.HEALTHY, Reason.NO_HARM), done.sentence


@pytest.mark.parametrize("fault", FAULTS)
def test_from_before_the_deploy_until_after_it(house: House, fault: str) -> None:
    house.proxy.fault = fault
    with capture_logs() as said:
        done = house.pass_by(START + WINDOW + AFTER)
    named(house, fault, said)
    assert (done.outcome, done.reason) == (Outcome.INCONCLUSIVE, Reason.SOURCE_FAILED), done.sentence
    assert done.rollback_id is None
    assert house.topics() == [Topic.BLIND, Topic.INCONCLUSIVE]


@pytest.mark.parametrize("fault", ["hangs", "internal_error", "half_the_json", "speaks_no_tls", "pages_without_an_end"])
def test_only_during_the_watch(house: House, fault: str) -> None:
    house.pass_by(START + 3 * STEP)
    house.proxy.fault = fault
    with capture_logs() as said:
        house.pass_by(START + 6 * STEP)
        named(house, fault, said)
        house.proxy.fault = None
        done = house.pass_by(START + WINDOW + AFTER)
    assert (done.outcome, done.reason) == (Outcome.HEALTHY, Reason.NO_HARM), done.sentence
    assert done.rollback_id is None
