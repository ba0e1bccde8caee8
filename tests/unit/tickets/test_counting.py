from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from support.measuring import a_signal
from support.memory import DictMemory

from watcher.errors import ExternalError, Fault
from watcher.model.series import Window
from watcher.model.service import Kind
from watcher.model.tickets import Ticket, Tickets
from watcher.store.database import Database
from watcher.store.memory import StoreMemory
from watcher.tickets.counting import CountedTickets

T0 = 1_700_000_100.0  # on the five minutes
DAY = 86400.0
STEP = 300.0
SIGNAL = a_signal(Kind.COUNT, STEP, is_tickets=True, tags=["checkout"])


@dataclass
class Desk:
    """A helpdesk with the flaws of real ones: complete only up to `lag` ago, repeats ids, may fail."""

    now: float
    tickets: list[Ticket] = field(default_factory=list)
    lag: float = 0.0
    fails: bool = False
    asked: list[Window] = field(default_factory=list)

    def fetch(self, query: Mapping[str, Any], window: Window) -> Tickets:
        self.asked.append(window)
        if self.fails:
            raise ExternalError("down", fault=Fault.CONNECTION, permanent=False)
        known = [ticket for ticket in self.tickets if window.start < ticket.created_at <= min(window.end, self.now)]
        return Tickets((*known, *known), min(window.end, self.now - self.lag))

    def add(self, *times: float) -> None:
        self.tickets += [Ticket(f"t{len(self.tickets) + index}", at, f"no {at}") for index, at in enumerate(times)]


@dataclass
class Counted:
    desk: Desk
    memory: DictMemory = field(default_factory=DictMemory)

    def fetch(self, start: float, end: float) -> dict[float, float]:
        """Bucket end -> count, by a new instance every time, as after a restart."""
        series = CountedTickets(self.desk, self.memory).fetch(SIGNAL, Window(start, end, STEP))
        self.complete_until = series.complete_until
        return dict(zip(series.times.tolist(), series.values.tolist(), strict=True))


@pytest.fixture
def counted() -> Counted:
    return Counted(Desk(now=T0 + DAY))


def test_tickets_are_counted_in_the_bucket_of_their_creation_once_each(counted: Counted) -> None:
    counted.desk.add(T0 + 1, T0 + 300, T0 + 301, T0 + 900)
    assert counted.fetch(T0, T0 + 1200) == {T0 + 300: 2, T0 + 600: 1, T0 + 900: 1, T0 + 1200: 0}
    assert counted.complete_until == T0 + 1200


def test_what_the_system_has_not_told_yet_is_missing(counted: Counted) -> None:
    counted.desk.now, counted.desk.lag = T0 + 900, 60
    counted.desk.add(T0 + 880)
    assert counted.fetch(T0, T0 + 900) == {T0 + 300: 0, T0 + 600: 0}
    assert counted.complete_until == T0 + 840
    counted.desk.now += 100
    assert counted.fetch(T0 + 600, T0 + 1000) == {T0 + 900: 1}


def test_the_history_is_read_once_and_then_only_a_little(counted: Counted) -> None:
    counted.fetch(T0 - 14 * DAY, T0)
    counted.fetch(T0 - DAY, T0 + 60)
    counted.fetch(T0 - 14 * DAY, T0 + 120)
    assert [(window.start, window.end) for window in counted.desk.asked] == [
        (T0 - 14 * DAY, T0),
        (T0 - 600, T0 + 60),
        (T0 + 60 - 600, T0 + 120),
    ]


def test_what_is_known_is_not_asked_again(counted: Counted) -> None:
    first = counted.fetch(T0, T0 + 3000)
    assert counted.fetch(T0 + 300, T0 + 3000) == {at: count for at, count in first.items() if at > T0 + 300}
    assert len(counted.desk.asked) == 1


