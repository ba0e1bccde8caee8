"""`watcher drill`: proves the way of a rollback before the night in which it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event
from typing import Any
from urllib.parse import quote

import click

from watcher.cli.client import FAILED, Client, Failure, UnreachableError, say, with_client
from watcher.cli.wait import Duration
from watcher.kit import clock

_POLL = 0.2
_WORDS = {
    "accepted": "took the dry-run order. Nothing was rolled back.",
    "verified": "says that it carried out the dry run. Nothing was rolled back.",
    "failed": "did NOT take the order: unless it was held back here, a rollback would fail in the same way.",
    "unknown": "may or may not have got the order: a rollback would call a person.",
}


@click.command()
@click.argument("service")
@click.option("--environment", help="Where; that of the newest deploy, if left out.")
@click.option("--bad-version", help="What would be rolled back; the newest version, if left out.")
@click.option("--target-version", help="What would be gone back to; as for a rollback, if left out.")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait for the outcome.")
@with_client
def drill(
    client: Client,
    service: str,
    environment: str | None,
    bad_version: str | None,
    target_version: str | None,
    timeout: float,
) -> None:
    """Send the rollback target of SERVICE a dry-run order, by the way of a real one: store, outbox, signature, receipt.

    Exit status 0 if the target took it, 5 if not. It needs a token with the scopes approve and read.
    """
    given = {"environment": environment, "bad_version": bad_version, "target_version": target_version}
    body = {name: value for name, value in given.items() if value is not None}
    ordered = client.post(f"/api/v1/services/{quote(service, safe='')}/drills", body)
    what = f"{ordered['bad_version']} -> {ordered['target_version']} in {ordered['environment']}, dry run"
    say(f"stored    {ordered['id']}: {what}")
    came = follow(client, ordered, timeout)
    if came is None:
        raise Failure(f"no outcome within {timeout:g} s; it goes on: see the page of the service")
    say(f"{came['state']:<9} {_answer(came)}")
    say(f"The rollback target of {service} {_WORDS.get(came['state'], came['state'])}")
    if came["state"] not in ("accepted", "verified"):
        raise SystemExit(FAILED)


def follow(client: Client, ordered: Mapping[str, Any], timeout: float) -> Mapping[str, Any] | None:
    """Says every attempt that failed, until the drill is settled; None if the time is over before."""
    deadline = clock.monotonic() + timeout
    said, due = 0, ordered["next_at"]
    while clock.monotonic() < deadline:
        try:
            drill: Mapping[str, Any] = client.get(f"/api/v1/drills/{quote(ordered['id'], safe='')}")
        except UnreachableError as error:  # the order is stored: a daemon that restarts goes on with it
            say(f"waiting   {error.message}", err=True)
            clock.wait(Event(), 2.0)
            continue
        # A call under way is counted already; all else is as the one before left it.
        if drill["attempts"] > said and drill["next_at"] != due:
            said, due = drill["attempts"], drill["next_at"]
            say(f"sent      attempt {said}")
            if due is not None:
                say(f"failed    {drill['detail']}; tried again")
        if drill["next_at"] is None:
            return drill
        clock.wait(Event(), _POLL)
    return None


def _answer(drill: Mapping[str, Any]) -> str:
    reference = f" ({drill['reference']})" if drill["reference"] else ""
    return f"{drill['detail'] or 'nothing more was said'}{reference}"
