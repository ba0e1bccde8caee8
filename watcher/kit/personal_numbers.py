"""Finds payment card and telephone numbers among the other numbers of a text.

A text is cut at what has the form of a date, a time or an address; what is left is read run by run: groups of digits
with few other signs between them. In a run, whatever follows the beginning of a telephone number goes with it: where
one ends and the next begins cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_GAP = r"[\s./()\[\]_*\u00b7\u2022\u2027\u2219\u22c5\u30fb\u2010-\u2015\u2212-]"  # what people put between digits
_RUN = re.compile(rf"(?P<lead>\(?\+[ (]{{0,2}}|\()?[0-9]+(?:{_GAP}{{1,5}}[0-9]+)*")
_GROUP = re.compile(r"[0-9]+")
_YEAR, _MONTH, _DAY = r"(?:19|20)[0-9]{2}", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12][0-9]|3[01])"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PLAIN = re.compile(
    r"(?<![0-9+])(?<![0-9)][-./:])(?:"
    rf"{_YEAR}(?P<one>[-./]){_MONTH}(?P=one){_DAY}"
    rf"|{_DAY}(?P<other>[-./]){_DAY}(?P=other){_YEAR}"  # day and month in either order
    r"|(?:[01]?[0-9]|2[0-4]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?"
    rf"|{_OCTET}(?:\.{_OCTET}){{3}}"
    r"|0\.[0-9]{1,12}"
    r")(?![-./:]?[0-9])"
)
_CALLED = re.compile(
    r"(?:\b(?:tel|fax|phone|mobile?|handy)|telefon|telephone)(?:[ -]?(?:number|nummer|nr|no))?[^\w\n]{0,4}\Z",
    re.IGNORECASE,
)
_CALLED_WITHIN = 24  # characters before a number
# What issuers begin their numbers with, and how long those are.
_ISSUED = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?|(?:5[1-5]|2[2-7]|35)[0-9]{14}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|(?:6[0-9]|50|5[6-9])[0-9]{14,17}"
)
_FEWEST, _MOST = 7, 15  # digits of a telephone number (ITU-T E.164)
_ENDLESS = re.compile(r"[0-9]{20,}")

Span = tuple[int, int]
Found = tuple[int, int, str]  # start, end, what to write instead


def without(text: str) -> str:
    """`text` with `[card]`, `[phone]` and `[number]` (20 digits or more, or beside a card) in place of such numbers.

    Digits must be ASCII. It takes time linear in the text.
    """
    parts, done = [], 0
    for plain in _PLAIN.finditer(text):
        parts += [_RUN.sub(_replaced, text[done : plain.start()]), plain[0]]
        done = plain.end()
    return "".join([*parts, _RUN.sub(_replaced, text[done:])])


def path_without(path: str) -> str:
    """The path of a URL without card numbers; only what issuers may have given out is one, as ids are numbers too."""
    return _RUN.sub(_path_replaced, path)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@dataclass(frozen=True, slots=True)
class _Run:
    """Groups of digits, as (start, end) in `text`; `left`: how many digits there are from each on."""

    text: str
    start: int
    end: int
    lead: str
    groups: list[Span]
    left: list[int]


def _run(match: re.Match[str]) -> _Run:
    groups = [group.span() for group in _GROUP.finditer(match.string, match.start(), match.end())]
    left = list(accumulate(end - start for start, end in reversed(groups)))[::-1]
    return _Run(match.string, match.start(), match.end(), match["lead"] or "", groups, left)


def _replaced(match: re.Match[str]) -> str:
    run = _run(match)
    parts, done = [], run.start
    for start, end, name in _found(run):
        parts += [_ENDLESS.sub("[number]", run.text[done:start]), name]
        done = end
    return "".join([*parts, _ENDLESS.sub("[number]", run.text[done : run.end])])


def _path_replaced(match: re.Match[str]) -> str:
    run = _run(match)
    for first, (start, _) in enumerate(run.groups):
        for end in _card_ends(run, first):
            if _ISSUED.fullmatch("".join(_GROUP.findall(run.text, start, end))):
                return "redacted"
    return match[0]


def _found(run: _Run) -> Iterator[Found]:
    """The numbers of persons in a run, one after the other. What stands beside a card's is taken for a part of it."""
    between: list[Span] = []  # groups since the last card
    done = run.start
    for number, group in enumerate(run.groups):
        if group[0] < done:
            continue
        if _begins(run, number):
            # A zero may also stand within a number that has begun before.
            earlier = [start for start, _, _ in _beside(run, [*between, *run.groups[number : number + 2]], done)]
            yield min([_opened(run, number, run.end), *earlier]), run.end, "[phone]"
            return
        end = next(_card_ends(run, number), None)
        if end is None:
            between.append(group)
            continue
        if between:
            yield between[0][0], between[-1][1], "[number]"
        yield _opened(run, number, end), end, "[card]"
        between, done = [], end
    yield from _beside(run, between, done)


def _beside(run: _Run, groups: list[Span], done: int) -> Iterator[Found]:
    """What is found in groups that are no card's, behind one's end at `done`, or alone."""
    if done == run.start:
        yield from _grouped(run, groups)
    elif groups:
        yield groups[0][0], groups[-1][1], "[number]"


def _grouped(run: _Run, groups: list[Span]) -> Iterator[Found]:
    """The telephone number that shows by its grouping alone: three or more groups of two to five digits."""
    for number in range(len(groups) - 2):
        sizes = [end - start for start, end in groups[number : number + 3]]
        start = groups[number][0]
        if min(sizes) >= 2 and max(sizes) <= 5 and sum(sizes) >= _FEWEST and not _continues(run, start):
            yield start, groups[-1][1], "[phone]"
            return


def _begins(run: _Run, number: int) -> bool:
    """Whether a telephone number begins here: with a plus, a zero or a bracket, or after a word that says so."""
    text, (start, end) = run.text, run.groups[number]
    if run.left[number] < _FEWEST:
        return False
    if number == 0 and ("+" in run.lead or _CALLED.search(text[max(0, run.start - _CALLED_WITHIN) : run.start])):
        return True
    if text[start - 1 : start] == "(" and text[end : end + 1] == ")":
        return True
    if text[start] != "0" or _continues(run, start):
        return False
    # One group alone may be an id: too long, or with letters at its end.
    return number < len(run.groups) - 1 or (end - start <= _MOST and not text[end : end + 1].isalpha())


def _continues(run: _Run, start: int) -> bool:
    """Whether a group continues a word or a decimal number."""
    before = run.text[start - 1 : start]
    if start == run.start:
        return before.isalpha()
    return before == "." and run.text[start - 2].isdigit()


def _opened(run: _Run, number: int, end: int) -> int:
    """Where a number begins with its plus and its bracket, if that is closed before its end."""
    start = run.start if number == 0 else run.groups[number][0]
    if number and run.text[start - 1] == "(":
        start -= 1
    opened = run.text[start] == "(" and ")" not in run.text[start:end]
    return start + 1 if opened else start


def _card_ends(run: _Run, first: int) -> Iterator[int]:
    """Where a card number that begins with the group `first` may end."""
    digits = ""
    if run.left[first] < 13 or run.text[run.groups[first][0]] in "01":
        return
    for start, end in run.groups[first : first + 19]:
        digits += run.text[start : min(end, start + 20)]
        if len(digits) > 19:
            return
        if len(digits) >= 13 and passes_luhn(digits):
            yield end
