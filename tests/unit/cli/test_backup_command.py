"""A backup taken while deploys come in is whole; what is restored goes on, and repeats no rollback blindly."""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from support.keeping import Patient
from support.made import NOW, deploy, watch
from support.orders import an_order
from support.plain_tools import plain_tools
from support.postgresql_server import PostgresqlServer
from support.programs import require

from watcher import registry
from watcher.cli.main import cli
from watcher.engine.act import Actor
from watcher.model.order import RollbackState
from watcher.model.watch import Watch
from watcher.store import deploys, orders, watches
from watcher.store.database import Database
from watcher.store.orders import Order
from watcher.store.restored import restored_at
from watcher.telemetry.metrics import Metrics

EARLIER = 1_700_000_000.0  # before any restore by the database's clock
ROOT = Path(__file__).parents[3]
_CONFIG = """
store: {{{store}}}
sources:
  shop: {{kind: openmetrics, url: "http://127.0.0.1:9/metrics"}}
services:
  checkout:
    signals:
      conversion: {{source: shop, kind: ratio, harm: down, good: orders_total, total: sessions_total}}
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store with a watch for every state that its rollback can be in before it is made."""
    with closing(Database(f"sqlite:///{tmp_path / 'watcher.db'}")) as store:
        store.migrate()
        fill(store)
        yield store


def fill(store: Database) -> None:
    for number, (state, expires_at) in enumerate(
        [(RollbackState.PLANNED, None), (RollbackState.PLANNED, NOW + 60), (RollbackState.APPROVED, None)]
    ):
        payload = an_order(rollback_id=f"r-{number}", watch_id=f"w-{number}")
        # Made at once: the backup is taken later, by the database's clock.
        order = Order(f"r-{number}", f"w-{number}", "checkout", payload, state, EARLIER, EARLIER, NOW, expires_at)
        with store.write() as tx:
            deploys.put(tx, deploy(id=f"d-{number}", identity=f"n-{number}"))
            watches.open_watch(tx, watch(id=f"w-{number}", deploy_id=f"d-{number}"))
            orders.add(tx, order)


def run(tmp_path: Path, *arguments: str, store: str = "") -> Result:
    config = tmp_path / "watcher.yaml"
    config.write_text(_CONFIG.format(store=store or f"path: {tmp_path / 'watcher.db'}"))
    return CliRunner().invoke(cli, [arguments[0], "--config", str(config), *arguments[1:]])


