"""Text and addresses from outside, made fit to keep and to show.

No control characters, no halves of characters (no database takes them), nothing that turns the direction of a line, no
links but to the web.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Unicode's bidirectional controls: they can make one version look like another.
_TURNS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _unfit(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES or character in _TURNS


def is_clean(text: str, limit: int) -> bool:
    """Whether `text` has 1 to `limit` printable characters and no white space around them."""
    return 0 < len(text) <= limit and text == text.strip() and not any(map(_unfit, text))


def is_storable(text: str) -> bool:
    """Whether every database keeps `text` and every answer can repeat it; lines and tabs may be in it."""
    return all(character in "\n\r\t" or unicodedata.category(character) not in {"Cc", "Cs"} for character in text)


def one_line(text: str, limit: int) -> str:
    """`text` on one printable line of at most `limit` characters; a cut is marked with an ellipsis."""
    line = " ".join("".join(" " if _unfit(character) else character for character in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def is_web_url(text: str, limit: int = 2000) -> bool:
    """Whether `text` is an http(s) address with a host, without spaces and without a password in it."""
    if not is_clean(text, limit) or any(character in ' <>"\\' for character in text):
        return False
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        )
    except ValueError:  # a broken IPv6 host, a port that is no number
        return False
