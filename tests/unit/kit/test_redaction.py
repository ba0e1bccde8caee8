from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.kit.redaction import passes_luhn, redacted


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to bob.smith+shop@mail.shop.example!", "write to [email]!"),
        ("<a@b.example>, c@d.example", "<[email]>, [email]"),
        ("card 4111 1111 1111 1111 was refused", "card [card] was refused"),
        ("card 4111-1111-1111-1111.", "card [card]."),
        ("card 378282246310005", "card [card]"),
        ("call +49 (0)171 1234567", "call [phone]"),
        ("call 0171/1234567 or 030 123 45 67", "call [phone] or [phone]"),
        ("call (555) 123-4567", "call [phone]"),
        ("call 555-123-4567", "call [phone]"),
        ("00491711234567", "[phone]"),
    ],
)
def test_what_identifies_people_is_taken_out(text: str, left: str) -> None:
    assert redacted(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "order 1234567890123 is lost",  # no card: its check digit is wrong
        "ticket 4711-22",
        "since 2026-11-20 10:33",
        "from 10.0.0.127",
        "version 1.2.3 costs 1,234,567.89",
        "HTTP 500 at /checkout?id=1234567",
        "error in ab12345678",
    ],
)
def test_plain_numbers_stay(text: str) -> None:
    assert redacted(text) == text


@given(st.integers(min_value=0, max_value=10**14 - 1), st.sampled_from(["", " ", "-"]))
def test_every_card_number_is_found_however_it_is_grouped(number: int, separator: str) -> None:
    body = f"4{number:014d}"
    digits = next(body + check for check in "0123456789" if passes_luhn(body + check))
    grouped = separator.join(digits[place : place + 4] for place in range(0, 16, 4))
    assert redacted(f"paid with {grouped} today") == "paid with [card] today"


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(redacted(text), str)


def test_a_long_text_takes_no_time() -> None:
    assert redacted("1 " * 50_000)
    assert redacted("a" * 100_000)
    assert redacted("a." * 50_000 + "@")