def test_a_ticket_that_is_listed_late_is_found_by_the_overlap(counted: Counted) -> None:
    counted.desk.now = T0 + 3000
    counted.fetch(T0, T0 + 3000)
    counted.desk.add(T0 + 2750)  # created before, listed only now
    counted.desk.now = T0 + 3300
    assert counted.fetch(T0 + 2400, T0 + 3300) == {T0 + 2700: 0, T0 + 3000: 1, T0 + 3300: 0}


def test_a_longer_history_is_read_whole_and_leaves_no_hole(counted: Counted) -> None:
    counted.desk.add(T0 - DAY + 10, T0 + 10)
    counted.fetch(T0, T0 + 600)
    counts = counted.fetch(T0 - DAY, T0 - 300)
    assert counts[T0 - DAY + 300] == 1
    assert counted.desk.asked[-1].end == T0 + 600, "up to what was known before"
    assert counted.fetch(T0 - DAY, T0 + 600)[T0 + 300] == 1
    assert len(counted.desk.asked) == 2


def test_after_a_long_rest_the_time_between_is_neither_read_nor_zero(counted: Counted) -> None:
    counted.desk.now = T0 + 30 * DAY
    counted.desk.add(T0 + 10 * DAY + 1)
    counted.fetch(T0, T0 + 600)
    counted.fetch(T0 + 25 * DAY, T0 + 26 * DAY)
    assert counted.desk.asked[-1].start == T0 + 25 * DAY
    assert counted.fetch(T0 + 10 * DAY, T0 + 10 * DAY + 600) == {T0 + 10 * DAY + 300: 1, T0 + 10 * DAY + 600: 0}


def test_what_the_store_has_dropped_for_its_age_is_not_zero(counted: Counted) -> None:
    counted.desk.add(T0 - 10 * DAY + 1, T0 - 1)
    counted.fetch(T0 - 14 * DAY, T0)
    for points in counted.memory.points.values():  # housekeeping
        for at, key in list(points):
            if at < T0 - 7 * DAY:
                del points[at, key]
    assert counted.fetch(T0 - 14 * DAY, T0)[T0 - 10 * DAY + 300] == 1
    assert len(counted.desk.asked) == 2, "it was asked again"


def test_a_system_that_fails_is_a_failure_and_nothing_is_forgotten(counted: Counted) -> None:
    counted.desk.add(T0 + 10)
    counted.fetch(T0, T0 + 600)
    counted.desk.fails = True
    with pytest.raises(ExternalError):
        counted.fetch(T0, T0 + 900)
    counted.desk.fails = False
    assert counted.fetch(T0, T0 + 900) == {T0 + 300: 1, T0 + 600: 0, T0 + 900: 0}


def test_a_crash_between_two_writes_only_asks_again(counted: Counted) -> None:
    counted.desk.add(T0 + 10)
    counted.fetch(T0, T0 + 600)
    values = dict(counted.memory.values)
    counted.desk.add(T0 + 700)
    counted.fetch(T0, T0 + 900)
    counted.memory.values = values
    assert counted.fetch(T0, T0 + 900) == {T0 + 300: 1, T0 + 600: 0, T0 + 900: 1}


def test_different_questions_are_counted_apart(counted: Counted) -> None:
    counted.desk.add(T0 + 10)
    counted.fetch(T0, T0 + 600)
    other = a_signal(Kind.COUNT, STEP, is_tickets=True, tags=["cart"])
    CountedTickets(counted.desk, counted.memory).fetch(other, Window(T0, T0 + 600, STEP))
    assert len(counted.desk.asked) == 2


def test_a_window_without_a_whole_bucket_is_empty(counted: Counted) -> None:
    assert counted.fetch(T0 + 10, T0 + 200) == {}
    assert counted.complete_until == T0 + 200


