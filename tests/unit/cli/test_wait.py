"""A pipeline trusts the exit status alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.fault_server import Answer, FaultServer
from support.programs import free_port
from support.seeded_store import CHECKOUT, SEARCH, Seeded, opened
from support.web_server import DEPLOY, READ, TOKENS, Running, serving, serving_seeded, web_of

from watcher.cli.main import cli
from watcher.model.decision import Outcome, Reason
from watcher.model.deploy import Phase
from watcher.model.watch import Watch, WatchState
from watcher.store import deploys, watches
from watcher.web.server import create_app


def _wait(url: str, *arguments: str, token: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["wait", *arguments], env={"WATCHER_URL": url, "WATCHER_TOKEN": token})


@contextmanager
def _waiting(url: str, watch_id: str) -> Iterator[subprocess.Popen[str]]:
    """A process that waits, and has said what it waits for; it hears an interrupt, also if these tests do not."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "watcher", "wait", watch_id],
        env={**os.environ, "WATCHER_URL": url},
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert process.stderr is not None
        assert "no harm" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def _later(seconds: float, seeded: Seeded, watch: Watch) -> threading.Timer:
    def write() -> None:
        with seeded.database.write() as tx:
            watches.change(tx, watch)

    timer = threading.Timer(seconds, write)
    timer.start()
    return timer


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("healthy", 0, "healthy"),
        ("regressed", 1, "regressed"),
        ("waiting", 1, "waits for approval"),
        ("inconclusive", 3, "inconclusive"),
        ("superseded", 6, "d-0020"),
    ],
)
def test_the_outcome_is_the_exit_status(daemon: Running, seeded: Seeded, name: str, status: int, word: str) -> None:
    watch: Watch = getattr(seeded, name)
    result = _wait(daemon.url, watch.id)
    assert (result.exit_code, word in result.stdout) == (status, True), result.output
    assert f"/watches/{watch.id}" in result.stdout