def test_a_backup_taken_while_deploys_come_in_is_whole(tmp_path: Path, database: Database) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 100
        while not stop.is_set():
            number += 1
            with database.write() as tx:
                deploys.put(tx, deploy(id=f"d-{number}", identity=f"n-{number}"))
                watches.open_watch(tx, watch(id=f"w-{number}", deploy_id=f"d-{number}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [run(tmp_path, "backup", str(tmp_path / f"backup-{number}.db")) for number in range(3)]
    finally:
        stop.set()
        writer.join()
    for result in made:
        assert result.exit_code == 0, result.output
        found = re.search(r"(\d+) deploys, (\d+) watches, schema \d{4}; every page was read", result.output)
        assert found is not None
        assert found[1] == found[2], "a moment between two transactions, not the middle of one"


def test_what_is_restored_goes_on_and_repeats_no_rollback_blindly(tmp_path: Path, database: Database) -> None:
    backup = tmp_path / "backup.db"
    assert run(tmp_path, "backup", str(backup)).exit_code == 0
    database.close()
    (tmp_path / "watcher.db").rename(tmp_path / "lost.db")
    for end in ("-wal", "-shm"):
        (tmp_path / f"watcher.db{end}").unlink(missing_ok=True)
    result = run(tmp_path, "restore", str(backup))
    assert result.exit_code == 0, result.output
    assert "3 deploys, 3 watches" in result.output
    assert "3 watches were open: each asks a person before it rolls back" in result.output
    assert "2 rollbacks were under way" in result.output
    with closing(Database(f"sqlite:///{tmp_path / 'watcher.db'}")) as restored:
        restored.migrate()
        assert restored.ready()
        with restored.read() as tx:
            states = [order.state for number in range(3) if (order := orders.rollback_of(tx, f"w-{number}"))]
            marked = [restored_at(tx, f"w-{number}") for number in range(3)]
        assert states == [RollbackState.ATTEMPTED, RollbackState.PLANNED, RollbackState.ATTEMPTED]
        assert all(marked)
    for wrong in (("restore",), ("restore", "--settle", str(backup))):
        assert "give either SOURCE or --settle" in run(tmp_path, *wrong).output


def test_nothing_is_overwritten_and_nothing_damaged_restored(tmp_path: Path, database: Database) -> None:
    backup = tmp_path / "backup.db"
    assert run(tmp_path, "backup", str(backup)).exit_code == 0
    again = run(tmp_path, "backup", str(backup))
    assert (again.exit_code, again.output) == (1, f"{backup} exists (expected a new file)\n")
    there = run(tmp_path, "restore", str(backup))
    assert there.exit_code == 1
    assert "exists (expected no store: stop the daemon and move it away)" in there.output
    elsewhere = f"path: {tmp_path / 'new.db'}"
    data = bytearray(backup.read_bytes())
    data[4096 * 3 : 4096 * 6] = b"\xff" * (4096 * 3)
    backup.write_bytes(bytes(data))
    damaged = run(tmp_path, "restore", str(backup), store=elsewhere)
    assert damaged.exit_code == 1
    (tmp_path / "text.db").write_text("this is no database, whatever its name says" * 100)
    assert run(tmp_path, "restore", str(tmp_path / "text.db"), store=elsewhere).exit_code == 1
    assert run(tmp_path, "restore", str(tmp_path / "none.db"), store=elsewhere).exit_code == 1
    assert not (tmp_path / "new.db").exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_store_that_is_not_there_is_no_empty_backup(tmp_path: Path) -> None:
    result = run(tmp_path, "backup", str(tmp_path / "backup.db"))
    assert (result.exit_code, result.output) == (1, f"{tmp_path / 'watcher.db'}: there is no such store\n")


@pytest.mark.postgresql
def test_the_documented_commands_bring_a_postgresql_store_back(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    told = run(tmp_path, "backup", "x", store="url: postgresql://watcher@127.0.0.1/watcher")
    assert told.exit_code == 1
    documented = re.findall(
        r"^ *(pg_(?:dump|restore) .*)$", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE
    )
    assert re.findall(r"^ *(pg_(?:dump|restore) .*)$", told.output, re.MULTILINE) == documented
    assert len(documented) == 2
    with closing(postgresql.migrated()) as store:
        with store.write() as tx:
            deploys.put(tx, deploy())
            watches.open_watch(tx, watch())
        before = bring_back(store, documented, tmp_path)
        with store.read() as tx:
            assert watches.get(tx, "w-1") == before
        assert store.ready()


def bring_back(store: Database, commands: list[str], folder: Path) -> Watch | None:
    """The store as it is, dumped and restored after it has gone on; `w-1` as it was."""
    with store.read() as tx:
        before = watches.get(tx, "w-1")
    url = store.url.replace("+psycopg", "")
    for command in commands:
        filled = command.replace("$DATABASE_URL", url).replace("FILE", str(folder / "dump"))
        program, *arguments = shlex.split(filled)
        subprocess.run([*require(program), *arguments], check=True, capture_output=True)
        with store.write() as tx:
            deploys.put(tx, deploy(id="d-later", identity="later"))
    return before


@pytest.mark.postgresql
def test_a_postgresql_store_that_was_brought_back_runs_no_program_twice(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    """The rollbacks of the dump were carried out after it was made; the documented commands, then the last step."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    documented = re.findall(r"^ *(pg_(?:dump|restore) .*)$", text, re.MULTILINE)
    settling = re.findall(r"^ *watcher (restore) --config \S+ (--settle)$", text, re.MULTILINE)
    ran = tmp_path / "ran"
    with closing(postgresql.migrated()) as store:
        fill(store)
        bring_back(store, documented, tmp_path)
        result = run(tmp_path, *settling[0], store=f"url: {store.url}")
        assert result.exit_code == 0, result.output
        assert "3 watches were open" in result.output
        assert "2 rollbacks were under way" in result.output
        made = registry.adapter("rollback", "command")
        target = made("checkout", made.Options(argv=["touch", str(ran)]), plain_tools())
        keeper, metrics = Patient(store, "a"), Metrics("test")
        actor = Actor(store, {"checkout": target}, keeper, metrics, "http://watcher", structlog.get_logger())
        while actor.step(NOW):
            pass
        with store.read() as tx:
            states = [order.state for number in range(3) if (order := orders.rollback_of(tx, f"w-{number}"))]
    assert states == [RollbackState.UNKNOWN, RollbackState.PLANNED, RollbackState.UNKNOWN]
    assert not ran.exists()


def test_a_store_that_is_none_cannot_be_settled(tmp_path: Path) -> None:
    store = tmp_path / "watcher.db"
    result = run(tmp_path, "restore", "--settle")
    assert (result.exit_code, result.output) == (1, f"{store}: there is no such store\n")
    assert not store.exists()
    store.write_text("this is no database, whatever its name says" * 100)
    result = run(tmp_path, "restore", "--settle")
    assert result.exit_code == 1
    assert "the store failed" in result.output
