"""`watcher rehearse`: placebo deploys over a service's own history: does it keep its word, and what would it see?"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import NoReturn

import click

from watcher import settings as configuration
from watcher.cli.client import FAILED
from watcher.errors import ConfigError, ExternalError, StoreUnavailableError
from watcher.kit.text import duration, percent
from watcher.model.rehearsal import Rehearsal, Share, SignalRehearsal

_HEADINGS = ("SIGNAL", "CALLED FALSELY", "SMALLEST HARM SEEN", "AFTER", "VETOED", "NOT JUDGED")
_SHAPE_HEADINGS = ("SIGNAL", "SHAPE OF HARM", "SMALLEST HARM SEEN", "AS MUCH AS MUST BE SEEN")
_LOW_PRIORITY = 19


@click.command()
@click.argument("service")
@click.option("--config", "path", required=True, type=click.Path(), help="The configuration file.")
@click.option("--placebos", type=click.IntRange(1, 2000), default=18, show_default=True, help="How many at most.")
@click.option(
    "--limit", type=click.FloatRange(0), default=120.0, show_default=True, help="Seconds after which no more is begun."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole rehearsal as JSON.")
@click.option("--low-priority", is_flag=True, help="Leave the processor to others first.")
def rehearse(service: str, path: str, placebos: int, limit: float, as_json: bool, low_priority: bool) -> None:
    """Rehearse SERVICE on its own history: placebo deploys with and without harm, judged as real ones are.

    Nothing is deployed, rolled back or told to anybody; the result is kept in the store.

    \b
    Exit status: 0 rehearsed, 1 a mistake in the configuration or the name,
                 5 a source or the store did not answer, 2 usage.
    """  # noqa: D301  # click's mark for lines that stay as they are
    if low_priority:
        os.nice(_LOW_PRIORITY)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # one thread: the looks of a daemon beside it come first
    try:
        made = _rehearsed(path, service, placebos, limit)
    except ConfigError as error:
        _fail(str(error), 1)
    except (ExternalError, StoreUnavailableError) as error:
        where = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        _fail(f"watcher: not rehearsed: {error}{where}", FAILED)
    click.echo(json.dumps(asdict(made), indent=2) if as_json else text(made, shutil.get_terminal_size().columns))


def _rehearsed(path: str, name: str, placebos: int, limit: float) -> Rehearsal:
    settings = configuration.load(path, os.environ)
    service = settings.services.get(name)
    if service is None:
        _fail(f"{path}: no service named {name}; it has {', '.join(sorted(settings.services)) or 'none'}", 1)
    # Only now: a mistake in the file must not wait for scipy.
    from watcher.adapters import build_adapters  # noqa: PLC0415
    from watcher.engine.rehearsing import rehearse_service  # noqa: PLC0415
    from watcher.kit import clock  # noqa: PLC0415
    from watcher.store.database import Database  # noqa: PLC0415

    database = Database(settings.store_url.get_secret_value())
    try:
        database.migrate()
        sources = build_adapters(settings, database).sources
        return rehearse_service(database, sources, service, clock.now(), placebos, limit)
    finally:
        database.close()


def text(made: Rehearsal, width: int) -> str:
    """The rehearsal as a table and sentences."""
    width = min(max(width, 60), 110)
    title = (
        f"{made.service}: {made.placebos} placebo deploys over {duration(made.history)} of history, {made.cost:.1f} s"
    )
    lines = [title, "", *_aligned(_signals(made)), ""]
    if any(signal.shapes for signal in made.signals):
        lines += [*_aligned(_shapes(made)), ""]
    judged = [f"{signal.name} is judged {signal.basis}." for signal in made.signals if signal.basis]
    lines += [textwrap.fill(sentence, width) for sentence in (*judged, *made.sentences)]
    advice = [(signal.name, sentence) for signal in made.signals for sentence in signal.advice]
    if advice:
        lines += ["", "What would help"]
    lines += [textwrap.fill(sentence, width, initial_indent="- ", subsequent_indent="  ") for _, sentence in advice]
    return "\n".join(lines)


def _signals(made: Rehearsal) -> list[tuple[str, ...]]:
    rows = [_HEADINGS, *(_row(signal) for signal in made.signals)]
    known = made.known_false
    together = [("together", _share(made.false_calls), "", "", "", "")]
    if made.pooled is not None:
        together.append((f"in {made.pooled.rehearsals} rehearsals", _share(known), "", "", "", ""))
    return [*rows, *together]


def _shapes(made: Rehearsal) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_SHAPE_HEADINGS]
    for signal in made.signals:
        for shape in signal.shapes:
            seen = percent(shape.detectable) if shape.detectable is not None else f"none up to {percent(shape.tried)}"
            rows.append((signal.name, shape.name, seen, _share(shape.seen)))
    return rows


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()


def _row(signal: SignalRehearsal) -> tuple[str, ...]:
    if signal.tried is None:
        return (signal.name, _share(signal.false_calls), "unknown", "", "", _unmeasured(signal))
    seen = percent(signal.detectable) if signal.detectable is not None else f"none up to {percent(signal.tried)}"
    looks = f"{signal.looks:g} look{'' if signal.looks == 1 else 's'}"
    after = f"{duration(signal.seconds)}, {looks}" if signal.seconds is not None else "never"
    return (signal.name, _share(signal.false_calls), seen, after, _share(signal.vetoed), _unmeasured(signal))


def _share(share: Share) -> str:
    if share.value is None:
        return "unknown"
    return f"{share.hits} of {share.trials} ({percent(share.low)} to {percent(share.high)})"


def _unmeasured(signal: SignalRehearsal) -> str:
    return ", ".join(f"{count} {cause.replace('_', ' ')}" for cause, count in sorted(signal.unmeasured.items()))


def _fail(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)
