"""Numbers as people read them."""

from __future__ import annotations

import pytest

from watcher.kit.text import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0012, "0.12 %"),
        (0.034, "3.4 %"),
        (0.3, "30 %"),
        (0.95, "95 %"),
        (0.9712, "97.1 %"),
        (0.995, "99.5 %"),
        (0.9989, "99.89 %"),
        (-0.9989, "-99.89 %"),
        (0.99951, "99.951 %"),
        (0.99999989, "99.999989 %"),
        (1.0, "100 %"),
        (1.2, "120 %"),
        (23.0, "2,300 %"),
    ],
)
def test_a_share_has_as_many_digits_as_tell_it_and_what_it_leaves_out(share: float, text: str) -> None:
    assert percent(share) == text
