"""Takes out of people's words what may identify or harm them, before anything is kept or shown.

Every pattern is linear in the text: none has two ways to match the same characters inside a repetition.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from watcher.kit import personal_numbers

_LONGEST = 10_000  # characters that are looked at; nobody keeps more
_NAME = r"[\w.!$%'*+^`{|}~-]"
_MAIL = re.compile(rf'(?:"[^"\n]{{1,64}}"|(?<!{_NAME}){_NAME}+|[/=?&#]{{1,8}})(?:@|%40)[\w-]+(?:\.[\w-]+)+')
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),  # a JSON web token
    re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|[sr]k_live_|sk-|AKIA|ASIA|whsec_)[\w+/=-]{10,}"),
)
_SCHEME = re.compile(r"\b(bearer|basic) +(?=[a-z._~+/-]{0,200}[\d=])[\w.~+/=-]{8,}", re.IGNORECASE)
_WORDS = r"password|passwd|passwort|kennwort|pwd|passphrase|secret|token|api[_ -]?key|pin|cvv|cvc"
_NAMED = re.compile(rf"\b({_WORDS})(\s{{0,3}}(?:=|:|\bis\b|\bist\b)\s{{0,3}})\S+", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(rf"{_WORDS}|auth|sig|session|credential|mail|phone", re.IGNORECASE)


def redacted(text: str) -> str:
    """`text` with e-mail addresses, payment card and telephone numbers and secrets replaced by what they were.

    Errs on the side of taking out too much, but leaves plain numbers such as order ids, dates and IP addresses alone.
    Characters are first made plain (NFKC, nothing invisible), so that a number in full-width digits is one too.
    """
    text = _plain(text)
    for pattern in _SECRETS:
        text = pattern.sub("[secret]", text)
    text = _NAMED.sub(r"\1\2[secret]", _SCHEME.sub(r"\1 [secret]", text))
    return personal_numbers.without(_MAIL.sub("[email]", text))


def redacted_url(url: str) -> str:
    """`url` without a secret or a customer in its query, its fragment or its path.

    A plain number in the path is an id, unless it is a card's or begins with a zero.
    """
    parts = urlsplit(url)
    query = [(name, _value(name, value)) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    path = "/".join(_segment(segment) for segment in personal_numbers.path_without(parts.path).split("/"))
    clean = parts.query if query == parse_qsl(parts.query, keep_blank_values=True) else urlencode(query)
    fragment = parts.fragment if _value(parts.fragment, unquote(parts.fragment)) != "redacted" else ""
    return urlunsplit(parts._replace(path=path, query=clean, fragment=fragment))


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text[:_LONGEST])
    seen = "".join(_ascii(letter) for letter in plain if unicodedata.category(letter) != "Cf")
    # Where the text was cut, half a number or address may stand.
    return seen if len(text) <= _LONGEST else (seen.rsplit(None, 1)[0] if " " in seen else "")


def _segment(segment: str) -> str:
    """A part of a path: a number, which is an id unless it begins with a zero; or even a whole sentence."""
    plain = unquote(segment)
    is_id = plain.isascii() and plain.isdigit() and not plain.startswith("0")
    return "redacted" if not is_id and redacted(plain) != _plain(plain) else segment


def _ascii(letter: str) -> str:
    digit = unicodedata.decimal(letter, None)
    return letter if digit is None else str(digit)


def _value(name: str, value: str) -> str:
    return "redacted" if _SECRET_PARAMETER.search(name) or redacted(value) != _plain(value) else value
