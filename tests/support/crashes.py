"""One daemon that dies again and again, and what must hold in the end: nothing lost, nothing done twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.daemon import Daemon
from support.fault_server import Answer, Request
from support.fleet import Sender, Surroundings, names, surroundings

TESTS = str(Path(__file__).parent.parent)
CALL = "in the call"  # the receiver has the order, and the daemon dies before it has the answer
_LONGEST = 4.0  # seconds of a life, once it is ready


def moments(number: int) -> list[float]:
    """Seconds of that many lives, at random."""
    return [random.uniform(0.0, _LONGEST) for _ in range(number)]


@dataclass
class Mortal:
    """A daemon and its deploys, a bad one and a good one for each of its lives."""

    daemon: Daemon
    around: Surroundings
    sender: Sender
    lives: int = 0
    sending: list[threading.Thread] = field(default_factory=list)

    def deploy(self) -> None:
        """A bad deploy and a good one are on their way, and sent again until they are acknowledged."""
        for service, ago in ((f"bad-{self.lives}", 5.0), (f"good-{self.lives}", 40.0)):
            thread = threading.Thread(target=self.sender.deploy, args=(service, ago), daemon=True)
            thread.start()
            self.sending.append(thread)
        self.lives += 1

    def die_at(self, point: str) -> None:
        """Lives until it comes to `point`."""
        if point == CALL:
            self.around.call = self._kill
        # What earlier lives left may bring it to its point before it is ready.
        self.daemon.start(wait=False, through=("watcher",) if point == CALL else ("support.crashing", point))
        self.deploy()
        assert self.daemon.died(200) == -signal.SIGKILL, f"never came to {point}: {self.daemon.log.read_text()[-2000:]}"
        self.around.call = lambda _request: None

    def die_after(self, seconds: float) -> None:
        self.daemon.start()
        self.deploy()
        threading.Event().wait(seconds)
        self.daemon.kill()

    def _kill(self, _request: Request) -> Answer:
        os.kill(self.daemon.pid, signal.SIGKILL)
        return Answer(reset=True)

    def lost_nothing_and_did_nothing_twice(self, seconds: float) -> str:
        """Lives on until every watch has ended, then compares what was acknowledged with what was done; a summary."""
        self.daemon.start()
        for thread in self.sending:
            thread.join(120)
        accepted = self.sender.accepted
        assert len(accepted) == 2 * self.lives
        for name, (_, watch_id) in accepted.items():
            assert self.daemon.status(f"/api/v1/watches/{watch_id}") == 200, f"the deploy of {name} is lost"
            self._end_of(watch_id, seconds)
            watch = self.daemon.get(f"/api/v1/watches/{watch_id}")
            expected = "regressed" if name.startswith("bad") else "healthy"
            assert watch["outcome"] == expected, f"{name}: {watch['sentence']}"
        rollbacks = self.around.rollbacks()
        assert sorted(rollbacks) == sorted(name for name in accepted if name.startswith("bad"))
        assert {len(keys) for keys in rollbacks.values()} == {1}, rollbacks
        assert not self.daemon.events("loop_error")
        calls = sum(keys.total() for keys in rollbacks.values())
        return (
            f"{self.lives} deaths, {len(accepted)} deploys acknowledged, 0 lost; {len(rollbacks)} bad deploys, "
            f"{len(rollbacks)} rollbacks in {calls} calls under {len(rollbacks)} keys; 0 rollbacks of good ones"
        )

    def _end_of(self, watch_id: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (watch := self.daemon.get(f"/api/v1/watches/{watch_id}"))["state"] != "done":
            assert time.monotonic() < deadline, f"not ended within {seconds} s: {watch}"
            time.sleep(0.2)


@contextmanager
def mortal(directory: Path, store_url: str, lives: int) -> Iterator[Mortal]:
    with surroundings() as around:
        path = os.pathsep.join(filter(None, (TESTS, os.environ.get("PYTHONPATH"))))
        environment = {"STORE_URL": store_url, "PYTHONPATH": path}
        daemon = Daemon(directory / "watcher", around.config(names(lives)), environment)
        with daemon.stopping():
            yield Mortal(daemon, around, Sender(around, [daemon]))
