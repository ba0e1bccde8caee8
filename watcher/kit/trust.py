"""Whom to believe over TLS: a context that is made once, as reading all authorities takes longer than a request."""

from __future__ import annotations

import ssl
from pathlib import Path
from threading import Lock

Stamp = tuple[tuple[int, int], ...]


class Trust:
    """The TLS context of a connection; safe to use from several threads.

    Args:
        ca_file: PEM file (or folder) of the authorities to trust; None: the system's, which `SSL_CERT_FILE` and
            `SSL_CERT_DIR` name if they are set.
        cert_file: PEM file of our own certificate, or None.
        key_file: of its key, or None where that stands in `cert_file`.
        fallback: PEM file of authorities for a system that has none.
    """

    def __init__(self, ca_file: str | None, cert_file: str | None, key_file: str | None, *, fallback: str) -> None:
        self._ca_file = ca_file
        self._cert_file = cert_file
        self._key_file = key_file
        self._fallback = fallback
        self._lock = Lock()
        self._made: tuple[Stamp, ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """The context; made anew once a file has changed, as certificates do that are renewed.

        Raises:
            OSError: a file cannot be read, or is none of its kind.
        """
        files = (self._ca_file, self._cert_file, self._key_file)
        stamp = tuple(_stamp(file) for file in files if file is not None)
        with self._lock:
            if self._made is None or self._made[0] != stamp:
                self._made = (stamp, self._new())
            return self._made[1]

    def _new(self) -> ssl.SSLContext:
        authorities = self._ca_file or (None if _system_has_some() else self._fallback)
        if authorities is None:
            context = ssl.create_default_context()
        elif Path(authorities).is_dir():
            context = ssl.create_default_context(capath=authorities)
        else:
            context = ssl.create_default_context(cafile=authorities)
        if self._cert_file is not None:
            context.load_cert_chain(self._cert_file, self._key_file, password=_no_password)
        return context


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal for that of a key."""
    return ""


def _stamp(file: str) -> tuple[int, int]:
    found = Path(file).stat()
    return found.st_mtime_ns, found.st_size


def _system_has_some() -> bool:
    paths = ssl.get_default_verify_paths()
    # Their types say that there always is a path: there is none that does not exist.
    return bool(paths.cafile) or (bool(paths.capath) and any(Path(paths.capath).glob("*.[0-9]")))
