"""The shop that the demo watches: its own process, with a helpdesk and a past. It knows nothing of the watcher.

GET  /metrics       counters and latency histogram, OpenMetrics
GET  /history       the same counters every two seconds for the last hours, with timestamps
GET  /tickets       the helpdesk's tickets; `?after=` and `?until=` in unix seconds
POST /deploy        {"version": "v2"}: this version serves from now on
GET  /version       {"version": ..., "since": ...}
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import deque
from threading import Event, Lock, Thread

from watcher.demo.helpdesk import Helpdesk
from watcher.demo.metrics import CONTENT_TYPE, Totals, history, scrape
from watcher.demo.traffic import VERSIONS, Traffic
from watcher.demo.wire import Answer, Request, Server

STEP = 2.0  # seconds between two points of the past
_TICK = 0.5  # seconds between two moves of the clock while nobody asks; every question moves it, too


class Shop:
    """The shop's state; safe to use from several threads."""

    def __init__(self, now: float, *, seed: int, past: float, version: str = "v1") -> None:
        """Opens with `past` seconds behind it, up to `now` (unix seconds)."""
        self._lock = Lock()
        self._traffic = Traffic(seed)
        self._helpdesk = Helpdesk()
        self._version = version
        self._totals = Totals()
        self._samples: deque[tuple[float, Totals]] = deque(maxlen=round(past / STEP) + 1)
        self._at = math.floor((now - past) / STEP) * STEP
        self._samples.append((self._at, self._totals))
        self.since = self._at
        self.advance(now)

    @property
    def version(self) -> str:
        return self._version

    def advance(self, now: float) -> None:
        """Lives on until `now`."""
        with self._lock:
            while now > self._at:
                self._step(min(now, (math.floor(self._at / STEP) + 1) * STEP))

    def deploy(self, version: str, now: float) -> None:
        """Serves `version` from `now` on; KeyError if there is no such version."""
        VERSIONS[version]
        self.advance(now)
        with self._lock:
            self._version, self.since = version, now

    def metrics(self, now: float) -> str:
        self.advance(now)
        with self._lock:
            return scrape(self._totals, self._version)

    def history(self, now: float) -> str:
        self.advance(now)
        with self._lock:
            samples = tuple(self._samples)
        return "\n".join(history(samples)) + "\n"

    def tickets(self, now: float, after: float, until: float, url: str) -> list[dict[str, object]]:
        self.advance(now)
        with self._lock:
            return [ticket.as_json(url) for ticket in self._helpdesk.between(after, until)]

    def ticket(self, ticket_id: int, url: str) -> dict[str, object] | None:
        with self._lock:
            ticket = self._helpdesk.find(ticket_id)
        return ticket.as_json(url) if ticket else None

    def _step(self, until: float) -> None:
        start, seconds = self._at, until - self._at
        tick = self._traffic.tick(start, seconds, VERSIONS[self._version])
        self._totals = self._totals.plus(tick)
        self._helpdesk.take(tick, start, seconds, self._traffic)
        self._at = until
        if self._at % STEP == 0:
            self._samples.append((self._at, self._totals))


def server(shop: Shop) -> Server:
    """The shop's pages; `start` and `stop` are the caller's."""

    def deploy(request: Request) -> Answer:
        try:
            version = json.loads(request.body)["version"]
            shop.deploy(version, time.time())
        except (ValueError, KeyError, TypeError):
            return Answer(400, {"error": f"version: expected one of {', '.join(VERSIONS)}"})
        return Answer(200, {"version": shop.version, "since": shop.since})

    def tickets(request: Request) -> Answer:
        try:
            after, until = (float(request.query.get(key, default)) for key, default in (("after", 0), ("until", "inf")))
        except ValueError:
            return Answer(400, {"error": "after, until: expected unix seconds"})
        return Answer(200, {"tickets": shop.tickets(time.time(), after, until, pages.url)})

    def ticket(request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        found = shop.ticket(int(name), pages.url) if name.isascii() and name.isdigit() else None
        return Answer(200, found) if found else Answer(404, {"error": f"no such ticket: {name}"})

    pages = Server(
        {
            ("GET", "/metrics"): lambda _: Answer(200, shop.metrics(time.time()), CONTENT_TYPE),
            ("GET", "/history"): lambda _: Answer(200, shop.history(time.time()), CONTENT_TYPE),
            ("GET", "/version"): lambda _: Answer(200, {"version": shop.version, "since": shop.since}),
            ("GET", "/tickets"): tickets,
            ("GET", "/tickets/"): ticket,
            ("POST", "/deploy"): deploy,
        }
    )
    return pages


def main() -> int:
    """Runs until standard input ends: the shop never outlives the one who opened it."""
    parser = argparse.ArgumentParser(prog="watcher.demo.shop", description="A small shop to be watched.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--past", type=float, default=2 * 3600.0, help="seconds of history")
    arguments = parser.parse_args()
    shop = Shop(time.time(), seed=arguments.seed, past=arguments.past)
    pages = server(shop)
    pages.start()
    print(pages.url, flush=True)
    closed = Event()
    Thread(target=_wait_for_end_of_input, args=(closed,), daemon=True).start()
    while not closed.wait(_TICK):
        shop.advance(time.time())
    pages.stop()
    return 0


def _wait_for_end_of_input(closed: Event) -> None:
    sys.stdin.read()
    closed.set()


if __name__ == "__main__":
    sys.exit(main())
