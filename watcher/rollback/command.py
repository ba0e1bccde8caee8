"""Runs the team's own program to roll back: an argument list, no shell, few environment variables, a time limit."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import PurePath
from types import MappingProxyType
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.kit.outside import one_line
from watcher.kit.units import Duration
from watcher.model.order import Receipt, RollbackOrder, Standing
from watcher.ports import Tools
from watcher.rollback.order import FIELDS, told
from watcher.rollback.output import Output

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_GRACE = 5.0  # seconds between asking a program to end and killing it
_LOOK = 0.01  # seconds between two looks at the size of the output: a program can write 100 MB in 0.05 s
_USUAL = ("PATH", "HOME", "LANG")
_DRY_RUN = "{dry_run}"
_STANDINGS = MappingProxyType({0: Standing.DONE, 1: Standing.NOT_DONE, 2: Standing.RUNNING})
_PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class CommandOptions(BaseModel):
    """What to run, and what of our own environment it may see."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    argv: tuple[str, ...] = Field(
        min_length=1,
        description="Program and arguments, read by no shell; `{target_version}` and other fields are put in.",
    )
    env: tuple[str, ...] = Field(
        default=_USUAL, description="Names of the environment variables that are handed on, besides WATCHER_*."
    )
    cwd: str | None = Field(default=None, description="Directory to run in.")
    timeout: Duration = Field(
        default=120.0, gt=0, le=3600, description="How long until the program and its children are killed."
    )
    check_argv: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Program that says what became of an order whose outcome is not known: status 0 done, 1 not done, "
        "2 still running, any other: it cannot tell. Same fields, environment and timeout as `argv`.",
    )
    heeds_dry_run: bool = Field(
        default=False,
        description="Whether the program changes nothing when WATCHER_DRY_RUN is set; without it, and without "
        "`{dry_run}` in `argv`, a drill is refused and the program not started.",
    )

    @field_validator("argv", "check_argv")
    @classmethod
    def _known_placeholders(cls, argv: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if argv is None:
            return None
        if not argv[0] or _PLACEHOLDER.search(argv[0]):
            raise ValueError("expected a program first, without a placeholder in its name")
        if any("\0" in argument for argument in argv):
            raise ValueError("expected arguments without a NUL")
        for name in (name for argument in argv for name in _PLACEHOLDER.findall(argument)):
            if name not in FIELDS:
                known = ", ".join(f"{{{field}}}" for field in FIELDS)
                raise ValueError(f"{{{name}}} is not known (expected one of {known})")
        return argv

    @field_validator("env")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError("expected names of environment variables, not their values")
        return names


class Command:
    """A program for each order. Nothing is known of what it does twice, so an order is never tried again by itself."""

    Options = CommandOptions
    idempotent: ClassVar[bool] = False

    def __init__(self, name: str, options: CommandOptions, tools: Tools) -> None:  # noqa: ARG002 -- adapters are made alike
        self.name = name
        self._options = options

    def trigger(self, order: RollbackOrder) -> Receipt:
        """Exit status 0 is an acceptance; its last line of output is the detail.

        Raises:
            ExternalError: `sent` is False only if the program was never started.
        """
        argv = self._options.argv
        if order.dry_run and not (self._options.heeds_dry_run or any(_DRY_RUN in part for part in argv)):
            unsaid = "nothing says that it heeds WATCHER_DRY_RUN (expected heeds_dry_run: true)"
            raise _unusable(f"{PurePath(argv[0]).name}: not started: {unsaid}")
        status, detail = self._run(argv, order)
        if status:
            said = f"{_ending(status)}{f': {detail}' if detail else ''}"
            # One that was killed has not said that it failed: it may have done its work.
            raise ExternalError(f"{PurePath(argv[0]).name}: {said}", fault=Fault.COMMAND, permanent=status > 0)
        return Receipt(accepted=True, detail=detail)

    @property
    def can_check(self) -> bool:
        return self._options.check_argv is not None

    def check(self, order: RollbackOrder) -> Standing:
        """What the program that checks says by its exit status.

        Raises:
            ExternalError: it cannot tell, or did not end in time.
        """
        argv = self._options.check_argv
        if argv is None:
            raise _unusable("no check_argv is configured")
        status, detail = self._run(argv, order)
        if status not in _STANDINGS:
            said = f"{_ending(status)}{f': {detail}' if detail else ''}"
            raise ExternalError(f"{PurePath(argv[0]).name}: {said}", fault=Fault.COMMAND, permanent=False)
        return _STANDINGS[status]

    def _run(self, template: tuple[str, ...], order: RollbackOrder) -> tuple[int, str]:
        """Exit status (negative: ended by that signal) and last line of a program's output."""
        program = PurePath(template[0]).name
        argv = arguments(template, order)
        surroundings = environment(self._options.env, order, os.environ)
        with Output() as output:
            process = self._start(program, argv, surroundings, output)
            in_time = _wait(process, self._options.timeout, output)
            private = [
                value for name, value in surroundings.items() if name in self._options.env and name not in _USUAL
            ]
            detail = last_line(output.tail(), private)
        if not in_time:
            limit = f"{self._options.timeout:g} s"
            raise ExternalError(f"{program}: not done after {limit} and killed", fault=Fault.TIMEOUT, permanent=False)
        return process.returncode, detail

    def _start(
        self, program: str, argv: list[str], surroundings: Mapping[str, str], output: Output
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 -- running the team's own program is the purpose; no shell
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output.fileno(),
                stderr=subprocess.STDOUT,
                cwd=self._options.cwd,
                env=surroundings,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
            raise ExternalError(
                f"{program}: cannot be started: {os.strerror(number)}",
                fault=Fault.COMMAND,
                permanent=number not in _PASSING,
                sent=False,
            ) from None


def arguments(argv: Iterable[str], order: RollbackOrder) -> list[str]:
    """`argv` with the order's fields in their places.

    Raises:
        ExternalError: a value would have turned its argument into an option, or cannot be an argument.
    """
    fields = {name: _text(value) for name, value in told(order).items()}
    made = []
    for template in argv:
        argument = _PLACEHOLDER.sub(lambda found: fields[found[1]], template)
        if argument.startswith("-") and not template.startswith("-"):
            raise _unusable(f"{template}: a value that begins with - would be taken for an option")
        if "\0" in argument:
            raise _unusable(f"{template}: a value holds a NUL")
        made.append(argument)
    return made


def environment(names: Iterable[str], order: RollbackOrder, ours: Mapping[str, str]) -> dict[str, str]:
    """The allowed ones of `ours`, and `WATCHER_` with each field's name; the watch's page is WATCHER_WATCH_URL."""
    surroundings = {name: ours[name] for name in names if name in ours}
    for name, value in told(order).items():
        # WATCHER_URL is what our own command line reads as the daemon's address.
        key = "WATCHER_WATCH_URL" if name == "url" else f"WATCHER_{name.upper()}"
        surroundings[key] = _text(value).replace("\0", "")
    return surroundings


def last_line(output: bytes, private: Iterable[str] = ()) -> str:
    """The last line that is not empty, printable, to 200 characters, without the `private` values of some length."""
    text = output.decode("utf-8", "replace")
    for value in private:
        if len(value) >= 6:
            text = text.replace(value, "***")
    lines = (one_line(line, 200) for line in reversed(re.split(r"[\r\n]+", text)))
    return next((line for line in lines if line), "")


def _text(value: object) -> str:
    """As a program reads it: true is 1 and false is nothing, so that a test in a shell works in either style."""
    text = ("1" if value else "") if isinstance(value, bool) else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _unusable(message: str) -> ExternalError:
    return ExternalError(message, fault=Fault.COMMAND, permanent=True, sent=False)


def _wait(process: subprocess.Popen[bytes], limit: float, output: Output) -> bool:
    """Whether the program ended by itself within `limit` seconds; otherwise it and its children are dead on return."""
    if _ended(process, limit, output):
        return True
    _signal(process, signal.SIGTERM)
    _ended(process, _GRACE, output)
    _signal(process, signal.SIGKILL)  # its children too, which may have stayed
    process.wait()
    return False


def _ended(process: subprocess.Popen[bytes], limit: float, output: Output) -> bool:
    deadline = clock.monotonic() + limit
    while (left := deadline - clock.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(_LOOK, left))
            return True
        output.trim()
    return False


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _ending(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
