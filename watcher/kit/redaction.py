"""Takes out of people's words what may identify or harm them, before anything is kept or shown."""

from __future__ import annotations

import re

_MAIL = re.compile(r"[\w.+%'-]{1,64}@[\w-]+(?:\.[\w-]+)+")
# A run of digits with the separators that people put into card and telephone numbers.
_DIGITS = re.compile(r"(?<![\w.])(?:\+|\(\+?)?\d(?:[ ./()-]{0,3}\d){6,24}(?!\w)")
_SEPARATED = re.compile(r"\d{2,}[ ./()-]+\d{2,}[ ./()-]+\d{2,}|\(\d+\)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}.*)?|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,3}(?:\.\d{1,3}){3}")


def redacted(text: str) -> str:
    """`text` with e-mail addresses, payment card numbers and telephone numbers replaced by what they were.

    Errs on the side of taking out too much, but leaves plain numbers such as order ids, dates and IP addresses alone.
    """
    return _DIGITS.sub(_digits, _MAIL.sub("[email]", text))


def _digits(match: re.Match[str]) -> str:
    found = match[0]
    digits = re.sub(r"\D", "", found)
    if 13 <= len(digits) <= 19 and passes_luhn(digits):
        return "[card]"
    if _DATE.fullmatch(found):
        return found
    international = found.startswith(("+", "(+", "00"))
    national = found.startswith(("0", "(")) or _SEPARATED.search(found)
    if 7 <= len(digits) <= 15 and (international or national):
        return "[phone]"
    return found


def passes_luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
