"""`watcher replay` as a person or a benchmark calls it: files, pipes, processes, mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from watcher.cli import replay as command
from watcher.cli.main import cli
from watcher.kit import clock


def case(number: int, bad: bool = False) -> str:
    """A small quiet case; or one with a mistake."""
    times = list(range(60, 60 * 121, 60))
    values = [50 + (7 * at // 60 * (number + 3)) % 11 for at in times]
    watched: dict[str, Any] = {"name": "orders", "kind": "sideways" if bad else "count", "harm": "down", "step": 60}
    watched |= {"times": times, "values": values}
    return json.dumps({"id": f"c{number}", "deployed_at": 6000, "until": 6600, "signals": [watched]}) + "\n"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "watcher", "replay", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=250)


def results(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_results_come_in_input_order_and_mistakes_do_not_stop_the_others(tmp_path: Path, jobs: str) -> None:
    lines = [case(number, bad=number == 3) for number in range(40)]
    lines[10] = "{nonsense\n"
    lines.insert(5, "\n")
    source, target = tmp_path / "cases.jsonl", tmp_path / "results.jsonl"
    source.write_text("".join(lines))
    done = run(source, "--out", target, "--jobs", jobs)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{source}:4: signals[0].kind: expected one of gauge, count, rate, ratio, latency",
        (
            f"{source}:12: expected one JSON object a line (Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1))"
        ),
    ]
    assert [result["id"] for result in results(target.read_text())] == [
        f"c{number}" for number in range(40) if number not in {3, 10}
    ]


def piped(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["replay", "-", "--jobs", "1", *arguments], input=text)


def test_pipes() -> None:
    done = piped(case(1) + case(2), "--out", "-")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [result["id"] for result in results(done.stdout)] == ["c1", "c2"]
    wrong = piped("7\n" + case(2))
    assert (wrong.exit_code, wrong.stderr) == (1, "stdin:1: expected a JSON object\n")
    assert [result["id"] for result in results(wrong.stdout)] == ["c2"]


HALF = "x\ud800\x00 y"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_halves_of_characters_in_names_end_nothing_and_come_back_as_they_were(tmp_path: Path, jobs: str) -> None:
    """In the id, a service, a signal and a version; escaped, and as the bytes that UTF-8 does not allow."""
    plain = [json.loads(case(number)) for number in range(12)]
    plain[3]["id"] = HALF
    plain[4]["signals"][0]["name"] = HALF
    plain[5] |= {"service": HALF, "deploys": [{"id": HALF, "service": HALF, "deployed_at": 6000}]}
    plain[6]["id"] = "größer"
    lines = [json.dumps(each) for each in plain]
    source = tmp_path / "cases.jsonl"
    raw = json.dumps(plain[3], ensure_ascii=False).encode("utf-8", "surrogatepass")
    source.write_bytes("\n".join(lines).encode() + b"\n" + raw + b"\n" + case(12).encode())
    argv = [sys.executable, "-m", "watcher", "replay", str(source), "--jobs", jobs]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=250)
    assert (done.returncode, done.stderr) == (0, b"")
    written = done.stdout.decode()  # strictly UTF-8
    found = results(written)
    assert [each["id"] for each in found] == [*(each["id"] for each in plain), HALF, "c12"]
    assert found[4]["signals"][0]["name"] == HALF
    assert '"größer"' in written


def test_nothing_gives_nothing() -> None:
    done = piped("")
    assert (done.exit_code, done.output) == (0, "")


class TestUsage:
    """Mistakes of the call itself: status 2, and no output file is made."""

    def test_the_cases_are_never_overwritten(self, tmp_path: Path) -> None:
        source = tmp_path / "cases.jsonl"
        source.write_text(case(1))
        done = CliRunner().invoke(cli, ["replay", str(source), "--out", str(tmp_path / "." / "cases.jsonl")])
        assert done.exit_code == 2
        assert "--out must not be the file of the cases" in done.output
        assert source.read_text() == case(1)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["missing.jsonl"], "File 'missing.jsonl' does not exist."),
            (["."], "File '.' is a directory."),
            (["-", "--jobs", "0"], "0 is not in the range x>=1."),
            (["-", "--false-rollback-probability", "1"], "1.0 is not in the range 0<x<1."),
            (["-", "--false-rollback-probability", "0"], "0.0 is not in the range 0<x<1."),
        ],
    )
    def test_options(self, arguments: list[str], message: str) -> None:
        done = CliRunner().invoke(cli, ["replay", *arguments])
        assert done.exit_code == 2
        assert message in done.output

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "cases.jsonl").write_text(case(1))
        done = run(tmp_path / "cases.jsonl", "--out", tmp_path / "no" / "such" / "folder")
        assert done.returncode == 1
        assert done.stderr == f"watcher replay: {tmp_path}/no/such/folder: No such file or directory\n"


def test_the_probability_is_the_callers() -> None:
    golden = Path(__file__).parents[2] / "replay" / "cases.jsonl"
    line = next(line for line in golden.read_text().splitlines() if '"orders fall by two fifths"' in line)
    (strict,) = results(piped(line, "--false-rollback-probability", "1e-15").stdout)
    (usual,) = results(piped(line).stdout)
    assert strict["score"] == pytest.approx(usual["score"])
    assert (usual["outcome"], strict["decided_at"]) == ("regressed", None), "no score reaches 15"


def test_batches_are_small_whatever_the_lines() -> None:
    """Memory stays bounded: at most a few lines or about a megabyte at once, however long the input is."""
    endless = (b"x" * 10 + b"\n" for _ in range(10_000_000))
    batches = command._batches(endless)  # type: ignore[arg-type]
    assert [len(next(batches)) for _ in range(3)] == [8, 8, 8]
    large: Iterator[bytes] = iter([b"y" * 700_000] * 5)
    assert [len(batch) for batch in command._batches(large)] == [2, 2, 1]  # type: ignore[arg-type]
    numbered = command._batches(iter([b"a\n", b"\n", b"  \n", b"b\n"]))  # type: ignore[arg-type]
    assert list(numbered) == [[(1, b"a\n"), (4, b"b\n")]]


def test_results_stream_out_while_cases_stream_in(tmp_path: Path) -> None:
    """Nothing waits for the end of the input: a batch goes out while its successors are still to come."""
    argv = [sys.executable, "-m", "watcher", "replay", "-", "--jobs", "1"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(24):
            process.stdin.write(case(number))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == "c0"
        process.stdin.close()
        assert len(process.stdout.readlines()) == 23
    assert process.returncode == 0


def test_who_stops_listening_gets_no_traceback(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "watcher", "replay", "-", "--jobs", "1"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write("".join(case(number) for number in range(20)))
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_stop_takes_the_workers_along(tmp_path: Path) -> None:
    source = tmp_path / "cases.jsonl"
    source.write_text("".join(case(number) for number in range(1000)))
    argv = [sys.executable, "-m", "watcher", "replay", str(source), "--out", str(tmp_path / "out"), "--jobs", "2"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 200
        while not (tmp_path / "out").exists() or not (tmp_path / "out").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 128 + signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == ""
    while _alive(process.pid):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class TestProgress:
    def test_a_terminal_sees_it_every_few_seconds(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ticks = iter(range(0, 1000, 1))
        monkeypatch.setattr(clock, "monotonic", lambda: float(next(ticks)))
        progress = command._Progress(shown=True)
        for _ in range(4):
            progress.count(1)
        progress.end()
        shown = capsys.readouterr().err
        assert "4 cases" in shown
        assert "1 malformed" in shown
        assert shown.endswith("\n")
        assert shown.count("cases") < 4

    def test_nobody_else_does(self, capsys: pytest.CaptureFixture[str]) -> None:
        progress = command._Progress(shown=False)
        progress.count(0)
        progress.clear()
        progress.end()
        assert capsys.readouterr().err == ""