def test_error_and_stopped(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        watches.change(tx, replace(seeded.healthy, outcome=Outcome.ERROR, reason=Reason.INTERNAL_ERROR))
        watches.change(tx, replace(seeded.watching, state=WatchState.STOPPED, ended_at=seeded.now))
    assert _wait(daemon.url, seeded.healthy.id).exit_code == 5
    assert _wait(daemon.url, seeded.watching.id).exit_code == 6


def test_it_times_out_with_four_and_says_what_it_saw(daemon: Running, seeded: Seeded) -> None:
    began = time.monotonic()
    result = _wait(daemon.url, seeded.watching.id, "--timeout", "1s")
    assert result.exit_code == 4
    assert "no harm in p95 latency so far" in result.stderr
    assert "not decided within 1 s" in result.stderr
    assert 0.9 < time.monotonic() - began < 25  # one question alone may be held for 30


def test_it_answers_soon_after_the_decision(daemon: Running, seeded: Seeded) -> None:
    decided = replace(seeded.watching, outcome=Outcome.HEALTHY, sentence="all is well", decided_at=seeded.now)
    timer = _later(0.5, seeded, decided)
    began = time.monotonic()
    result = _wait(daemon.url, seeded.watching.id, "--timeout", "10m")
    timer.join()
    assert result.exit_code == 0
    assert time.monotonic() - began < 25  # one question is held for 30


def test_a_deploy_with_several_watches_answers_with_the_worst(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        first = opened(tx, CHECKOUT, "v90", seeded.now, 90)
        second = replace(first, id="w-0091", service="search", policy=SEARCH)
        watches.open_watch(tx, second)
        watches.change(tx, replace(first, outcome=Outcome.HEALTHY))
    assert _wait(daemon.url, "d-0090", "--timeout", "0").exit_code == 4, "one is still open"
    with seeded.database.write() as tx:
        watches.change(tx, replace(second, outcome=Outcome.INCONCLUSIVE))
    assert _wait(daemon.url, "d-0090").exit_code == 3
    with seeded.database.write() as tx:
        watches.change(tx, replace(second, outcome=None))
        watches.change(tx, replace(first, outcome=Outcome.REGRESSED))
    assert _wait(daemon.url, "d-0090").exit_code == 1, "harm is known before the other has ended"


def test_a_deploy_that_has_not_finished_is_waited_for(daemon: Running, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        deploys.put(tx, replace(seeded.unwatched, phase=Phase.STARTED, services=("checkout",), finished_at=None))
    result = _wait(daemon.url, seeded.unwatched.id, "--timeout", "1s")
    assert result.exit_code == 4
    assert "has not finished" in result.stderr


@pytest.mark.parametrize(
    ("any_id", "words"), [("w-none", "there is no watch or deploy w-none"), ("d-0900", "is not watched")]
)
def test_what_nobody_watches_is_an_error(daemon: Running, any_id: str, words: str) -> None:
    result = _wait(daemon.url, any_id)
    assert result.exit_code == 5
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_no_daemon_is_five_and_one_line() -> None:
    result = _wait(f"http://127.0.0.1:{free_port()}", "w-1", "--timeout", "0.3s")
    assert result.exit_code == 5
    assert "cannot reach the watcher" in result.stderr
    assert "Traceback" not in result.output


def test_a_restart_of_the_daemon_is_outlived(seeded: Seeded) -> None:
    port = free_port()
    web = web_of(seeded.database, lambda: seeded.now)
    with ExitStack() as stack:
        with serving(web) as first:
            first.server.stop()
            first.server.start(create_app(web), "127.0.0.1", port)
            process = stack.enter_context(_waiting(f"http://127.0.0.1:{port}", seeded.watching.id))
        assert process.stderr is not None
        assert any("cannot reach the watcher" in line for line in process.stderr)
        with seeded.database.write() as tx:
            watches.change(tx, replace(seeded.watching, outcome=Outcome.HEALTHY))
        with serving(web) as second:
            second.server.stop()
            second.server.start(create_app(web), "127.0.0.1", port)
            assert process.wait(60) == 0


def test_a_token_is_needed_and_never_shown(seeded: Seeded) -> None:
    with serving_seeded(seeded, tokens=TOKENS, loopback=False) as running:
        assert _wait(running.url, seeded.healthy.id).exit_code == 5
        wrong = _wait(running.url, seeded.healthy.id, token="wr0ng-secret")
        assert wrong.exit_code == 5
        assert "does not know this token" in wrong.stderr
        assert "wr0ng-secret" not in wrong.output
        lacking = _wait(running.url, seeded.healthy.id, token=DEPLOY.secret.get_secret_value())
        assert lacking.exit_code == 5
        assert "scope read" in lacking.stderr
        assert _wait(running.url, seeded.healthy.id, token=READ.secret.get_secret_value()).exit_code == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"content-type": "text/html"}, b"<!doctype html>"),
        Answer.of({"gate": "healthy"}),
        Answer.of([1, 2]),
        Answer.of(None),
        Answer(302, {"location": "http://127.0.0.1:1/"}),
        Answer(404, {}, b"<h1>nginx</h1>"),
        Answer.of({"error": "no"}, 400),
        Answer(503, {}, b""),
        Answer(garbage=b"\x16\x03\x01"),
    ],
    ids=["html", "half", "list", "null", "redirect", "nginx", "refused", "unavailable", "garbage"],
)
def test_what_is_no_watcher_never_reads_as_a_judgement(answer: Answer) -> None:
    with FaultServer() as server:
        server.answer = lambda _request: answer
        result = _wait(server.url, "w-1", "--timeout", "0.2s")
    assert result.exit_code == 5
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [["w-1", "--timeout", "soon"], [], ["w-1", "--url", "localhost:8080"]])
def test_usage_is_two(arguments: list[str]) -> None:
    assert _wait("http://127.0.0.1:1", *arguments).exit_code == 2


def test_an_interrupt_is_no_judgement_either(daemon: Running, seeded: Seeded) -> None:
    with _waiting(daemon.url, seeded.watching.id) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_a_terminal_without_unicode_still_gets_its_answer(daemon: Running, seeded: Seeded) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "wait", seeded.healthy.id],
        env={**os.environ, "WATCHER_URL": daemon.url, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert b"checkout v42 healthy" in done.stdout
