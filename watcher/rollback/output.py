"""What a program says, in bounded memory.

A file without a name takes it, not a pipe: a program whose watcher is restarted must not die of writing into a closed
pipe, and a grandchild that keeps the pipe open must not keep us waiting.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType
from typing import Self

CAP = 64 * 1024  # bytes that are kept, the last ones
_ROOM = 1024 * 1024  # bytes that may lie there between two looks


class Output:
    """A memory file to write into; `trim` now and then, `tail` at the end."""

    def __init__(self) -> None:
        self._file = os.memfd_create("output")
        self._kept = b""
        fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)  # after a trim, writing goes on at the new end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        return self._file

    def trim(self) -> None:
        """Gives memory back if there is much; what the program writes at this very moment may be lost."""
        if os.fstat(self._file).st_size > _ROOM:
            self._kept = self.tail()
            os.ftruncate(self._file, 0)

    def tail(self) -> bytes:
        """The last bytes, at most `CAP`."""
        size = os.fstat(self._file).st_size
        newest = os.pread(self._file, CAP, max(size - CAP, 0))
        return (self._kept + newest)[-CAP:]
