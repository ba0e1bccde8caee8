"""`watcher replay`: the product's own decision code over recorded cases; files, processes and progress are here."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from multiprocessing import get_all_start_methods, get_context
from typing import IO, NoReturn

import click

from watcher.kit import clock

_BATCH_LINES = 8
_BATCH_BYTES = 1_000_000
_AHEAD = 3  # batches in flight per worker: enough to keep it busy, few enough to bound memory
_PROGRESS_EVERY = 3.0

# A line's number, its result, what was malformed in it, the trace of an unexpected error.
Outcome = tuple[int, str | None, str | None, str | None]
Batch = list[tuple[int, bytes]]


@click.command()
@click.argument("cases", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--out", default="-", type=click.Path(dir_okay=False, allow_dash=True), help="Results; - is stdout.")
@click.option(
    "--false-rollback-probability",
    "probability",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Per case, over all its looks and signals.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Processes; default: one a core.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def replay(cases: str, out: str, probability: float, jobs: int | None, quiet: bool) -> None:
    """Judge the recorded deploys in CASES, one JSON object a line (`-` is standard input)."""
    if "-" not in {cases, out} and os.path.exists(out) and os.path.samefile(cases, out):  # noqa: PTH110, PTH121
        raise click.UsageError("--out must not be the file of the cases")
    progress = _Progress(shown=not quiet and sys.stderr.isatty())
    with ExitStack() as opened:
        opened.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _stop))
        try:
            source = opened.enter_context(click.open_file(cases, "rb"))
            target = opened.enter_context(click.open_file(out, "w", encoding="utf-8"))
            outcomes = _run(_batches(source), probability, jobs or len(os.sched_getaffinity(0)))
            malformed = _write(outcomes, target, "stdin" if cases == "-" else cases, progress)
        except BrokenPipeError:  # who reads the results has heard enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except BrokenProcessPool:
            _fail("a process died (out of memory?); fewer --jobs need less")
        except OSError as error:
            _fail(f"{error.filename or out}: {error.strerror}")
    progress.end()
    if malformed:
        sys.exit(1)


def _write(outcomes: Iterable[Outcome], target: IO[str], name: str, progress: _Progress) -> int:
    """Writes results in the order of the input and complaints to standard error; returns how many were malformed."""
    malformed = 0
    for number, result, complaint, trace in outcomes:
        if complaint is not None:
            malformed += 1
            progress.clear()
            click.echo(f"{name}:{number}: {complaint}", err=True)
        if trace is not None:
            progress.clear()
            click.echo(f"{name}:{number}: internal error in case {trace}", err=True)
        if result is not None:
            target.write(f"{result}\n")
            target.flush()
        progress.count(malformed)
    return malformed


def _batches(source: IO[bytes]) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        batch.append((number, line))
        size += len(line)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_LINES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _run(batches: Iterator[Batch], probability: float, jobs: int) -> Iterator[Outcome]:
    """Every line's outcome, in order; in this process if there is only one batch or one job."""
    first = list(islice(batches, 2))
    job = partial(_replay_batch, probability=probability)
    if jobs == 1 or len(first) < 2:
        return chain.from_iterable(map(job, chain(first, batches)))
    return _run_parallel(chain(first, batches), job, jobs)


def _run_parallel(batches: Iterator[Batch], job: partial[list[Outcome]], jobs: int) -> Iterator[Outcome]:
    # One thread a process: the processes are what fills the cores.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(["watcher.engine.replay"])
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts)
    waiting: deque[Future[list[Outcome]]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(job, batch))
            if len(waiting) >= jobs * _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _replay_batch(batch: Batch, probability: float) -> list[Outcome]:
    from watcher.engine.replay import replay_line  # noqa: PLC0415  # a usage error must not wait for scipy

    done = []
    for number, line in batch:
        replayed = replay_line(line, probability)
        done.append((number, replayed.result, replayed.malformed, replayed.trace))
    return done


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and ends its workers


def _stop(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _fail(message: str) -> NoReturn:
    click.echo(f"watcher replay: {message}", err=True)
    sys.exit(1)


class _Progress:
    """One line on a terminal, renewed every few seconds."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._began = self._last = clock.monotonic()
        self._cases = self._malformed = 0

    def count(self, malformed: int) -> None:
        self._cases += 1
        self._malformed = malformed
        if self._shown and clock.monotonic() - self._last >= _PROGRESS_EVERY:
            self._last = clock.monotonic()
            self._show()

    def clear(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)

    def end(self) -> None:
        if self._shown:
            self._show()
            click.echo(err=True)

    def _show(self) -> None:
        rate = self._cases / max(clock.monotonic() - self._began, 1e-3)
        wrong = f", {self._malformed} malformed" if self._malformed else ""
        click.echo(f"\r\x1b[K{self._cases} cases, {rate:.3g} a second{wrong}", err=True, nl=False)
