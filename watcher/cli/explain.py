"""`watcher explain`: everything known of one watch, in plain text."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import click

from watcher.cli.client import Client, path_of, say, with_client
from watcher.kit import clock
from watcher.kit.text import duration
from watcher.web import words

_LABEL = 12


@click.command()
@click.argument("watch_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="The API's own answer.")
@click.option("--replay", is_flag=True, help="Compute every look again from what is stored; needs --config.")
@click.option("--config", "path", type=click.Path(), help="The configuration file, for --replay: it names the store.")
@with_client
def explain(client: Client, watch_id: str, as_json: bool, replay: bool, path: str | None) -> None:
    """Say why a deploy was judged as it was. ID is a watch's or a deploy's.

    With --replay, say instead whether its decisions can be computed once more, bit for bit; no daemon is asked.

    \b
    Exit status with --replay: 0 every look reproduced, 3 it cannot be told,
                               5 one differs or an error, 2 usage.
    """  # noqa: D301  # click's mark for lines that stay as they are
    if replay:
        if path is None:
            raise click.UsageError("--replay needs --config")
        from watcher.cli.reproduce import reproduce  # noqa: PLC0415  # only this needs scipy and the store

        sys.exit(reproduce(path, watch_id))
    watch = client.get(path_of(watch_id))
    if as_json:
        say(json.dumps(watch, indent=2))
        return
    say(text(watch, clock.now(), min(max(shutil.get_terminal_size().columns, 60), 110)))


def text(watch: Mapping[str, Any], now: float, width: int) -> str:
    """The explanation in lines of at most about `width` characters."""
    badge = words.badge(watch["gate"])
    title = f"{badge.mark} {badge.word.upper()}  {watch['service']} {watch['version']} in {watch['environment']}"
    lines = [title, "", textwrap.fill(words.sentence(watch), width, initial_indent="  ", subsequent_indent="  "), ""]
    lines += [_labelled(label, fact, width) for label, fact in _facts(watch, now)]
    lines += ["", "Signals", *(_signal(one, now, width) for one in sorted(watch["signals"], key=words.signal_rank))]
    lines += ["", "Timeline", *(_event(one, width) for one in watch["events"])]
    return "\n".join(lines)


def _facts(watch: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    yield "Watch", f"{watch['id']} (deploy {watch['deploy_id']}), {watch['state']}, mode {watch['mode']}"
    before = f", before it {watch['previous_version']}" if watch["previous_version"] else ""
    yield "Deployed", f"{_when(watch['started_at'], now)} to {clock.iso(watch['finished_at'])}{before}"
    end, ended = max(watch["until"], watch["ticket_until"]), watch["ended_at"]
    if ended is not None and ended < end:  # superseded, stopped, decided: nobody looks any more
        yield "Window", f"to {clock.iso(end)}; the watch ended before, {_when(ended, now)}"
    else:
        yield "Window", f"until {_when(end, now)}"
    if watch["last_look_at"] is not None:
        yield "Newest look", _when(watch["last_look_at"], now)
    if watch["blind_seconds"]:
        yield "Blind for", duration(watch["blind_seconds"])
    if watch["superseded_by"]:
        yield "Replaced by", f"deploy {watch['superseded_by']}"
    yield from _rollback(watch, now)
    if watch["siblings"]:
        yield "See also", ", ".join(watch["siblings"])
    for title, url in watch["links"].items():
        yield "Link", f"{title}: {url}"
    yield "Page", watch["url"]


def _rollback(watch: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    line, order = words.rollback(watch), watch["rollback"]
    if line is None:
        return
    yield "Rollback", f"{line.text} ({order['detail']})" if order["detail"] else line.text
    if line.waits:
        if order["expires_at"] is not None:
            yield "", f"expires {_when(order['expires_at'], now)}"
        yield "", f"watcher approve {watch['id']} --reason TEXT, or refuse"


def _when(at: float, now: float) -> str:
    apart = at - now
    return f"{clock.iso(at)} ({f'in {duration(apart)}' if apart > 0 else f'{duration(-apart)} ago'})"


def _labelled(label: str, fact: str, width: int) -> str:
    return textwrap.fill(
        fact, width, initial_indent=f"{label:<{_LABEL}} ", subsequent_indent=" " * (_LABEL + 1), break_long_words=False
    )


def _signal(signal: Mapping[str, Any], now: float, width: int) -> str:
    badge = words.signal_badge(signal)
    facts = [
        words.change(signal),
        f"since {_when(signal['onset'], now)}" if signal["onset"] is not None else "",
        words.remarks(signal),
    ]
    name = signal["name"] if signal["role"] == "required" else f"{signal['name']} ({signal['role']})"
    line = f"{badge.mark} {name}: {'; '.join([badge.word.lower(), *filter(None, facts)])}"
    return textwrap.fill(line, width, initial_indent="  ", subsequent_indent="      ", break_long_words=False)


def _event(event: Mapping[str, Any], width: int) -> str:
    line = f"{clock.iso(event['at'])}  {event['event']}: {event['text']}"
    return textwrap.fill(line, width, initial_indent="  ", subsequent_indent="      ", break_long_words=False)
