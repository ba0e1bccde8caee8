"""`watcher status`: the newest watches on one screen."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from watcher.cli.client import Client, say, with_client
from watcher.kit import clock
from watcher.kit.text import duration
from watcher.web import words

_GAP = "  "
_HEADINGS = ("OUTCOME", "SERVICE", "VERSION", "ENVIRONMENT", "DEPLOYED", "ID", "WHY")


@click.command()
@click.option("--service", help="Only this service.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The API's own answer.")
@with_client
def status(client: Client, service: str | None, limit: int, as_json: bool) -> None:
    """Show the newest watches, and what waits for a decision."""
    params = {"limit": str(limit)} | ({"service": service} if service else {})
    answer = client.get("/api/v1/watches", params)
    if as_json:
        say(json.dumps(answer, indent=2))
        return
    say(table(answer["watches"], clock.now(), _width(), service))


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(watches: Sequence[Mapping[str, Any]], now: float, width: int | None, service: str | None = None) -> str:
    """The watches as lines, the sentence cut to `width` if there is one; then what a person should do.

    `service`: the only one that was asked for.
    """
    if not watches:
        if service:
            return f"No deploy of {service} is watched yet; without --service all are shown."
        return "No deploy is watched yet. Tell of one: watcher deploy --service NAME --environment NAME --version NAME"
    rows = [_HEADINGS, *(_row(watch, now) for watch in watches)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row, widths, strict=False)]
        line = _GAP.join([*cells, row[-1]]).rstrip()
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")
    lines += [_call(watch) for watch in watches if _waits(watch)]
    return "\n".join(lines)


def _waits(watch: Mapping[str, Any]) -> bool:
    line = words.rollback(watch)
    return line is not None and line.waits


def _row(watch: Mapping[str, Any], now: float) -> tuple[str, ...]:
    badge = words.badge(watch["gate"])
    rollback = words.rollback(watch)
    sentence = words.sentence(watch)
    why = f"{rollback.text}: {sentence}" if rollback else sentence
    return (
        f"{badge.mark} {badge.word.lower()}",
        watch["service"],
        watch["version"],
        watch["environment"],
        f"{duration(max(now - watch['finished_at'], 0))} ago",
        watch["id"],
        why,
    )


def _call(watch: Mapping[str, Any]) -> str:
    return (
        f"\n{watch['service']} {watch['version']} waits for your decision:"
        f" watcher approve {watch['id']} --reason TEXT, or refuse"
    )
