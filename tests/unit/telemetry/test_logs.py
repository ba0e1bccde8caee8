"""What a process writes once logging is set up for it; in a process of its own, as that holds for all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_SAID = """
import logging
from watcher.telemetry import logs
logs.configure(json=True)
logs.logger("app").info("started")
a_library = logging.getLogger("psycopg")
a_library.info("of no interest")
a_library.warning("pipeline %s", "aborted")
try:
    1 / 0
except ZeroDivisionError:
    a_library.exception("two\\nlines")
"""


def test_every_line_is_an_object_of_json_whoever_speaks() -> None:
    told = subprocess.run([sys.executable, "-c", _SAID], capture_output=True, text=True, check=True, timeout=120)
    lines: list[dict[str, Any]] = [json.loads(line) for line in told.stderr.splitlines()]
    ours, warning, error = lines
    assert (ours["event"], ours["room"], ours["level"]) == ("started", "app", "info")
    assert (warning["event"], warning["library"], warning["level"]) == ("library_said", "psycopg", "warning")
    assert warning["message"] == "pipeline aborted"
    assert (error["message"], error["level"]) == ("two\nlines", "error")
    assert error["exception"][0]["exc_type"] == "ZeroDivisionError"
