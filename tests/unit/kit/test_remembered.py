"""What is made of an object is made once, and of each object its own."""

from __future__ import annotations

import pytest

from watcher.kit.remembered import Remembered


def test_once_an_object() -> None:
    made: list[dict[str, int]] = []

    def make(key: dict[str, int]) -> int:
        made.append(key)
        return key["n"]

    remembered = Remembered(make, 10)
    one, same_words, other = {"n": 1}, {"n": 1}, {"n": 2}
    assert [remembered(key) for key in (one, one, same_words, other, one)] == [1, 1, 1, 2, 1]
    assert len(made) == 3


def test_what_fails_is_tried_again_and_old_ones_are_forgotten() -> None:
    answers = ["again", "first", ""]

    def make(_key: list[int]) -> str:
        found = answers.pop()
        if not found:
            raise ValueError("not yet")
        return found

    remembered, key = Remembered(make, 1), [1]
    with pytest.raises(ValueError, match="not yet"):
        remembered(key)
    assert (remembered(key), remembered(key)) == ("first", "first")
    assert remembered([3]) == "again", "the first has made room"
