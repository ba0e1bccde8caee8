"""What a program says, in bounded memory.

A file without a name takes it, not a pipe: a program whose watcher is restarted must not die of writing into a closed
pipe, and a grandchild that keeps the pipe open must not keep us waiting. Only what lies well before its end is ever
given back, so that nothing is lost of what is written at that very moment.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from mmap import ALLOCATIONGRANULARITY, MADV_REMOVE, mmap
from types import TracebackType
from typing import Self

CAP = 64 * 1024  # bytes that are kept, the last ones
_ROOM = 1024 * 1024  # bytes that may lie there between two looks


class Output:
    """A memory file to write into; `trim` now and then, `tail` at the end."""

    def __init__(self) -> None:
        self._file = os.memfd_create("output")
        self._freed = 0  # bytes at its start that take no memory any more
        fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)  # standard output and error share one end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        return self._file

    def trim(self) -> None:
        """Gives the memory of all but the end back, if that is much; the file stays as long as it was."""
        size = os.fstat(self._file).st_size
        self._freed = min(self._freed, size // ALLOCATIONGRANULARITY * ALLOCATIONGRANULARITY)  # a program may empty it
        if size - self._freed <= _ROOM:
            return
        until = (size - CAP) // ALLOCATIONGRANULARITY * ALLOCATIONGRANULARITY
        # It may be emptied just now, or the kernel may not give back: no reason to spoil a rollback.
        with suppress(ValueError, OSError), mmap(self._file, until - self._freed, offset=self._freed) as old:
            old.madvise(MADV_REMOVE)
            self._freed = until

    def tail(self) -> bytes:
        """The last bytes, at most `CAP`."""
        size = os.fstat(self._file).st_size
        return os.pread(self._file, CAP, max(size - CAP, 0))
