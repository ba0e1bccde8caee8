"""Calibration in a process of its own: a fleet-wide deploy is thousands of histories to learn, and what that takes of
the interpreter's lock would be missing to looks, webhooks and pages.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, BinaryIO

from watcher import detect
from watcher.model.series import Series
from watcher.model.watch import WatchPlan

_NICE = 5  # behind the looks, well before rehearsals: a watch is blind until its histories are learnt
_IDLE = 300.0  # seconds after which it ends: most watchers rarely need it, and it holds 100 MB
_PATIENCE = 2.0

# Learns a watch's histories (signal name -> points up to the deploy); a calibration's bytes.
Calibrate = Callable[[WatchPlan, Mapping[str, Series]], bytes]


def calibrated(plan: WatchPlan, histories: Mapping[str, Series]) -> bytes:
    """In this process."""
    return detect.calibrate(plan, histories).to_bytes()


class CalibratorDiedError(RuntimeError):
    """The process ended before it answered; the next question starts another."""


class Calibrator:
    """Does the same in a process that is started when it is needed; safe to use from several threads."""

    def __init__(self, died: Callable[[int], None]) -> None:
        """`died` is told the exit status of a process that ended while it was asked."""
        self._died = died
        self._turn = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __call__(self, plan: WatchPlan, histories: Mapping[str, Series]) -> bytes:
        """Raises `CalibratorDiedError`; nothing is lost by asking again."""
        question = pickle.dumps((plan, dict(histories)), pickle.HIGHEST_PROTOCOL)
        with self._turn:
            try:
                answer = self._ask(question)
            except (EOFError, OSError, pickle.UnpicklingError):
                status = self._end()
                if status == 0 and not self._stopped:  # it had been idle for long enough
                    answer = self._ask(question)
                else:
                    if not self._stopped:
                        self._died(status)
                    raise CalibratorDiedError(f"the calibrating process ended with status {status}") from None
        if isinstance(answer, str):
            raise RuntimeError(answer)  # noqa: TRY004  # what went wrong there
        return answer

    def stop(self) -> None:
        """Ends it at once; whoever waits for it is told that it died."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()
        with self._turn:
            self._end()

    def _ask(self, question: bytes) -> bytes | str:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("made without pipes")
        self._process.stdin.write(question)
        self._process.stdin.flush()
        answer: bytes | str = pickle.load(self._process.stdout)  # noqa: S301  # of our own process
        return answer

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what it was not told any more was still in the buffer
                    continue
        try:
            return process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answers questions until there are no more, or none for long."""
    while select.select([questions], [], [], _IDLE)[0]:
        try:
            plan, histories = pickle.load(questions)  # noqa: S301  # from the daemon that started us
        except (EOFError, pickle.UnpicklingError):  # the daemon has ended, perhaps in the middle of a question
            return
        answer: Any
        try:
            answer = calibrated(plan, histories)
        except Exception:  # noqa: BLE001  # it is raised where it was asked for
            answer = traceback.format_exc()
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def main() -> None:
    """The process itself: ends with the daemon, which is when nobody can ask any more."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # meant for the daemon, which finishes what is in flight
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library may print is no answer
    # The daemon may end before it has its answer.
    with suppress(BrokenPipeError), answers, os.fdopen(os.dup(sys.stdin.fileno()), "rb") as questions:
        serve(questions, answers)


if __name__ == "__main__":
    main()
