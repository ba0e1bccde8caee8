"""Otava itself, which pins another numpy: in an environment of its own, as a process that times itself."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from watcher.model.series import Floats

_ROOT = Path(__file__).parent.parent.parent
_PINS = _ROOT / "benchmarks" / "otava" / "requirements.txt"
_SERVE = _ROOT / "benchmarks" / "otava" / "serve.py"
_FOLDER = _ROOT / "build" / "otava"
_PATIENCE = 300.0  # seconds that an installation may take


@dataclass(frozen=True, slots=True)
class Point:
    """A change point: its place, Otava's p, and the means before and after."""

    index: int
    p: float
    before: float
    after: float


def install(folder: Path = _FOLDER) -> str | None:
    """Makes the environment if it is not there; None, or why it could not be made."""
    if is_installed(folder):
        return None
    print(f"installing Otava into {folder.name} (once)", file=sys.stderr, flush=True)
    command = [str(_python(folder)), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run(
            [*command, "--require-hashes", "-r", str(_PINS)],
            check=True, timeout=_PATIENCE, capture_output=True, text=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        return lines[-1] if lines else str(error)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    why = _checked(folder)
    if why is None:
        _mark(folder).write_text(_wanted())
    return why


def _checked(folder: Path) -> str | None:
    """None if it finds a step, or what went wrong."""
    step = json.dumps({"values": [0.0, 1.0] * 30 + [5.0, 6.0] * 30})
    command = [str(_python(folder)), str(_SERVE)]
    try:
        done = subprocess.run(command, input=step, check=True, timeout=60, capture_output=True, text=True)
        found = [each["index"] for each in json.loads(done.stdout)["points"]]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"it does not run: {error}"
    return None if found == [60] else f"it finds {found} in a series with one step, at 60"


def is_installed(folder: Path = _FOLDER) -> bool:
    return _mark(folder).exists() and _mark(folder).read_text() == _wanted()


def change_points(values: Floats) -> list[Point]:
    """At Otava's defaults; values without gaps."""
    return [Point(int(each["index"]), each["p"], each["before"], each["after"]) for each in _ask(values)["points"]]


def spent() -> float:
    """Seconds that Otava itself has taken for this process, without the way there and back."""
    return _spent.seconds


@dataclass(slots=True)
class _Spent:
    seconds: float = 0.0


_spent = _Spent()


def _ask(values: Floats) -> Any:
    process = _process(os.getpid())
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"values": np.asarray(values).tolist()}) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"Otava ended with status {process.wait()}")
    answer = json.loads(line)
    _spent.seconds += answer["seconds"]
    return answer


@functools.cache
def _process(_: int) -> subprocess.Popen[str]:
    """One for each process of ours; it ends when its input does."""
    return subprocess.Popen(
        [str(_python(_FOLDER)), str(_SERVE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def close() -> None:
    """Ends this process's Otava."""
    with _process(os.getpid()):
        _process.cache_clear()


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _mark(folder: Path) -> Path:
    return folder / "installed"


def _wanted() -> str:
    return hashlib.sha256(_PINS.read_bytes()).hexdigest()
