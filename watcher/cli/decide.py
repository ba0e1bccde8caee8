"""`watcher approve` and `watcher refuse`: a person's word on a rollback that waits."""

from __future__ import annotations

import click

from watcher.cli.client import Client, path_of, say, with_client
from watcher.web import words

_reason = click.option("--reason", required=True, help="Why; kept in the audit log.")


@click.command()
@click.argument("watch_id", metavar="ID")
@_reason
@with_client
def approve(client: Client, watch_id: str, reason: str) -> None:
    """Approve the rollback that waits. ID is a watch's or a deploy's. Exit status 5 if none waits."""
    _decide(client, watch_id, "approve", reason)


@click.command()
@click.argument("watch_id", metavar="ID")
@_reason
@with_client
def refuse(client: Client, watch_id: str, reason: str) -> None:
    """Refuse the rollback that waits. ID is a watch's or a deploy's. Exit status 5 if none waits."""
    _decide(client, watch_id, "refuse", reason)


def _decide(client: Client, watch_id: str, action: str, reason: str) -> None:
    watch = client.post(f"{path_of(watch_id)}/{action}", {"reason": reason})
    line = words.rollback(watch)
    say(f"{watch['service']} {watch['version']}: {line.text if line else watch['state']}")
    say(watch["url"])
