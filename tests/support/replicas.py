"""Several true daemons on one real PostgreSQL, and a record of which replica made which look."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from support.daemon import Daemon
from support.postgresql_server import PostgresqlServer

T = TypeVar("T")

# Written in the transaction of the look itself: a look that is undone leaves no line.
_RECORD = """
create table looked (watch_id text, at float8, owner text, made float8);
create function looked() returns trigger language plpgsql as $$ begin
  insert into looked select new.watch_id, new.at, owner, extract(epoch from clock_timestamp())
  from watches where id = new.watch_id;
  return new; end $$;
create trigger looked after insert on looks for each row execute function looked()
"""
_HELD = "lease_until > extract(epoch from clock_timestamp())"


@dataclass
class Replicas:
    """`daemons` share `server`; any may be killed, stopped, woken and started again."""

    server: PostgresqlServer
    daemons: Sequence[Daemon]
    asleep: set[int] = field(default_factory=set)

    def kill(self, daemon: Daemon) -> float:
        """When, unix seconds."""
        daemon.kill()
        return time.time()

    def sleep(self, daemon: Daemon) -> float:
        os.kill(daemon.pid, signal.SIGSTOP)
        self.asleep.add(daemon.pid)
        return time.time()

    def wake(self, daemon: Daemon) -> None:
        if daemon.pid in self.asleep:
            os.kill(daemon.pid, signal.SIGCONT)
        self.asleep.discard(daemon.pid)

    def of(self, owner: str) -> Daemon:
        """The daemon that calls itself so in the store."""
        return next(daemon for daemon in self.daemons if f":{daemon.pid}:" in owner)

    def rows(self, query: str) -> list[list[str]]:
        return [line.split("|") for line in self.server.sql(query).splitlines()]

    def looking(self, daemon: Daemon) -> list[str]:
        """Undecided watches that a daemon holds just now."""
        held = f"select id from watches where {_HELD} and outcome is null and owner like '%:{daemon.pid}:%'"
        return [row[0] for row in self.rows(held)]

    def busiest(self, among: Sequence[Daemon], seconds: float = 90.0) -> tuple[Daemon, list[str]]:
        """A daemon that holds watches just now, and which."""
        found = self.until(lambda: [(d, held) for d in among if (held := self.looking(d))], seconds)
        return max(found, key=lambda pair: len(pair[1]))

    def scraper(self) -> Daemon:
        ((owner,),) = self.rows("select owner from leases where name like 'collect:%'")
        return self.of(owner)

    def calling(self) -> Daemon:
        """The daemon that carries out a rollback just now."""
        ((owner,),) = self.rows(f"select owner from orders where kind = 'rollback' and state = 'attempted' and {_HELD}")
        return self.of(owner)

    def carries_out_a_rollback(self, daemon: Daemon) -> bool:
        """Whether it was the last to take one that is not settled."""
        taken = "kind = 'rollback' and state = 'attempted'"
        return self.rows(f"select 1 from orders where {taken} and owner like '%:{daemon.pid}:%'") != []

    def taken_over(self, watch_ids: Sequence[str], lost: Daemon, since: float, seconds: float = 90.0) -> float:
        """When after `since` another than `lost` had looked at, or ended, every one of `watch_ids`; unix seconds."""
        listed = ",".join(f"'{watch_id}'" for watch_id in watch_ids)
        query = (
            f"select watch_id, min(made) from looked where watch_id in ({listed}) and made > {since} "
            f"and owner not like '%:{lost.pid}:%' group by watch_id"
        )
        self.until(lambda: len(self.rows(query)) == len(watch_ids), seconds)
        return max(float(row[1]) for row in self.rows(query))

    def looked_twice(self) -> list[list[str]]:
        """Looks that were made more than once, with who made them."""
        return self.rows("select watch_id, at, string_agg(owner, ' ') from looked group by 1, 2 having count(*) > 1")

    def until(self, condition: Callable[[], T], seconds: float) -> T:
        """The first true answer of `condition`."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.05)
        return found

    def cut(self) -> None:
        """Ends every connection to the database."""
        self.server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'watcher' "
            "and pid <> pg_backend_pid()"
        )

    def restart_database(self, seconds: float) -> None:
        """The database is away for that long."""
        self.server.stop()
        time.sleep(seconds)
        self.server.start()


@contextmanager
def replicas(
    directory: Path, config: str, number: int, environment: Mapping[str, str] | None = None
) -> Iterator[Replicas]:
    with PostgresqlServer() as server, ExitStack() as stack:
        own = {"STORE_URL": server.url} | dict(environment or {})
        daemons = [Daemon(directory / f"replica-{place}", config, own) for place in range(number)]
        made = Replicas(server, daemons)
        for daemon in daemons:
            stack.enter_context(daemon.stopping())
            stack.callback(made.wake, daemon)
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(lambda daemon: daemon.start(), daemons))
        server.sql(_RECORD)
        yield made
