from __future__ import annotations

import os
import subprocess
import time
from mmap import ALLOCATIONGRANULARITY
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError
from support.orders import an_order
from support.plain_tools import plain_tools

from watcher.errors import ExternalError, Fault
from watcher.model.order import Receipt, Standing
from watcher.rollback import command
from watcher.rollback.command import Command, CommandOptions, arguments, environment, last_line
from watcher.rollback.output import CAP, Output


def run(script: str, *more: str, **options: Any) -> Receipt:
    given = {"argv": ["/bin/sh", "-c", script, "sh", *more], "timeout": 60, "heeds_dry_run": True}
    made = CommandOptions.model_validate(given | options)
    return Command("cd", made, plain_tools()).trigger(an_order(dry_run=True))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "at least 1 item"),
        ([""], "expected a program first"),
        (["{service}"], "expected a program first"),
        (["./rollback-{service}"], "expected a program first"),
        (["r", "{target}"], "{target} is not known (expected one of {rollback_id}, {watch_id}"),
        (["r", "a\0b"], "expected arguments without a NUL"),
    ],
)
def test_argv_is_checked_early(argv: list[str], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        CommandOptions.model_validate({"argv": argv})
    assert message in str(error.value)


def test_only_names_of_variables_are_taken() -> None:
    with pytest.raises(ValidationError, match="not their values"):
        CommandOptions.model_validate({"argv": ["r"], "env": ["TOKEN=hunter2"]})


def test_other_braces_are_left_alone() -> None:
    argv = ["jq", '{"a": {"b": 1}}', "{.spec}", "${HOME}", "{}", "v={target_version},{target_version}"]
    CommandOptions.model_validate({"argv": argv})
    assert arguments(argv, an_order()) == [*argv[:-1], "v=2.13.9,2.13.9"]


def test_what_is_put_in_is_not_looked_into_again() -> None:
    assert arguments(["r", "{sentence}"], an_order(sentence="{url}{dry_run}")) == ["r", "{url}{dry_run}"]


@pytest.mark.parametrize("argument", ["{target_version}", "{target_version}{service}", "{dry_run}{target_version}"])
def test_a_version_cannot_become_an_option(argument: str) -> None:
    order = an_order(target_version="--kubeconfig=/evil", service="-x")
    with pytest.raises(ExternalError, match="would be taken for an option") as error:
        arguments(["r", argument], order)
    assert (error.value.permanent, error.value.sent) == (True, False)
    assert arguments(["r", "--to={target_version}", "-v{service}"], order) == ["r", "--to=--kubeconfig=/evil", "-v-x"]


def test_a_nul_cannot_be_an_argument() -> None:
    with pytest.raises(ExternalError, match="holds a NUL"):
        arguments(["r", "x{service}"], an_order(service="a\0b"))


def test_the_environment_is_what_is_allowed_and_the_order() -> None:
    ours = {"PATH": "/bin", "AWS_SECRET": "hunter2", "WATCHER_TOKEN": "t", "WATCHER_URL": "http://daemon"}
    assert environment(["PATH", "KUBECONFIG"], an_order(), ours) == {
        "PATH": "/bin",
        "WATCHER_ROLLBACK_ID": "rb_01",
        "WATCHER_WATCH_ID": "w_01",
        "WATCHER_DEPLOY_ID": "d_01",
        "WATCHER_SERVICE": "checkout",
        "WATCHER_ENVIRONMENT": "production",
        "WATCHER_BAD_VERSION": "2.14.0",
        "WATCHER_TARGET_VERSION": "2.13.9",
        "WATCHER_SENTENCE": "Conversion fell by 31 % since 03:05, expected 4.2 %.",
        "WATCHER_WATCH_URL": "https://watcher.acme.example/watches/w_01",
        "WATCHER_DRY_RUN": "",
    }
    assert environment([], an_order(dry_run=True, sentence="a\0b\ud800"), {})["WATCHER_DRY_RUN"] == "1"


def test_a_real_program_sees_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET", "hunter2")
    assert run('echo "${AWS_SECRET-none} $WATCHER_DRY_RUN $WATCHER_TARGET_VERSION"').detail == "none 1 2.13.9"


def test_it_runs_where_it_is_told_and_reads_nothing(tmp_path: Path) -> None:
    assert run("cat; pwd", cwd=str(tmp_path)).detail == str(tmp_path)


def test_the_last_line_is_the_detail() -> None:
    assert run("echo one; echo two >&2; printf '\\033[31mthree\\007 \\r\\n\\n'").detail == "[31mthree"
    assert run("true").detail == ""
    assert last_line(b"\xffa\nb\x00c \xe2\x80\xa8d" + b"e" * 300) == "b c d" + "e" * 194 + "…"


def test_values_of_variables_that_were_handed_on_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CD_TOKEN", "hunter2-hunter2")
    assert (
        run('echo "used $CD_TOKEN from $PATH"', env=["CD_TOKEN", "PATH"]).detail
        == f"used *** from {os.environ['PATH']}"
    )
    with pytest.raises(ExternalError, match=r"^sh: ended with status 3: refused \*\*\*$"):
        run('echo "refused $CD_TOKEN"; exit 3', env=["CD_TOKEN"])


def test_how_it_ended_is_told() -> None:
    with pytest.raises(ExternalError, match=r"^sh: ended with status 7$"):
        run("exit 7")
    with pytest.raises(ExternalError, match=r"^sh: was ended by SIGKILL: on my way$"):
        run("echo on my way; kill -9 $$")
    with pytest.raises(ExternalError, match=r"^rollback: cannot be started: No such file or directory$"):
        Command("cd", CommandOptions(argv=("/opt/no/rollback",)), plain_tools()).trigger(an_order())


def test_at_the_limit_the_children_die_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_GRACE", 0.3)
    pids = tmp_path / "pids"
    stubborn = f"trap '' TERM; sleep 600 & echo $! $$ > {pids}; while :; do sleep 1; done"
    began = time.monotonic()
    with pytest.raises(ExternalError, match=r"^sh: not done after 0\.5 s and killed$") as error:
        run(stubborn, timeout=0.5)
    assert (error.value.fault, error.value.permanent, error.value.sent) == (Fault.TIMEOUT, False, True)
    for pid in map(int, pids.read_text().split()):
        while _runs(pid):
            assert time.monotonic() - began < 60
            time.sleep(0.01)


def test_at_the_limit_it_is_first_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_GRACE", 60.0)
    said = tmp_path / "said"
    with pytest.raises(ExternalError):
        run(f"trap 'echo stopped > {said}; exit 1' TERM; sleep 600 & wait", timeout=0.5)
    assert said.read_text() == "stopped\n"


def test_a_child_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    assert run(f"sleep 600 & echo $! > {pid}; echo started").detail == "started"
    assert time.monotonic() - began < 50  # its limit is 60
    psutil.Process(int(pid.read_text())).kill()


def test_much_output_is_cut_to_its_end() -> None:
    much = (
        "i=0; while [ $i -lt 40 ]; do head -c 100000 /dev/zero | tr '\\0' x; i=$((i+1)); done; echo; sleep 1; echo done"
    )
    assert run(much).detail == "done"


def test_endless_output_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    left: list[int] = []
    trim = Output.trim

    def measured(output: Output) -> None:
        written.append(os.fstat(output.fileno()).st_size)
        trim(output)
        left.append(written[-1] - output._freed)  # how much more there is by now depends on the machine

    monkeypatch.setattr(Output, "trim", measured)
    monkeypatch.setattr(command, "_GRACE", 0.3)
    with pytest.raises(ExternalError) as error:
        run("trap '' TERM; yes", timeout=0.7)
    assert error.value.fault is Fault.TIMEOUT
    assert written[-1] > 8 * 2**20
    assert max(left) <= 2**20


def test_output_keeps_the_last_bytes() -> None:
    with Output() as output:
        for number in range(300):
            os.write(output.fileno(), f"{number:>9}\n".encode() * 1000)
            output.trim()
            assert taken(output) <= 1024 * 1024 + ALLOCATIONGRANULARITY
        tail = output.tail()
    assert len(tail) == CAP
    assert tail.endswith(b"299\n")
    assert tail.count(b"299") == 1000


def test_nothing_is_lost_of_what_is_written_while_memory_is_given_back() -> None:
    with Output() as output, subprocess.Popen(["seq", "2000000"], stdout=output.fileno()) as process:
        while process.poll() is None:
            output.trim()
            numbers = output.tail().split()[1:-1]  # without the two that may be cut
            assert not numbers or int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1
        output.trim()
        assert output.tail().endswith(b"\n1999999\n2000000\n")
        assert taken(output) < 2**21 < os.fstat(output.fileno()).st_size


def test_a_program_may_empty_its_own_output() -> None:
    with Output() as output:
        os.write(output.fileno(), b"x" * 2**21)
        output.trim()
        os.ftruncate(output.fileno(), 0)
        output.trim()
        os.write(output.fileno(), b"x" * 2**21 + b"\ndone\n")
        output.trim()
        assert output.tail().endswith(b"x\ndone\n")
        assert taken(output) < 2**20


def taken(output: Output) -> int:
    """Bytes of memory."""
    return os.fstat(output.fileno()).st_blocks * 512


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def checking(script: str) -> Command:
    options = {"argv": ["/bin/true"], "check_argv": ["/bin/sh", "-c", script, "sh", "{rollback_id}"], "timeout": 60}
    return Command("cd", CommandOptions.model_validate(options), plain_tools())


@pytest.mark.parametrize(
    ("script", "standing"),
    [
        ('test "$1" = rb_01', Standing.DONE),
        ('test "$WATCHER_ROLLBACK_ID" = another', Standing.NOT_DONE),
        ("exit 2", Standing.RUNNING),
    ],
)
def test_what_the_program_that_checks_says(script: str, standing: Standing) -> None:
    target = checking(script)
    assert target.can_check
    assert target.check(an_order()) is standing


def test_any_other_status_says_nothing() -> None:
    with pytest.raises(ExternalError, match="sh: ended with status 7: no such cluster") as error:
        checking("echo no such cluster; exit 7").check(an_order())
    assert not error.value.permanent


def test_without_a_program_that_checks_it_cannot_be_asked() -> None:
    target = Command("cd", CommandOptions(argv=("/bin/true",)), plain_tools())
    assert not target.can_check
    with pytest.raises(ExternalError, match="no check_argv"):
        target.check(an_order())


def test_a_drill_starts_no_program_that_may_take_it_for_earnest(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    plain = ("/usr/bin/touch", str(trace))
    with pytest.raises(ExternalError, match="touch: not started: nothing says that it heeds WATCHER_DRY_RUN") as error:
        Command("cd", CommandOptions(argv=plain), plain_tools()).trigger(an_order(dry_run=True))
    assert (error.value.sent, error.value.permanent, trace.exists()) == (False, True, False)
    Command("cd", CommandOptions(argv=plain, heeds_dry_run=True), plain_tools()).trigger(an_order(dry_run=True))
    assert trace.exists()
