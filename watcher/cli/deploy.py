"""`watcher deploy`: tells of a deploy from a pipeline step that has no webhook."""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Event
from typing import Any

import click

from watcher.cli.client import Client, UnreachableError, say, with_client
from watcher.cli.wait import gated, timeout_option
from watcher.kit import clock

_TRIES = 5
_PAUSE = 2.0


@click.command()
@click.option("--service", required=True, help="What the configured services are matched with.")
@click.option("--environment", required=True)
@click.option("--version", required=True, help="What runs now.")
@click.option("--previous-version", help="What ran before: where to go back to.")
@click.option("--started-at", help="When users could first meet it: unix seconds or ISO 8601 with zone.")
@click.option("--finished-at", help="When the deploy ended; now, if left out.")
@click.option("--link", "links", multiple=True, metavar="TITLE=URL", help="Shown beside the deploy; can be repeated.")
@click.option("--id", "own_id", help="The pipeline's own id of this deploy, so that a repeat is recognized.")
@click.option("--wait", "waits", is_flag=True, help="Then wait for the judgement, and exit as `watcher wait` does.")
@timeout_option
@with_client
def deploy(
    client: Client,
    service: str,
    environment: str,
    version: str,
    previous_version: str | None,
    started_at: str | None,
    finished_at: str | None,
    links: tuple[str, ...],
    own_id: str | None,
    waits: bool,
    timeout: float,
) -> None:
    """Tell the daemon of a deploy. Exit status 5 if it does not take it."""
    body = {
        "service": service,
        "environment": environment,
        "version": version,
        "previous_version": previous_version,
        "started_at": _time(started_at),
        "finished_at": _time(finished_at),
        "links": dict(map(_link, links)) or None,
        "id": own_id,
    }
    told = tell(client, {name: value for name, value in body.items() if value is not None})
    if told.get("warning"):
        say(f"warning: {told['warning']}", err=True)
    say(f"deploy {told['deploy_id']}")
    for watch_id in told["watch_ids"]:
        say(f"watch {watch_id}")
    if waits:
        raise SystemExit(gated(client, told["deploy_id"], timeout))


def tell(client: Client, body: Mapping[str, Any]) -> Any:
    """The daemon's answer; a daemon that is away for a moment is asked again, which is safe: it knows a repeat."""
    for _ in range(_TRIES - 1):
        try:
            return client.post("/api/v1/deploys", body)
        except UnreachableError as error:
            say(f"{error.message}; trying again", err=True)
            clock.wait(Event(), _PAUSE)
    return client.post("/api/v1/deploys", body)


def _time(value: str | None) -> float | str | None:
    """A number as a number; the daemon judges the rest, also what JSON cannot say as one (`nan`)."""
    try:
        number = None if value is None else float(value)
    except ValueError:
        return value
    return value if number is not None and not math.isfinite(number) else number


def _link(text: str) -> tuple[str, str]:
    title, equals, url = text.partition("=")
    if not equals or not title.strip() or not url.strip():
        raise click.BadParameter(f"expected TITLE=URL, not {text!r}", param_hint="--link")
    return title.strip(), url.strip()
