"""What the demo says to the person at the terminal: plain lines with the time since the start; colour only there."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TextIO

_CODES = {"good": "32", "bad": "31", "title": "1", "faint": "2"}
_QUIET = 10.0  # seconds between two lines of progress where they cannot be overwritten
_INDENT = 20


class Screen:
    """Writes the story. Progress overwrites itself on a terminal and comes now and then elsewhere."""

    def __init__(self, out: TextIO = sys.stdout, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._live = out.isatty()
        self._began = clock()
        self._progress_at = -_QUIET
        self._open = False  # whether a line of progress waits to be overwritten

    @property
    def elapsed(self) -> float:
        return self._clock() - self._began

    def title(self, text: str) -> None:
        self._line("\n" + self._coloured(text, "title"))

    def say(self, who: str, text: str, tone: str = "") -> None:
        """One event; long text is wrapped under itself."""
        width = max(shutil.get_terminal_size((110, 24)).columns - _INDENT, 40)
        first, *rest = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
        self._line(f"{self._stamp()}  {who:<10}  {self._coloured(first, tone)}")
        for line in rest:
            self._line(" " * _INDENT + self._coloured(line, tone))
        self._progress_at = self.elapsed

    def progress(self, text: str) -> None:
        """How far it has come."""
        if self._live:
            width = shutil.get_terminal_size((110, 24)).columns - _INDENT - 1
            self._out.write(f"\r\x1b[2K{self._stamp()}  {'':<10}  {self._coloured(text[:width], 'faint')}")
            self._out.flush()
            self._open = True
        elif self.elapsed - self._progress_at >= _QUIET:
            self.say("", text)

    def raw(self, text: str) -> None:
        """Lines as they are, for a log's end."""
        self._line(text)

    def _stamp(self) -> str:
        minutes, seconds = divmod(int(self.elapsed), 60)
        return f"  {minutes}:{seconds:02d}"

    def _line(self, text: str) -> None:
        if self._open:
            self._out.write("\r\x1b[2K")
            self._open = False
        self._out.write(text + "\n")
        self._out.flush()

    def _coloured(self, text: str, tone: str) -> str:
        return f"\x1b[{_CODES[tone]}m{text}\x1b[0m" if self._live and tone else text