def test_only_redacted_words_are_kept_and_shown(counted: Counted) -> None:
    counted.desk.tickets = [
        Ticket(
            "1",
            T0 + 10,
            "Card 4111 1111 1111 1111 refused",
            "Write to bob@shop.example\nor call +49 171 1234567",
            "https://desk.example/1",
        ),
        Ticket("2", T0 + 20, "\u202eevil", "x" * 5000, "javascript:alert(1)"),
    ]
    source = CountedTickets(counted.desk, counted.memory)
    window = Window(T0, T0 + 600, STEP)
    source.fetch(SIGNAL, window)
    second, first = source.samples(SIGNAL, window, 10)
    assert first.subject == "Card [card] refused"
    assert first.text == "Write to [email] or call [phone]"
    assert first.url == "https://desk.example/1"
    assert (second.subject, second.url) == ("evil", "")
    assert len(second.text) <= 1000
    kept = " ".join(counted.memory.values.values())
    assert not any(secret in kept for secret in ("4111", "bob@", "1234567"))


@pytest.mark.parametrize("odd", ["a\x00b", "a\ud800b"])
def test_an_id_that_no_database_keeps_is_kept_in_other_words(database: Database, odd: str) -> None:
    desk = Desk(now=T0 + DAY, tickets=[Ticket(odd, T0 + 1, odd), Ticket("ab", T0 + 2)])
    counted = CountedTickets(desk, StoreMemory(database, "desk"))
    assert counted.fetch(SIGNAL, Window(T0, T0 + STEP, STEP)).values.tolist() == [2]
    newest = counted.samples(SIGNAL, Window(T0, T0 + STEP, STEP))
    assert [ticket.id for ticket in newest] == ["ab", ascii(odd)[1:-1]]
    assert newest[1].subject == "a b"


def test_samples_are_the_newest_of_the_window_and_ask_nothing(counted: Counted) -> None:
    counted.desk.add(*(T0 + 10 * index for index in range(1, 81)))
    source = CountedTickets(counted.desk, counted.memory)
    source.fetch(SIGNAL, Window(T0, T0 + 900, STEP))
    asked = len(counted.desk.asked)
    shown = source.samples(SIGNAL, Window(T0, T0 + 600, STEP), 3)
    assert [ticket.created_at for ticket in shown] == [T0 + 600, T0 + 590, T0 + 580]
    assert len(counted.desk.asked) == asked
    assert source.samples(a_signal(Kind.COUNT, tags=["other"]), Window(T0, T0 + 600, STEP)) == ()


def test_threads_count_the_same() -> None:
    desk = Desk(now=T0 + DAY)
    desk.add(*np.linspace(T0 + 1, T0 + DAY - 1, 500).tolist())
    source = CountedTickets(desk, DictMemory())
    results: list[float] = []

    def run(start: float) -> None:
        for end in np.arange(start + 3600, T0 + DAY, 7200):
            window = Window(start, float(end), STEP)
            series = source.fetch(SIGNAL, window)
            truth = sum(series.times[0] - STEP < ticket.created_at <= series.times[-1] for ticket in desk.tickets)
            results.append(float(series.values.sum() - truth))

    threads = [threading.Thread(target=run, args=(T0 + 600 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results
    assert set(results) == {0.0}


def test_whoever_waits_too_long_for_another_that_reads_the_same_is_told(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.tickets.counting._TURN", 0.1)
    source = CountedTickets(counted.desk, counted.memory)
    begun, end = threading.Event(), threading.Event()
    fetch = counted.desk.fetch

    def slow(query: Mapping[str, Any], window: Window) -> Tickets:
        begun.set()
        end.wait(60)
        return fetch(query, window)

    counted.desk.fetch = slow  # type: ignore[method-assign]
    window = Window(T0, T0 + 900, STEP)
    first = threading.Thread(target=source.fetch, args=(SIGNAL, window))
    first.start()
    begun.wait(60)
    with pytest.raises(ExternalError, match="still being asked") as error:
        source.fetch(SIGNAL, window)
    assert error.value.fault is Fault.OVER_BUDGET, "the system itself is well"
    end.set()
    first.join()
    assert len(source.fetch(SIGNAL, window)) == 3
