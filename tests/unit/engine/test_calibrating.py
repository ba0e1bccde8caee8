"""Calibration in a process of its own: the same bytes, and nothing lost when it dies, idles or is stopped."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from subprocess import PIPE

import psutil
import pytest
from support.signals import DEPLOY, orders, plan
from support.signals import signal as a_signal

from watcher.engine import calibrating
from watcher.engine.calibrating import Calibrator, CalibratorDiedError, calibrated

PLAN = plan(a_signal())
HISTORIES = {"orders": orders(1).between(-float("inf"), DEPLOY)}


@pytest.fixture
def died() -> list[int]:
    return []


@pytest.fixture
def calibrator(died: list[int]) -> Iterator[Calibrator]:
    one = Calibrator(died.append)
    yield one
    one.stop()
    assert not _children(), "it ends with whoever started it"


def _children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "watcher.engine.calibrating" in one.cmdline()]


def test_it_answers_the_same_bytes_from_one_process_behind_the_others(calibrator: Calibrator, died: list[int]) -> None:
    assert calibrator(PLAN, HISTORIES) == calibrated(PLAN, HISTORIES)
    assert calibrator(PLAN, {}) == calibrated(PLAN, {})
    (child,) = _children()
    assert child.nice() > psutil.Process().nice() or child.nice() == 19
    assert not died


def test_a_process_that_is_killed_is_told_of_and_the_next_question_starts_another(
    calibrator: Calibrator, died: list[int]
) -> None:
    calibrator(PLAN, {})
    (child,) = _children()
    child.kill()
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with pytest.raises(CalibratorDiedError, match=r"^the calibrating process ended with status -9$"):
        calibrator(PLAN, HISTORIES)
    assert died == [-signal.SIGKILL]
    assert calibrator(PLAN, HISTORIES) == calibrated(PLAN, HISTORIES)


def test_what_goes_wrong_inside_is_raised_and_the_process_lives_on(calibrator: Calibrator, died: list[int]) -> None:
    calibrator(PLAN, {})
    with pytest.raises(RuntimeError, match="AttributeError"):
        calibrator(PLAN, {"orders": "no series"})  # type: ignore[dict-item]  # that is the mistake
    before = _children()
    assert calibrator(PLAN, {}) == calibrated(PLAN, {})
    assert _children() == before
    assert not died


def test_signals_meant_for_the_daemon_do_not_end_it(calibrator: Calibrator, died: list[int]) -> None:
    calibrator(PLAN, {})
    (child,) = _children()
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGHUP)
    assert calibrator(PLAN, {}) == calibrated(PLAN, {})
    assert not died


def test_a_daemon_that_ended_before_its_answer_leaves_no_trace_in_the_log() -> None:
    command = [sys.executable, "-m", calibrating.__name__]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(pickle.dumps((PLAN, {})), 120)
    assert (process.returncode, said) == (0, b"")


def test_stopped_in_the_middle_it_is_gone_at_once(calibrator: Calibrator, died: list[int]) -> None:
    calibrator(PLAN, {})
    (child,) = _children()
    child.suspend()
    told: list[BaseException] = []

    def ask() -> None:
        try:
            calibrator(PLAN, HISTORIES)
        except CalibratorDiedError as error:
            told.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    calibrator.stop()
    asking.join(20)
    assert not asking.is_alive()
    assert len(told) == 1
    assert not died, "it was ended, it did not die"
    assert not _children()


def test_left_alone_it_ends_and_is_started_again(monkeypatch: pytest.MonkeyPatch, calibrator: Calibrator) -> None:
    calibrator(PLAN, {})
    process = calibrator._process
    assert process is not None
    assert process.stdin is not None
    monkeypatch.setattr(calibrating, "_IDLE", 0.05)
    reading, _writing = os.pipe()
    with os.fdopen(reading, "rb") as nobody_asks:
        calibrating.serve(nobody_asks, io.BytesIO())  # returns
    os.close(_writing)
    process.stdin.close()  # as if it had ended by itself: nobody can ask any more
    process.wait(20)
    process.stdin = open(os.devnull, "wb")  # noqa: PTH123, SIM115  # so that the question goes nowhere
    assert calibrator(PLAN, {}) == calibrated(PLAN, {})


@pytest.mark.parametrize("cut", [0, 100])
def test_it_ends_when_the_daemon_does(cut: int) -> None:
    reading, writing = os.pipe()
    os.write(writing, pickle.dumps((PLAN, HISTORIES))[:cut])
    os.close(writing)
    answers = io.BytesIO()
    with os.fdopen(reading, "rb") as questions:
        calibrating.serve(questions, answers)
    assert not answers.getvalue()
