"""Lists of many: nothing is lost between two pages, and a page costs a handful of queries however much there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from support.seeded_store import CHECKOUT, Seeded, opened
from support.web_server import Running

from watcher.store import watches
from watcher.store.database import Database

_MANY = 320


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(database._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database._engine, "before_cursor_execute", note)


@pytest.fixture
def many(seeded: Seeded) -> Seeded:
    """Deploys that came one a minute, and one that opened more watches than a page has."""
    with seeded.database.write() as tx:
        for number in range(1000, 1000 + _MANY):
            opened(tx, CHECKOUT, f"v{number}", seeded.now - 40 * 86400 + number * 60, number)
        first = opened(tx, CHECKOUT, "v3000", seeded.now - 50 * 86400, 3000)
        for number in range(3001, 3000 + _MANY):
            watches.open_watch(tx, replace(first, id=f"w-{number:04}", service=f"service-{number}"))
    return seeded


@pytest.mark.parametrize("kind", ["watches", "deploys"])
@pytest.mark.parametrize("limit", [7, 50, 200])
def test_nothing_is_lost_or_shown_twice(daemon: Running, many: Seeded, kind: str, limit: int) -> None:
    with many.database.read() as tx:
        stored = tx.execute(text(f"select count(*) from {kind}")).scalar_one()
    seen: list[str] = []
    query = ""
    while True:
        page = daemon.get(f"/api/v1/{kind}?limit={limit}{query}").json()
        assert page[kind], "a page that is announced is not empty"
        seen += [one["id"] for one in page[kind]]
        if page["next_before"] is None:
            break
        query = f"&before={page['next_before']!r}"
    assert len(seen) == len(set(seen)) == stored


def test_the_page_leads_to_every_watch(daemon: Running, many: Seeded) -> None:
    seen: set[str] = set()
    path: str | None = "/"
    while path is not None:
        shown = daemon.get(path, headers={"accept": "text/html"}).text
        rows = set(re.findall(r'href="/watches/(w-\d+)"', shown))
        seen |= rows
        older = re.search(r'rel="next" href="([^"]+)"', shown)
        path = older[1] if older else None
    with many.database.read() as tx:
        assert seen == {row.id for row in tx.execute(text("select id from watches"))}


@pytest.mark.parametrize(
    ("path", "most"), [("/api/v1/deploys?limit=200", 4), ("/api/v1/watches?limit=200", 4), ("/", 9)]
)
def test_a_page_asks_the_store_a_few_times(daemon: Running, many: Seeded, path: str, most: int) -> None:
    with _statements(many.database) as seen:
        assert daemon.get(path).status == 200
    asked = [statement for statement in seen if statement.lower().startswith("select")]
    assert 0 < len(asked) <= most


def test_what_waits_for_a_person_is_found_without_reading_every_watch(daemon: Running, many: Seeded) -> None:
    with _statements(many.database) as seen, many.database.read() as tx:
        found = watches.with_rollback(tx)
    assert many.waiting.id in {watch.id for watch in found}
    assert len([statement for statement in seen if statement.startswith("SELECT")]) == 1
    assert len(found) < 10


@pytest.mark.parametrize("condition", ["state = 'done'", "service = 'checkout'", "1 = 1"])
def test_the_newest_are_found_without_sorting_all(seeded: Seeded, condition: str) -> None:
    query = f"select * from watches where {condition} order by created_at desc, id limit 50"
    with seeded.database.read() as tx:
        plan = "; ".join(row.detail for row in tx.execute(text(f"explain query plan {query}")))
    assert re.search(r"USING INDEX ix_watches_(state_|service_)?created_at", plan)
    assert "B-TREE FOR ORDER BY" not in plan, "only what came at one moment is sorted"
