"""Takes out of people's words what may identify or harm them, before anything is kept or shown.

Every pattern is linear in the text: none has two ways to match the same characters inside a repetition.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_LONGEST = 10_000  # characters that are looked at; nobody keeps more
_NAME = r"[\w.!$%'*+^`{|}~-]"
_MAIL = re.compile(rf'(?:"[^"\n]{{1,64}}"|(?<!{_NAME}){_NAME}+|[/=?&#]{{1,8}})(?:@|%40)[\w-]+(?:\.[\w-]+)+')
_GAP = r"[\s./()\u2010-\u2015\u2212-]"  # what people put between the digits of a number
_RUN = re.compile(rf"(?a:\d)(?:{_GAP}{{0,3}}(?a:\d))+")
_PHONE = re.compile(rf"(?<![\w.])(?:\+|\(\+?)?\d(?:{_GAP}{{0,3}}\d){{6,24}}(?!\w)")
_SEPARATED = re.compile(rf"\d{{2,}}{_GAP}+\d{{2,}}{_GAP}+\d{{2,}}|\(\d+\)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}.*)?|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,3}(?:\.\d{1,3}){3}", re.DOTALL)
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
    return _PHONE.sub(_phone, _RUN.sub(_cards, _MAIL.sub("[email]", text)))


def redacted_url(url: str) -> str:
    """`url` without a secret or a customer in its query, its fragment or its path; a number in its path is an id."""
    parts = urlsplit(url)
    query = [(name, _value(name, value)) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    path = parts.path if _MAIL.search(unquote(parts.path)) is None else _MAIL.sub("redacted", unquote(parts.path))
    clean = parts.query if query == parse_qsl(parts.query, keep_blank_values=True) else urlencode(query)
    fragment = parts.fragment if _value(parts.fragment, unquote(parts.fragment)) != "redacted" else ""
    return urlunsplit(parts._replace(path=path.replace(" ", "%20"), query=clean, fragment=fragment))


def passes_luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text[:_LONGEST])
    seen = "".join(_ascii(letter) for letter in plain if unicodedata.category(letter) != "Cf")
    # Where the text was cut, half a number or address may stand.
    return seen if len(text) <= _LONGEST else (seen.rsplit(None, 1)[0] if " " in seen else "")


def _ascii(letter: str) -> str:
    digit = unicodedata.decimal(letter, None)
    return letter if digit is None else str(digit)


def _value(name: str, value: str) -> str:
    return "redacted" if _SECRET_PARAMETER.search(name) or redacted(value) != _plain(value) else value


def _cards(match: re.Match[str]) -> str:
    """A run of digits with gaps, without the card numbers in it, which begin and end where a group of digits does."""
    found, done, text = match[0], 0, ""
    groups = [(group.start(), group.end()) for group in re.finditer(r"\d+", found)]
    for first, (start, _) in enumerate(groups):
        if start < done:
            continue
        end = next(_card_ends(found, groups, first), None)
        if end is not None:
            text += found[done:start] + "[card]"
            done = end
    rest = text + found[done:]
    return re.sub(r"\d{20,}", "[number]", rest)


def _card_ends(found: str, groups: list[tuple[int, int]], first: int) -> Iterator[int]:
    """Where a card number that begins with the group `first` may end."""
    digits = ""
    for start, end in groups[first : first + 19]:
        digits += found[start:end]
        if len(digits) > 19:
            return
        if len(digits) >= 13 and digits[0] not in "01" and passes_luhn(digits):
            yield end


def _phone(match: re.Match[str]) -> str:
    found = match[0]
    digits = re.sub(r"\D", "", found)
    if _DATE.fullmatch(found):
        return found
    international = found.startswith(("+", "(+", "00"))
    national = found.startswith(("0", "(")) or _SEPARATED.search(found)
    if 7 <= len(digits) <= 15 and (international or national):
        return "[phone]"
    return found
