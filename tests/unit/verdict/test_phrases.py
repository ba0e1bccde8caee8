"""Clauses that sentences are made of."""

from __future__ import annotations

import pytest
from support.looks import signal

from watcher.model.service import Kind
from watcher.verdict.phrases import chance, listed, pace


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "about one quiet window in 1"),
        (1.3, "about one quiet window in 20"),
        (2.0, "about one quiet window in 100"),
        (2.56, "about one quiet window in 360"),
        (3.9, "about one quiet window in 8,000"),
        (5.999, "about one quiet window in 1,000,000"),
        (6.0, "fewer than one quiet window in 1,000,000"),
    ],
)
def test_chance(score: float, text: str) -> None:
    assert chance(score) == text


@pytest.mark.parametrize(
    ("kind", "step", "value", "text"),
    [
        (Kind.COUNT, 60.0, 12.0, "12 a minute"),
        (Kind.COUNT, 1.0, 3.0, "3 a second"),
        (Kind.COUNT, 300.0, 14.0, "14 per 5 min"),
        (Kind.COUNT, 300.0, 0.5, "6 an hour"),
        (Kind.COUNT, 3600.0, 0.25, "6 a day"),
        (Kind.COUNT, 60.0, 0.0, "0 a minute"),
        (Kind.COUNT, 60.0, 0.0002, "0.29 a day"),
        (Kind.RATE, 60.0, 250.0, "250 a second"),
        (Kind.RATE, 60.0, 0.05, "3 a minute"),
    ],
)
def test_pace(kind: Kind, step: float, value: float, text: str) -> None:
    assert pace(signal(kind=kind, step=step), value) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (list("abcd"), "a, b, c and d"),
        (list("abcde"), "a, b, c and 2 more"),
    ],
)
def test_listed(names: list[str], text: str) -> None:
    assert listed(names) == text
