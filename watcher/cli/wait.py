"""`watcher wait`: the step on which a pipeline gates. Its exit status is its answer, so nothing else may borrow one:
whatever goes wrong is 5, never 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event
from typing import Any

import click

from watcher.cli.client import FAILED, Client, Failure, NotYetError, UnreachableError, path_of, say, with_client
from watcher.kit import clock
from watcher.kit.units import DURATION_WORDS, parse_duration
from watcher.web import words

TIMED_OUT = 4
EXITS: Mapping[str, int] = {
    "healthy": 0,
    "regressed": 1,
    "inconclusive": 3,
    "error": FAILED,
    "superseded": 6,
    "stopped": 6,
}
_INTERRUPTED = 130
_POLL = 30.0  # seconds that one question is held by the daemon; proxies cut longer ones
_RETRY = 2.0


class Duration(click.ParamType[float]):
    """Seconds, written `90s`, `1h30m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError:
            self.fail(f"expected {DURATION_WORDS}", param, ctx)


timeout_option = click.option(
    "--timeout", type=Duration(), default="2h", show_default=True, help="How long to wait at most."
)


@click.command()
@click.argument("watch_id", metavar="ID")
@timeout_option
@with_client
def wait(client: Client, watch_id: str, timeout: float) -> None:
    """Wait until a deploy is judged; ID is a watch's or a deploy's.

    Answers as soon as harm is found, else at the end of the metric window. A deploy with several watches answers with
    the worst. A daemon that restarts meanwhile is waited for.

    \b
    Exit status: 0 healthy, 1 regressed, 3 inconclusive, 4 timed out,
                 5 an error or no daemon, 6 superseded or stopped, 2 usage.
    """  # noqa: D301  # click's mark for lines that stay as they are
    raise SystemExit(gated(client, watch_id, timeout))


def gated(client: Client, watch_id: str, timeout: float) -> int:
    """The exit status of waiting, come what may."""
    try:
        return follow(client, watch_id, timeout)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Failure as error:
        error.show()
        return FAILED
    except Exception as error:  # noqa: BLE001  # status 1 means regressed: an accident of ours must not say that
        Failure(f"unexpected {type(error).__name__}: {error}").show()
        return FAILED


def follow(client: Client, watch_id: str, timeout: float) -> int:
    """Asks until the gate is decided or `timeout` seconds are over; says on standard error what changes meanwhile.

    Raises:
        Failure: the daemon refuses the question.
    """
    deadline = clock.monotonic() + timeout
    said, held = "", 0.0  # the first question is answered at once: what is known by now should be said
    while True:
        lost = None
        try:
            watch = client.get(path_of(watch_id), {"wait": f"{held:.1f}"}, patience=held)
        except (UnreachableError, NotYetError) as error:
            lost, news = error, error.message
        else:
            if watch["gate"] is not None:
                return answer(watch)
            news = f"{watch['service']} {watch['version']}: {words.sentence(watch)}"
        if news != said:
            say(news, err=True)
            said = news
        if deadline - clock.monotonic() <= 0:
            return _too_late(lost, timeout)
        if lost is not None:
            clock.wait(Event(), min(_RETRY, deadline - clock.monotonic()))
        held = min(max(deadline - clock.monotonic(), 0.0), _POLL)


def answer(watch: Mapping[str, Any]) -> int:
    """Prints the judgement; its exit status."""
    badge = words.badge(watch["gate"])
    say(f"{badge.mark} {watch['service']} {watch['version']} {badge.word.lower()}: {words.sentence(watch)}")
    rollback = words.rollback(watch)
    if rollback is not None:
        say(rollback.text)
    say(watch["url"])
    return EXITS.get(watch["gate"], FAILED)


def _too_late(lost: Failure | None, timeout: float) -> int:
    if isinstance(lost, UnreachableError):
        return FAILED
    say(f"watcher: not decided within {timeout:g} s", err=True)
    return TIMED_OUT
